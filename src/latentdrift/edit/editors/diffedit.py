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
    """Difference of the noise under the two prompts, relative to its maximum.

    It is the mean over NOISES of |eps(target) - eps(source)|, at AT of the trajectory. It is
    limited to EXTREME times its mean, so a single spike does not dominate.

    Args:
        task: The edit.

    Returns:
        [1, 1, h, w] in [0, 1]; 0 where the prompts differ nowhere.
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
    """Edit from the inversion, within a mask of the places where the prompts differ (DiffEdit).

    Where `differing` is below `mask_threshold`, each step restores the reconstruction's xt. The
    paper restores the inversion's, which differs from the reconstruction outside of the mask.

    Args:
        task: Edit with an inversion.

    Returns:
        Reconstruction and counterfactual, x0 [1, C, h, w] each.

    Raises:
        OptionError: The task has no inversion.
    """
    inside = (differing(task) >= task.spec.mask_threshold).to(task.x0)
    inverted = task.required_inversion
    source = task.reconstructs(inverted.references)
    target = task.changes(inverted.references)
    return task.together(
        source, target, inverted, lambda one, other, _: torch.lerp(one, other, inside)
    )
