"""How signal and noise mix at time t, and how the network's prediction reads as noise or as image.

Variance-preserving (VP) units throughout: xt = a x0 + s eps, a = sqrt(alpha_bar), s = sqrt(1 - alpha_bar)
(Ho et al. 2020, eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentdrift.errors import BaseModelError

Denoiser = Callable[[Tensor, Any, Any], Tensor]
"""(xt [B, C, h, w] in VP units, t: number or Tensor[B], context) -> prediction [B, C, h, w]."""

PREDICTIONS = ("epsilon", "v_prediction")

# What every sampler is told, where the base's scheduler_config.json does not say otherwise.
DEFAULTS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,  # Stable Diffusion 1.x (Rombach et al. 2022, configs/stable-diffusion/v1-inference.yaml)
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",  # integer timesteps in every sampler (Lin et al. 2023, table 2)
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "rescale_betas_zero_snr": False,
}


@dataclass(frozen=True, eq=False)
class Schedule:
    """The noise schedule that the base was trained with."""

    alpha_bar: Tensor
    """[T] float64, cumulative product of 1 - beta."""
    prediction_type: str
    """What the network predicts: a row of PREDICTIONS."""
    config: Mapping[str, Any]
    """Configuration for any diffusers scheduler (the keys of DEFAULTS)."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """From the contents of a diffusers `scheduler_config.json`.

        Raises:
            BaseModelError: the network predicts something that is neither eps nor v.
        """
        from diffusers import DDIMScheduler

        known = {**DEFAULTS, **{key: config[key] for key in DEFAULTS if key in config}}
        if known["prediction_type"] not in PREDICTIONS:
            raise BaseModelError(
                f"the base's scheduler_config.json says prediction_type '{known['prediction_type']}'; "
                f"latentdrift works with {' and '.join(PREDICTIONS)}: choose an SD 1.x or 2.x shaped base"
            )
        known["clip_sample"] = False  # latents are not bounded by [-1, 1]
        alpha_bar = DDIMScheduler.from_config(known).alphas_cumprod.double()
        return cls(alpha_bar, known["prediction_type"], known)

    def a(self, t: float | Tensor) -> Tensor:
        """Signal scale sqrt(alpha_bar) at t, float64, in the shape of t."""
        return self._at(t).sqrt()

    def s(self, t: float | Tensor) -> Tensor:
        """Noise standard deviation sqrt(1 - alpha_bar) at t, float64, in the shape of t."""
        return (1 - self._at(t)).sqrt()

    def _at(self, t: float | Tensor) -> Tensor:
        """alpha_bar at t; between integers, log(s / a) is linear in t (as in diffusers' `_sigma_to_t`)."""
        time = torch.as_tensor(t, dtype=torch.float64, device="cpu").clamp(0, len(self.alpha_bar) - 1)
        low, part = time.floor().long(), time.frac()
        high = (low + 1).clamp(max=len(self.alpha_bar) - 1)
        logit = torch.special.logit(self.alpha_bar)  # log(alpha_bar / (1 - alpha_bar)) = -2 log(s / a)
        return torch.where(part == 0, self.alpha_bar[low], torch.sigmoid(torch.lerp(logit[low], logit[high], part)))

    def timesteps(self, steps: int) -> Tensor:
        """The times [steps], from noisy to clean, that DDIM visits."""
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler.from_config(self.config)
        scheduler.set_timesteps(steps)
        return scheduler.timesteps

    def scales(self, t: float | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """a and s at t as [B or 1, 1, 1, 1], on the device and in the dtype of `like`."""
        a, s = (scale.reshape(-1, 1, 1, 1).to(like.device, like.dtype) for scale in (self.a(t), self.s(t)))
        return a, s

    def add_noise(self, x0: Tensor, eps: Tensor, t: float | Tensor) -> Tensor:
        """xt = a x0 + s eps (Ho et al. 2020, eq. 4)."""
        a, s = self.scales(t, x0)
        return a * x0 + s * eps

    def target(self, x0: Tensor, eps: Tensor, t: float | Tensor) -> Tensor:
        """What the network should predict: eps, or v = a eps - s x0 (Salimans & Ho 2022, eq. 11)."""
        if self.prediction_type == "epsilon":
            return eps
        a, s = self.scales(t, x0)
        return a * eps - s * x0

    def split(self, prediction: Tensor, xt: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """The (x0, eps) that a prediction at xt stands for."""
        a, s = self.scales(t, xt)
        if self.prediction_type == "epsilon":
            return (xt - s * prediction) / a, prediction
        return a * xt - s * prediction, s * xt + a * prediction  # Salimans & Ho 2022, appendix D
