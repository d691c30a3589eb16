"""DiffEdit: the network itself finds where the edit may act."""

from __future__ import annotations

import torch
from torch import Tensor

from latentdrift.edit.core.task import Task

# Couairon et al. 2023, section 3.2: the mask is the mean over ten noises at half of the trajectory.
NOISES = 10
AT = 0.5
EXTREME = 3.0
"""Times the mean from which on a difference is extreme: the paper leaves such out of the scale
(number: diffusers' pipeline)."""


@torch.no_grad()
def differing(task: Task) -> Tensor:
    """Difference of the noise under the two prompts: [1, 1, h, w] in [0, 1], relative to its
    maximum.

    The mean over NOISES of |eps(target) - eps(source)|, at AT of the trajectory whatever the edit's
    own depth, and at most EXTREME times its own mean: else one spike would make all the rest look
    alike. 0 everywhere where they nowhere differ.
    """
    times = task.schedule.timesteps(task.steps)
    t = int(times[min(round((1 - AT) * task.steps), task.steps - 1)])
    total = torch.zeros_like(task.x0[:, :1])
    for _ in range(NOISES):
        xt = task.noised(t)
        predictions = [
            network(xt, t, context)
            for network, context in ((task.denoiser, task.source), (task.changed, task.target))
        ]
        one, other = (task.schedule.split(prediction, xt, t)[1] for prediction in predictions)
        total += (other - one).abs().mean(1, keepdim=True)
    total = total.clamp(max=EXTREME * total.mean())
    return total / total.amax().clamp(min=torch.finfo(total.dtype).tiny)


def diffedit(task: Task) -> tuple[Tensor, Tensor]:
    """Edit from the inversion; where the prompts differ less than `mask_threshold`, the
    counterfactual is the reconstruction.

    At each step, as in the paper's algorithm, but that what is put back is the reconstruction's xt
    and not the inversion's: then nothing outside of the mask is a difference.
    """
    inside = (differing(task) >= task.spec.mask_threshold).to(task.x0)
    inverted = task.required_inversion
    source = task.reconstructs(inverted.references)
    target = task.changes(inverted.references)
    return task.together(
        source, target, inverted.xt, lambda one, other, _: torch.lerp(one, other, inside)
    )
