"""Start of editors that draw from noise: as in sampling, with the adapter's drift."""

from __future__ import annotations

import torch
from torch import Tensor

from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics, begin, check
from latentdrift.sample.samplers import first_time

SAMPLER = "ddim"


def start(
    base: Base,
    drift: Drift,
    statistics: Statistics | None,
    prompt: str,
    steps: int,
    side: int,
    noise: torch.Generator,
) -> Tensor:
    """The start yT [1, C, h, w] of an edit.

    Args:
        base: The model.
        drift: Drift of the adapter.
        statistics: Statistics of its cohort; None where the start needs none.
        prompt: Prompt, which determines the class's drift.
        steps: Steps of the trajectory.
        side: Pixels R.
        noise: Generator of the edit.

    Raises:
        OptionError: A start that cannot be drawn.
    """
    latents = base.latent_size(side)
    size = (base.latent_channels, latents, latents)
    t0 = first_time(SAMPLER, base.schedule, steps)
    check(drift.start, statistics, size)
    return begin(drift.of_prompt(prompt), statistics, base.schedule, t0, size, noise)[None].to(
        base.device
    )
