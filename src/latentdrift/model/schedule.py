"""How signal and noise mix at time t, and how the network's prediction reads as noise or as image.

Variance-preserving (VP) units throughout: xt = a x0 + s eps, a = sqrt(alpha_bar), s = sqrt(1 -
alpha_bar) (Ho et al. 2020, eq. 4).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor

from latentdrift.errors import BaseModelError
from latentdrift.model.conditioning import Conditioning

Denoiser = Callable[[Tensor, Any, Conditioning], Tensor]
"""(xt [B, C, h, w] in VP units, t: number or Tensor[B], conditioning of B images) -> prediction
[B, C, h, w]."""

GuidedDenoiser = Callable[[Tensor, Any, tuple[Conditioning, ...]], Tensor]
"""Denoiser that takes the conditionings of several branches, the reference first."""

Predictor = Callable[[Tensor, Any, None], Tensor]
"""Denoiser with its conditionings already inside."""

PREDICTIONS = ("epsilon", "v_prediction")

# A prediction is p eps - q x0, with p and q from (a, s).
MIXED: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "epsilon": lambda a, s: (torch.ones_like(a), torch.zeros_like(s)),
    "v_prediction": lambda a, s: (a, s),  # v = a eps - s x0 (Salimans & Ho 2022, eq. 11)
    "flow_prediction": lambda a, s: (
        torch.ones_like(a),
        torch.ones_like(s),
    ),  # eps - x0 (Lipman et al. 2023; Esser et al. 2024)
}

# What every sampler is told where neither the base's scheduler_config.json nor the class that it
# names says otherwise.
DEFAULTS: dict[str, Any] = {
    "num_train_timesteps": 1000,
    # Stable Diffusion 1.x (Rombach et al. 2022, configs/stable-diffusion/v1-inference.yaml)
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",  # integer timesteps in every sampler (Lin et al. 2023, table 2)
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "rescale_betas_zero_snr": False,
}


class Process(ABC):
    """xt = a x0 + s eps, and a network that predicts a row of MIXED."""

    prediction_type: str
    """Prediction type of the network: a row of MIXED."""
    config: Mapping[str, Any]
    """Configuration for diffusers schedulers."""

    @property
    @abstractmethod
    def length(self) -> int:
        """Number of training times T."""

    @property
    @abstractmethod
    def zero_snr(self) -> bool:
        """Whether sampling starts from pure noise: a_T = 0."""

    @abstractmethod
    def a(self, t: float | Tensor) -> Tensor:
        """Signal scale at t, float64, in the shape of t."""

    @abstractmethod
    def s(self, t: float | Tensor) -> Tensor:
        """Noise standard deviation at t, float64, in the shape of t."""

    def scales(self, t: float | Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Signal scale a and noise standard deviation s at t, [B or 1, 1, 1, 1].

        Args:
            t: Time, one number or [B].
            like: Tensor whose device and dtype they take.
        """
        a, s = (
            scale.reshape(-1, 1, 1, 1).to(like.device, like.dtype)
            for scale in (self.a(t), self.s(t))
        )
        return a, s

    def add_noise(self, x0: Tensor, eps: Tensor, t: float | Tensor) -> Tensor:
        """xt = a x0 + s eps (Ho et al. 2020, eq. 4).

        Args:
            x0: Scaled latents [B, C, h, w].
            eps: Noise [B, C, h, w].
            t: Time, one number or [B].
        """
        a, s = self.scales(t, x0)
        return a * x0 + s * eps

    def target(self, x0: Tensor, eps: Tensor, t: float | Tensor) -> Tensor:
        """Target of the network's prediction, p eps - q x0, with p and q from MIXED.

        Args:
            x0: Scaled latents [B, C, h, w].
            eps: Noise [B, C, h, w].
            t: Time, one number or [B].
        """
        p, q = MIXED[self.prediction_type](*self.scales(t, x0))
        return p * eps - q * x0

    def shift(self, t: float | Tensor, like: Tensor) -> Tensor:
        """Shift of the prediction per unit shift of the noise mean: p, [B or 1, 1, 1, 1].

        Args:
            t: Time, one number or [B].
            like: Tensor whose device and dtype the result takes.
        """
        return MIXED[self.prediction_type](*self.scales(t, like))[0]

    def split(self, prediction: Tensor, xt: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor]:
        """Solve a prediction at xt for x0 and eps: two linear equations in two unknowns.

        Args:
            prediction: [B, C, h, w].
            xt: Noisy latents [B, C, h, w] in VP units.
            t: Time, one number or [B].

        Returns:
            (x0, eps), [B, C, h, w] each.
        """
        a, s = self.scales(t, xt)
        p, q = MIXED[self.prediction_type](a, s)
        return (p * xt - s * prediction) / (a * p + s * q), (q * xt + a * prediction) / (
            a * p + s * q
        )


