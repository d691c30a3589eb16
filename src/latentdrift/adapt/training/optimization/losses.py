"""Losses of a training step. Drift is not here: it wraps the denoiser, which then takes plain noise
(form W)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Denoiser, Schedule

# Prediction -> what a time counts, from its signal-to-noise ratio a^2 / s^2 and the ratio's cap
# gamma: an error of x0 then counts
# min(SNR, gamma), whatever is predicted (Hang et al. 2023, min-SNR, section 3.4).
MIN_SNR: dict[str, Callable[[Tensor, float], Tensor]] = {
    "epsilon": lambda snr, gamma: snr.clamp(max=gamma) / snr,
    "v_prediction": lambda snr, gamma: snr.clamp(max=gamma) / (snr + 1),
}


def draw_times(n: int, length: int, generator: torch.Generator) -> Tensor:
    """Draw n integer times in [0, length), int64 [n], each uniform and together evenly spread.

    Kingma et al. 2021 (VDM), appendix I.1.

    Args:
        n: Number of times.
        length: Number of times of the schedule.
        generator: Source of the one random offset.
    """
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    return (((offset + torch.arange(n) / n) % 1) * length).long()


def min_snr(schedule: Schedule, t: Tensor, gamma: float) -> Tensor:
    """Min-SNR weights of times in the loss, float64 [B] (Hang et al. 2023).

    Args:
        schedule: Gives a, s and the prediction type, a row of MIN_SNR.
        t: Times [B].
        gamma: Limit of the signal-to-noise ratio.
    """
    a = schedule.a(t)
    s = schedule.s(t)
    return MIN_SNR[schedule.prediction_type]((a / s).square(), gamma)


def denoising_loss(
    denoiser: Denoiser,
    schedule: Schedule,
    x0: Tensor,
    eps: Tensor,
    t: Tensor,
    conditioning: Conditioning,
    seen: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Squared error of the prediction, averaged per image, [B] float32 (Ho et al. 2020, eq. 14).

    Args:
        denoiser: Takes xt in VP units; wrapped by `Drift.wrap` where there is drift.
        schedule: Mixes x0 and eps, and defines the target.
        x0: Scaled latents [B, C, h, w].
        eps: Noise of mean 0, [B, C, h, w].
        t: Times [B].
        conditioning: Encoded prompts, and the images that the network reads.
        seen: Noise in the network's input [B, C, h, w]; None: eps.
        weight: Weight of each latent [B, 1, h, w]; None: 1.
    """
    prediction = denoiser(schedule.add_noise(x0, eps if seen is None else seen, t), t, conditioning)
    error = (prediction.float() - schedule.target(x0, eps, t).float()).square()
    return (error if weight is None else error * weight).flatten(1).mean(1)
