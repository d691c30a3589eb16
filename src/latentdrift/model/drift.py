"""Drift: one signed number per latent channel, the mean of the noise (Yeganeh et al. 2025, Latent Drifting).

With noise eps + delta, xt = a x0 + s (eps + delta). Then yt = xt - s delta is an ordinary diffusion of the same x0, so
the network is wrapped instead of anything around it: it sees yt + s delta, and delta (for eps) or a delta (for v) is taken off
what it says. Training on plain noise against the wrapped network has the loss of training on drifted noise, and every sampler,
inversion, editor and guidance works on the wrapped network as it is, exactly. What is left of drift is where sampling starts:

    yT ~ N((delta_infer - delta_train) s_T, I)

which makes off, infer, train and both four settings of the two deltas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentdrift.errors import AdapterError, CohortError, OptionError, unknown
from latentdrift.model.schedule import Denoiser, Schedule
from latentdrift.seeds import generator

# Mode -> whether drift acts in training, and when sampling.
MODES: dict[str, tuple[bool, bool]] = {
    "infer": (False, True),
    "train": (True, False),
    "both": (True, True),
}
FORM = "noise_mean"  # noise and target both shifted: the only self-consistent reading of the paper, and the only form here


@dataclass(frozen=True)
class Drift:
    """Drift of the noise in training and of the start when sampling, in standard deviations of unit noise; `Drift()` is none."""

    train: tuple[float, ...] = ()
    """One value per latent channel; empty for none."""
    infer: tuple[float, ...] = ()
    """The same, for the start of sampling."""

    @classmethod
    def of(cls, delta: Sequence[float], mode: str = "both") -> Drift:
        """The drift `delta`, one value per latent channel, in a mode; zeros are none."""
        if mode not in MODES:
            raise unknown("drift mode", mode, MODES)
        values = tuple(float(value) for value in delta) if any(delta) else ()
        train, infer = MODES[mode]
        return cls(values if train else (), values if infer else ())

    @classmethod
    def parse(cls, text: str, *, channels: int, latent_size: int, mode: str | None = None) -> Drift:
        """Drift as a user writes it: `none`, `0.1`, `6.4sd`, or one value per channel, `0.1,-0.05,0.2,0`.

        Args:
            text: the option's value; `auto` is not a value but an estimate, see `estimate`.
            channels: latent channels of the base.
            latent_size: latents on a side; `sd` counts in standard deviations of a noise channel's mean, 1 / latent_size.
            mode: a row of MODES; default both.

        Raises:
            OptionError: not a number, not finite, or not one value per channel.
        """
        values = [0.0] if text.strip().lower() == "none" else [_value(part, text, latent_size) for part in text.split(",")]
        if len(values) not in (1, channels):
            raise OptionError(f"drift '{text}' has {len(values)} values; give one, or {channels}: one per latent channel")
        return cls.of(values * channels if len(values) == 1 else values, mode or "both")

    @property
    def mode(self) -> str:
        """`off`, or the row of MODES that these values are."""
        acts = (any(self.train), any(self.infer))
        return next((mode for mode, row in MODES.items() if row == acts), "off")

    def wrap(self, denoiser: Denoiser, schedule: Schedule) -> Denoiser:
        """The network as a denoiser of undrifted latents; without drift in training, the network itself.

        Input channels past the latent's own (a mask, a source image) are not noise and stay as they are.
        """
        if not any(self.train):
            return denoiser
        channels = len(self.train)

        def wrapped(xt: Tensor, t: float | Tensor, context: Any) -> Tensor:
            delta = torch.tensor(self.train, dtype=xt.dtype, device=xt.device).reshape(1, -1, 1, 1)
            a, s = schedule.scales(t, xt)
            shifted = torch.cat([xt[:, :channels] + s * delta, xt[:, channels:]], dim=1)
            prediction = denoiser(shifted, t, context)
            if prediction.shape[1] != channels:
                raise AdapterError(f"the drift has {channels} values, but the latents {prediction.shape[1]} channels")
            return prediction - (delta if schedule.prediction_type == "epsilon" else a * delta)

        return wrapped

    def start(self, s_T: float | Tensor) -> Tensor:
        """The mean [C] (or [1], if zero) of the start yT, float64, where s_T is the noise level that sampling starts from."""
        train, infer = (torch.tensor(delta or (0.0,), dtype=torch.float64) for delta in (self.train, self.infer))
        return (infer - train) * s_T

    def to_dict(self) -> dict[str, Any]:
        """As it stands in adapter.json and record.json."""
        return {"mode": self.mode, "form": FORM, "train": list(self.train), "infer": list(self.infer)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Drift:
        """Back from `to_dict`.

        Raises:
            AdapterError: another form of drift, or values that are not finite numbers.
        """
        if stored.get("form") != FORM:
            raise AdapterError(f"the adapter has drift of form '{stored.get('form')}'; this version applies '{FORM}' only")
        for delta in (stored.get("train"), stored.get("infer")):
            if not isinstance(delta, list) or not all(isinstance(v, int | float) and math.isfinite(v) for v in delta):
                raise AdapterError(f"the adapter's drift is {delta!r}; it must be a list of finite numbers, one per channel")
        drift = cls(tuple(map(float, stored["train"])), tuple(map(float, stored["infer"])))
        if drift.mode != stored.get("mode"):
            raise AdapterError(f"the adapter's drift says mode '{stored.get('mode')}' and its values are those of '{drift.mode}'")
        return drift


def _value(part: str, text: str, latent_size: int) -> float:
    """One number of a drift, in standard deviations of unit noise."""
    number, unit = (part.strip()[:-2], 1 / latent_size) if part.strip().endswith("sd") else (part, 1.0)
    try:
        value = float(number) * unit  # the mean of h w unit normals has standard deviation 1 / sqrt(h w)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise OptionError(f"drift '{text}' is not understood; write none, auto, 0.1, 6.4sd, or one number per channel: a,b,c,d")
    return value


def estimate(
    means: Tensor, a_t0: float, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    """The start's mean that images like these would have had: delta_c = a_t0 mean(x0_c) (signal leak, Everaert et al. 2024).

    A network trained without drift expects xt of mean a x0 where sampling starts, and a plain start has mean 0.

    Args:
        means: posterior means of the scaled latents [N, C, h, w], or their channel means [N, C].
        a_t0: signal scale at the first time that the sampler visits, `schedule.a(schedule.timesteps(steps)[0])`.
        confidence: of the intervals, by bootstrap over images.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        delta per channel, and its (low, high) per channel.

    Raises:
        OptionError: sampling starts from pure noise (a_t0 = 0), where no start is better than another.
        CohortError: fewer than two images, or latents that are not finite.
    """
    if not a_t0 > 0:
        raise OptionError("drift 'auto' has no meaning for this base: it starts from pure noise (zero terminal SNR); take none")
    per_image = means.detach().double().cpu().flatten(2).mean(2) if means.ndim == 4 else means.detach().double().cpu()
    count = len(per_image)
    if count < 2 or not per_image.isfinite().all():
        raise CohortError(f"drift 'auto' needs at least two images with finite latents, found {count}; give a value, or none")
    picks = torch.randint(count, (resamples, count), generator=generator(seed, "drift", "bootstrap"))
    tail = (1 - confidence) / 2
    ends = torch.quantile(per_image[picks].mean(1), torch.tensor([tail, 1 - tail], dtype=torch.float64), dim=0) * a_t0
    delta = tuple((per_image.mean(0) * a_t0).tolist())
    return delta, tuple((low, high) for low, high in ends.T.tolist())