@dataclass(frozen=True, eq=False)
class Schedule(Process):
    """The noise schedule that the base was trained with, variance preserving."""

    alpha_bar: Tensor
    """[T] float64, cumulative product of 1 - beta."""
    prediction_type: str
    """Prediction type of the network: a row of PREDICTIONS."""
    config: Mapping[str, Any]
    """Configuration for any diffusers scheduler (the keys of DEFAULTS)."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """Build the schedule from a diffusers `scheduler_config.json`.

        A missing key has the default of the named scheduler, else of DEFAULTS.

        Args:
            config: Content of the file.

        Raises:
            BaseModelError: The scheduler has no noise schedule of betas, as one of flow matching.
                Or the network predicts neither eps nor v, or eps where no signal is left.
        """
        from diffusers import DDIMScheduler

        stated = {**class_defaults(config.get("_class_name")), **config}
        if stated.get("use_flow_sigmas"):
            raise BaseModelError(
                _not_diffusion(str(config.get("_class_name")), "with use_flow_sigmas")
            )
        known = {**DEFAULTS, **{key: stated[key] for key in DEFAULTS if key in stated}}
        if known["prediction_type"] not in PREDICTIONS:
            raise BaseModelError(
                "the base's scheduler_config.json says prediction_type "
                f"'{known['prediction_type']}'; latentdrift works with "
                f"{' and '.join(PREDICTIONS)}: choose a base whose network predicts one of them"
            )
        if known["rescale_betas_zero_snr"] and known["prediction_type"] == "epsilon":
            raise BaseModelError(
                "with zero terminal SNR the last time holds no signal, and a network that predicts "
                "eps says nothing of the image there (Lin et al. 2023, section 3.3): add "
                "`prediction=v_prediction` to `zero_snr`, which `fit` then trains; a base needs "
                "prediction_type v_prediction in its scheduler_config.json"
            )
        known["clip_sample"] = False  # latents are not bounded by [-1, 1]
        alpha_bar = DDIMScheduler.from_config(known).alphas_cumprod.double()
        return cls(alpha_bar, known["prediction_type"], known)

    @property
    def length(self) -> int:
        """Number of training times T."""
        return len(self.alpha_bar)

    @property
    def zero_snr(self) -> bool:
        """Whether sampling starts from pure noise: a_T = 0."""
        return bool(self.config["rescale_betas_zero_snr"])

    def altered(self, prediction_type: str | None = None, zero_snr: bool = False) -> Schedule:
        """The schedule for a network that is trained anew; without a change, this one.

        Args:
            prediction_type: A row of PREDICTIONS; default, as it is.
            zero_snr: a'_t = (a_t - a_T) a_0 / (a_0 - a_T), and trailing times, which begin at T
                (Lin et al. 2023, algorithms 1 and 2).

        Raises:
            BaseModelError: Zero SNR for a network that predicts eps.
        """
        changes: dict[str, Any] = {"prediction_type": prediction_type or self.prediction_type}
        if zero_snr:
            changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        config = {**self.config, **changes}
        return self if config == self.config else Schedule.from_config(config)

    def a(self, t: float | Tensor) -> Tensor:
        """Signal scale sqrt(alpha_bar) at t, float64, in the shape of t."""
        return self._at(t).sqrt()

    def s(self, t: float | Tensor) -> Tensor:
        """Noise standard deviation sqrt(1 - alpha_bar) at t, float64, in the shape of t."""
        return (1 - self._at(t)).sqrt()

    def _at(self, t: float | Tensor) -> Tensor:
        """alpha_bar at t; between integers, log(s / a) is linear in t (as in diffusers'
        `_sigma_to_t`)."""
        time = torch.as_tensor(t, dtype=torch.float64, device="cpu").clamp(
            0, len(self.alpha_bar) - 1
        )
        low = time.floor().long()
        part = time.frac()
        high = (low + 1).clamp(max=len(self.alpha_bar) - 1)
        # log(alpha_bar / (1 - alpha_bar)) = -2 log(s / a), at zero SNR that of diffusers' samplers
        # in sigma units
        logit = torch.special.logit(self.alpha_bar, eps=2**-24)
        return torch.where(
            part == 0, self.alpha_bar[low], torch.sigmoid(torch.lerp(logit[low], logit[high], part))
        )

    def timesteps(self, steps: int) -> Tensor:
        """Times [steps] that DDIM visits, from noisy to clean."""
        from diffusers import DDIMScheduler

        scheduler = DDIMScheduler.from_config(self.config)
        scheduler.set_timesteps(steps)
        result: Tensor = scheduler.timesteps
        return result


def class_defaults(name: str | None) -> dict[str, Any]:
    """Defaults of a diffusers scheduler class.

    Args:
        name: Name of the class; None: not named.

    Returns:
        Option -> default; empty for a class that is not named or not installed.

    Raises:
        BaseModelError: The class has no noise schedule of betas.
    """
    import diffusers

    kind = getattr(diffusers, name, None) if name else None
    if kind is None:
        if name and "Flow" in name:
            raise BaseModelError(_not_diffusion(name))
        return {}
    parameters = signature(kind.__init__).parameters
    stands_in = "kwargs" in parameters  # for a class whose own requirements are not installed
    if not stands_in and ("beta_start" not in parameters or "snr_shift_scale" in parameters):
        raise BaseModelError(_not_diffusion(kind.__name__))
    return {
        key: parameters[key].default
        for key in parameters
        if parameters[key].default is not Parameter.empty
    }


def _not_diffusion(name: str, condition: str = "") -> str:
    flow = " (flow matching)" if "Flow" in name or condition else ""
    scheduler = " ".join(filter(None, (name, condition)))
    return (
        f"the base's scheduler_config.json names {scheduler}{flow}, "
        "which is not for a noise schedule of betas; a base of this family has one, and its "
        "network predicts eps or v: choose such a base"
    )
