"""What a step of training compares. Drift is not here: it wraps the denoiser, which then takes plain noise (form W)."""

from __future__ import annotations

import torch
from torch import Tensor

from latentdrift.model.schedule import Denoiser, Schedule


def draw_times(n: int, length: int, generator: torch.Generator) -> Tensor:
    """n integer times in [0, length), each uniform, together spread evenly (Kingma et al. 2021, VDM, appendix I.1)."""
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    return (((offset + torch.arange(n) / n) % 1) * length).long()


def denoising_loss(
    denoiser: Denoiser, schedule: Schedule, x0: Tensor, eps: Tensor, t: Tensor, context: Tensor, seen: Tensor | None = None
) -> Tensor:
    """Squared error of the prediction, mean per image, [B] in float32 (Ho et al. 2020, eq. 14).

    Args:
        denoiser: Takes xt in VP units; wrapped by `Drift.wrap` where there is drift.
        schedule: Mixes x0 and eps, and says what the target is.
        x0: Scaled latents [B, C, h, w].
        eps: Noise of mean 0, as x0.
        t: Times [B].
        context: Prompt embeddings [B, L, D].
        seen: Noise in the network's input, where it is not that of the target.
    """
    prediction = denoiser(schedule.add_noise(x0, eps if seen is None else seen, t), t, context)
    return (prediction.float() - schedule.target(x0, eps, t).float()).square().flatten(1).mean(1)
