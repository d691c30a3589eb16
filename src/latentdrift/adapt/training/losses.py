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
    """n integer times in [0, length), each uniform, together spread evenly (Kingma et al. 2021,
    VDM, appendix I.1)."""
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    return (((offset + torch.arange(n) / n) % 1) * length).long()


def min_snr(schedule: Schedule, t: Tensor, gamma: float) -> Tensor:
    """Weights of the times [B] in the loss, float64 [B]."""
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
    """Squared error of the prediction, mean per image, [B] in float32 (Ho et al. 2020, eq. 14).

    Args:
        denoiser: Takes xt in VP units; wrapped by `Drift.wrap` where there is drift.
        schedule: Mixes x0 and eps, and says what the target is.
        x0: Scaled latents [B, C, h, w].
        eps: Noise of mean 0, as x0.
        t: Times [B].
        conditioning: Encoded prompts, and the images that the network reads.
        seen: Noise in the network's input, where it is not that of the target.
        weight: What each latent counts [B, 1, h, w]; all of them 1 is the same as none.
    """
    prediction = denoiser(schedule.add_noise(x0, eps if seen is None else seen, t), t, conditioning)
    error = (prediction.float() - schedule.target(x0, eps, t).float()).square()
    return (error if weight is None else error * weight).flatten(1).mean(1)
