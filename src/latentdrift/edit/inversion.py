"""DDIM inversion: the start from which DDIM makes a given image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentdrift.model.schedule import Denoiser, Schedule

REFINE = 2
"""Fixed-point iterations per step; each costs one call of the network."""


@torch.no_grad()
def ddim_inversion(
    denoiser: Denoiser, schedule: Schedule, x0: Tensor, context: Any, steps: int, depth: int, *, refine: int = REFINE
) -> Tensor:
    """The xt, `depth` of `steps` DDIM steps up, from which sampling under the same context comes back to x0.

    DDIM goes from xt to x_prev = a_prev x0(xt) + s_prev eps(xt) (Song et al. 2021, eq. 12 with sigma = 0). Solved for xt,

        xt = (a / a_prev) x_prev + (s - a s_prev / a_prev) eps(xt, t)

    with eps at the xt that is looked for, so by fixed-point iteration (Pan et al. 2023, AIDI), started with the eps of the step
    before. Stock inverse schedulers take eps at x_prev and t instead, one step behind, and do not come back to the image.

    Args:
        denoiser: the network with drift wrapped around it; guidance is best left out (w = 1), it makes the map hard to invert.
        schedule: of the base.
        x0: scaled latents [B, C, h, w].
        context: handed to the denoiser.
        steps: DDIM steps of the full trajectory.
        depth: how many of them to go up.
        refine: fixed-point iterations per step.
    """
    times = schedule.timesteps(steps).flip(0)[:depth]
    stride = len(schedule.alpha_bar) // steps  # as DDIMScheduler.step counts
    xt = x0
    eps = schedule.split(denoiser(xt, times[0], context), xt, times[0])[1]
    for t in times:
        (a, s), (a_prev, s_prev) = schedule.scales(t, xt), _before(schedule, int(t) - stride, xt)
        fixed, slope = a / a_prev * xt, s - a * s_prev / a_prev
        for _ in range(refine):
            xt = fixed + slope * eps
            eps = schedule.split(denoiser(xt, t, context), xt, t)[1]
        xt = fixed + slope * eps
    return xt


def _before(schedule: Schedule, t: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """a and s where a DDIM step arrives; below time 0 the last step's, alpha_bar[0] or 1 (`set_alpha_to_one`)."""
    if t < 0 and schedule.config["set_alpha_to_one"]:
        return torch.ones_like(like[:1, :1, :1, :1]), torch.zeros_like(like[:1, :1, :1, :1])
    return schedule.scales(max(t, 0), like)
