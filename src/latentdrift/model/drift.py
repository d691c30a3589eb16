"""Drift: one signed number per latent channel, the mean of the noise (Yeganeh et al. 2025, Latent
Drifting).

With noise eps + delta, xt = a x0 + s (eps + delta). Then yt = xt - s delta is an ordinary diffusion
of the same x0, so the network is wrapped instead of anything around it: it sees yt + s delta, and
delta (for eps) or a delta (for v) is taken off what it says. Training on plain noise against the
wrapped network has the loss of training on drifted noise, and every sampler, inversion, editor and
guidance works on the wrapped network as it is, exactly. What is left of drift is where sampling
starts:

    yT ~ N((delta_infer - delta_train) s_T, I)

which makes off, infer, train and both four settings of the two deltas. The other starts are rows of
`start.py`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentdrift.errors import AdapterError, OptionError, unknown
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Denoiser, Process

# Mode -> whether drift acts in training, and the row of STARTS (start.py) that sampling begins
# with.
MODES: dict[str, tuple[bool, str | None]] = {
    "infer": (False, "shift"),
    "train": (True, None),
    "both": (True, "shift"),
    "pin": (False, "pin"),
    "pin-sample": (False, "pin-sample"),
    "leak-pixel": (False, "leak-pixel"),
    "leak-low": (False, "leak-low"),
}
PLAIN = (
    "shift",
    "pin",
)  # starts whose mean is drift; the mean of the others is drawn from the cohort's statistics


@dataclass(frozen=True)
class Form:
    """A row of FORMS: where drift acts."""

    summary: str
    target: bool = True
    """In training the target is drifted as the input is, and the network is wrapped when
    sampling."""
    start: bool = True
    """delta_infer moves the start of sampling."""
    per_step: Callable[[int], float] | None = None
    """Number of steps -> what part of delta_infer is added to xt after each step."""
    prediction: bool = False
    """delta_infer is added to what the network predicts."""


# The first is the only self-consistent reading of the paper; the others, of it and of its
# reimplementations, are for ablation.
FORMS: dict[str, Form] = {
    "noise_mean": Form(
        "the mean of the noise is shifted, in what the network sees and in its target"
    ),
    "target_unshifted": Form(
        "ablation: the network sees shifted noise and learns the unshifted", target=False
    ),
    "per_step": Form(
        "ablation: delta after every step, eq. 4 to the letter",
        start=False,
        per_step=lambda steps: 1.0,
    ),
    "per_step_scaled": Form(
        "ablation: delta / steps after every step", start=False, per_step=lambda steps: 1 / steps
    ),
    "prediction": Form("ablation: delta added to every prediction", start=False, prediction=True),
}


@dataclass(frozen=True)
class Group:
    """Drift of one class: of the images whose prompt contains a phrase."""

    phrase: str
    train: tuple[float, ...] = ()
    infer: tuple[float, ...] = ()


@dataclass(frozen=True)
class Drift:
    """Drift of the noise in training and of the start when sampling, in standard deviations of unit
    noise; `Drift()` is none."""

    train: tuple[float, ...] = ()
    """One value per latent channel; empty for none."""
    infer: tuple[float, ...] = ()
    """Delta at the start of sampling."""
    start: str = "shift"
    """Row of STARTS (start.py)."""
    form: str = "noise_mean"
    """Row of FORMS."""
    groups: tuple[Group, ...] = ()
    """Per class, instead of `train` and `infer`."""

    @classmethod
    def of(cls, delta: Sequence[float], mode: str = "both", form: str = "noise_mean") -> Drift:
        """Drift with one value per latent channel.

        Args:
            delta: Values in standard deviations of unit noise; zeros are no drift.
            mode: Row of MODES: training, start or both.
            form: Row of FORMS.

        Raises:
            OptionError: An unknown mode or form.
        """
        if mode not in MODES:
            raise unknown("drift mode", mode, MODES)
        if form not in FORMS:
            raise unknown("drift form", form, FORMS)
        values = tuple(float(value) for value in delta) if any(delta) else ()
        train, start = MODES[mode]
        return cls(
            values if train else (), values if start in PLAIN else (), start or "shift", form
        )

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        channels: int,
        latent_size: int,
        mode: str | None = None,
        form: str = "noise_mean",
    ) -> Drift:
        """Drift as a user writes it: `none`, `0.1`, `6.4sd`, one value per channel,
        `0.1,-0.05,0.2,0`, or a result's file.

        Args:
            text: The option's value; `auto` and `calibrated` are no values but estimates. A path
                ending in .json is what `drift estimate` and `drift search` write: `delta`, one
                value per channel, and the `mode` it was found for.
            channels: Latent channels of the base.
            latent_size: Latents on a side; `sd` counts in standard deviations of a noise channel's
                mean, 1 / latent_size.
            mode: A row of MODES; default both, or the file's.
            form: A row of FORMS.

        Raises:
            OptionError: Not a number, not finite, not one value per channel, not such a file, or a
                value that the mode has no place for.
        """
        if text.strip().endswith(".json"):
            values, stored_mode = _read(Path(text.strip()))
            mode = mode or stored_mode
        else:
            values = (
                [0.0]
                if text.strip().lower() == "none"
                else [_value(part, text, latent_size) for part in text.split(",")]
            )
        if len(values) not in (1, channels):
            raise OptionError(
                f"drift '{text}' has {len(values)} values; give one, or {channels}: one per latent "
                "channel"
            )
        mode = mode or "both"
        if any(values) and mode in MODES:
            check_given(text, MODES[mode][1] or "shift")
        return cls.of(values * channels if len(values) == 1 else values, mode, form)

    @property
    def mode(self) -> str:
        """Row of MODES that these values are, or `off`.

        Drift of training under a start that no row combines with it is `train+` and the name of the
        start.
        """
        train = any(any(part.train) for part in self._parts)
        start = self.start if self.has_start or self.start != "shift" else None
        known = {row: mode for mode, row in MODES.items()} | {(False, None): "off"}
        return known.get((train, start), f"train+{start}")

    @property
    def has_start(self) -> bool:
        """Whether the start has values of its own, for all images or for a class."""
        return any(any(part.infer) for part in self._parts)

    @property
    def channels(self) -> tuple[int, ...]:
        """Number of values in training and at the start, of the drift for all and of each class; 0
        for none."""
        return tuple(len(values) for part in self._parts for values in (part.train, part.infer))

    @property
    def plain(self) -> Drift:
        """Drift whose start is the one that training prepared the network for.

        It is unit noise, with the drift of training.
        """
        groups = tuple(replace(group, infer=group.train) for group in self.groups)
        return replace(self, infer=self.train, start="shift", groups=groups)

    def moved(self, shift: Sequence[float]) -> Drift:
        """Drift with the mean of every start moved.

        Args:
            shift: Shift of each channel, [C], in standard deviations of unit noise.
        """

        def on(infer: Sequence[float]) -> tuple[float, ...]:
            return tuple(a + b for a, b in zip(infer or (0.0,) * len(shift), shift, strict=True))

        groups = tuple(replace(group, infer=on(group.infer)) for group in self.groups)
        return replace(self, infer=on(self.infer), groups=groups)

    @property
    def _parts(self) -> list[Drift | Group]:
        return [self, *self.groups]

    def of_prompt(self, prompt: str) -> Drift:
        """Drift of an image with this prompt.

        It is that of the class with the longest phrase in the prompt, else the drift for all.
        """
        fitting = [
            group
            for group in self.groups
            if re.search(rf"(?<!\w){re.escape(group.phrase)}(?!\w)", prompt)
        ]
        if not fitting:
            return replace(self, groups=())
        group = max(fitting, key=lambda candidate: len(candidate.phrase))
        return replace(self, train=group.train, infer=group.infer, groups=())

    def wrap(self, denoiser: Denoiser, schedule: Process, prompts: Sequence[str] = ()) -> Denoiser:
        """Wrap a network so that it denoises latents without drift.

        Without drift in training the network is returned unchanged. Further input channels, as of a
        source image, are not noise and stay unchanged.

        Args:
            denoiser: The network.
            schedule: Schedule of the base.
            prompts: Prompt of each image in a batch, where drift differs by class; a batch of
                several branches repeats them. Empty: the drift for all.
        """
        form = FORMS[self.form]
        each = self._each(prompts)
        if form.prediction:
            denoiser = _shifted(
                denoiser, schedule, torch.zeros(1, 1), -_stack([drift.infer for drift in each])
            )
        trained = _stack([drift.train for drift in each])
        return _shifted(denoiser, schedule, trained, trained) if form.target else denoiser

    def wrap_training(
        self, denoiser: Denoiser, schedule: Process, prompts: Sequence[str] = ()
    ) -> Denoiser:
        """Wrap a denoiser for training on plain noise.

        It differs from `wrap` in forms that leave the target unchanged.

        Args:
            denoiser: The network.
            schedule: Its schedule.
            prompts: Prompt of each image, for drift by class; empty: the drift for all.
        """
        trained = _stack([drift.train for drift in self._each(prompts)])
        return _shifted(
            denoiser, schedule, trained, trained if FORMS[self.form].target else torch.zeros(1, 1)
        )

    def _each(self, prompts: Sequence[str]) -> list[Drift]:
        """Per prompt where there are classes, else one for all."""
        if not self.groups:
            return [self]
        if not prompts:
            raise OptionError(
                "this drift differs by class, and no prompts were given that say which class an "
                "image is of"
            )
        return [self.of_prompt(prompt) for prompt in prompts]

    def shift(self, s_T: float | Tensor) -> Tensor:
        """Mean of a plain start yT, float64 [C], or [1] if zero.

        Args:
            s_T: Noise level at which sampling starts.
        """
        form = FORMS[self.form]
        start = self.infer if form.start else ()
        trained = self.train if form.target else ()
        return (_values(start) - _values(trained)) * s_T

    def noise_shift(self, s_T: float | Tensor) -> Tensor:
        """Mean of the noise in a start that leaks an image, float64 [C], or [1] if zero.

        A network trained with drift expects xT = a x0 + s (eps + delta_train): the image and the
        drift add. The wrapped network receives yT + s delta_train, so yT has plain noise. A network
        that is not wrapped receives xT itself.

        Args:
            s_T: Noise level at which sampling starts.
        """
        return _values(() if FORMS[self.form].target else self.train) * s_T

    def after_step(self, steps: int) -> Tensor | None:
        """Value added to xt after each sampling step.

        Args:
            steps: Number of sampling steps.

        Returns:
            [C, 1, 1]; None in forms that add nothing.

        Raises:
            OptionError: The form has one value for all, and the drift differs by class.
        """
        part = FORMS[self.form].per_step
        if part is not None and self.groups:
            raise OptionError(
                f"drift of form '{self.form}' has one value for all and cannot differ by class; "
                "take noise_mean"
            )
        if part is None or not self.infer:
            return None
        return torch.tensor(self.infer, dtype=torch.float64).reshape(-1, 1, 1) * part(steps)

    def at(self, ratio: float) -> Drift:
        """Rescale the start for another first time of the sampler, so it leaks equal signal.

        Args:
            ratio: Signal at the new first time over that at the old one.
        """
        if ratio == 1:
            return self

        def moved(part: Drift | Group) -> tuple[float, ...]:
            if (
                not part.infer
            ):  # no signal is leaked: the mode is train, or the cohort's statistics are the start
                return ()
            train = part.train or (0.0,) * len(part.infer)
            return tuple((i - t) * ratio + t for i, t in zip(part.infer, train, strict=True))

        groups = tuple(replace(group, infer=moved(group)) for group in self.groups)
        return replace(self, infer=moved(self), groups=groups)

    def to_dict(self) -> dict[str, Any]:
        """Content for adapter.json and record.json."""
        stored = {
            "mode": self.mode,
            "form": self.form,
            "start": self.start,
            "train": list(self.train),
            "infer": list(self.infer),
        }
        groups = [
            {"phrase": g.phrase, "train": list(g.train), "infer": list(g.infer)}
            for g in self.groups
        ]
        return {**stored, "groups": groups} if groups else stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Drift:
        """Build the drift from `to_dict`.

        Raises:
            AdapterError: An unknown form or start, or values that are not finite numbers.
        """
        form = stored.get("form")
        start = stored.get("start", "shift")
        if form not in FORMS or start not in {row for _, row in MODES.values()}:
            raise AdapterError(
                f"the adapter has drift of form '{form}', start '{start}'; this version knows "
                f"{', '.join(FORMS)}"
            )
        parts = [stored, *stored.get("groups", [])]
        for part in parts:
            for delta in (part.get("train"), part.get("infer")):
                if not isinstance(delta, list) or not all(
                    isinstance(v, int | float) and math.isfinite(v) for v in delta
                ):
                    raise AdapterError(
                        f"the adapter's drift is {delta!r}; it must be a list of finite numbers, "
                        "one per channel"
                    )
        (train, infer), *rest = [
            (tuple(map(float, part["train"])), tuple(map(float, part["infer"]))) for part in parts
        ]
        groups = tuple(
            Group(str(part["phrase"]), *values)
            for part, values in zip(parts[1:], rest, strict=True)
        )
        drift = cls(train, infer, start, form, groups)
        if drift.mode != stored.get("mode"):
            raise AdapterError(
                f"the adapter's drift says mode '{stored.get('mode')}' and its values are those of "
                f"'{drift.mode}'"
            )
        return drift


def check_given(text: str, start: str) -> None:
    """Refuse a given value of drift for a start whose mean comes from the cohort.

    Args:
        text: The value, for the message.
        start: Name of the start.

    Raises:
        OptionError: The start is no row of PLAIN.
    """
    if start not in PLAIN:
        raise OptionError(
            f"drift '{text}' has no part in a '{start}' start, whose mean is that of the training "
            "latents; give `drift=auto` or none, or `drift_mode=infer` or pin, which start from "
            "the value"
        )


def _values(delta: Sequence[float]) -> Tensor:
    """[C] float64; [1] of zero where there is none."""
    return torch.tensor(tuple(delta) or (0.0,), dtype=torch.float64)


def _stack(deltas: Sequence[tuple[float, ...]]) -> Tensor:
    """[B, C]; zeros where a class has none."""
    channels = max(map(len, deltas)) or 1
    return torch.tensor([delta or (0.0,) * channels for delta in deltas], dtype=torch.float64)


def _shifted(denoiser: Denoiser, schedule: Process, shift: Tensor, offset: Tensor) -> Denoiser:
    """The network with s `shift` added to its latent and `offset` subtracted from its noise;
    [B or 1, C] each."""
    if not shift.any() and not offset.any():
        return denoiser
    channels = max(shift.shape[1], offset.shape[1])

    def wrapped(xt: Tensor, t: float | Tensor, conditioning: Conditioning) -> Tensor:
        into, off = (_over(delta, xt, channels) for delta in (shift, offset))
        shifted = torch.cat(
            [xt[:, :channels] + schedule.scales(t, xt)[1] * into, xt[:, channels:]], dim=1
        )
        prediction = denoiser(shifted, t, conditioning)
        if prediction.shape[1] != channels:
            raise AdapterError(
                f"the drift has {channels} values, but the latents {prediction.shape[1]} channels"
            )
        return prediction - schedule.shift(t, xt) * off

    return wrapped


def _over(delta: Tensor, xt: Tensor, channels: int) -> Tensor:
    """delta [B or 1, C] for every row of xt, whose B images may be there in several branches: [rows
    or 1, C, 1, 1]."""
    rows = delta.repeat(len(xt) // len(delta), 1) if len(delta) > 1 else delta
    return rows.expand(-1, channels).to(xt).reshape(-1, channels, 1, 1)


def _read(path: Path) -> tuple[list[float], str | None]:
    """delta and mode of a result's file."""
    try:
        estimate = json.loads(path.read_text(encoding="utf-8"))
        values = [float(value) for value in estimate["delta"]]
        mode = estimate.get("mode")
    except FileNotFoundError:
        raise OptionError(
            f"drift file {path} does not exist; give what `drift estimate` or `drift search` wrote"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionError(
            f"drift file {path} holds no `delta`, one number per channel ({error!r}); give what "
            "`drift search` wrote"
        ) from error
    if not values or not all(map(math.isfinite, values)) or mode not in (None, *MODES):
        raise OptionError(
            f"drift file {path} says delta {values} in mode {mode!r}; it must be finite numbers in "
            f"one of {', '.join(MODES)}"
        )
    return values, mode


def _value(part: str, text: str, latent_size: int) -> float:
    """One number of a drift, in standard deviations of unit noise."""
    number, unit = (
        (part.strip()[:-2], 1 / latent_size) if part.strip().endswith("sd") else (part, 1.0)
    )
    try:
        value = (
            float(number) * unit
        )  # the mean of h w unit normals has standard deviation 1 / sqrt(h w)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise OptionError(
            f"drift '{text}' is not understood; write none, auto, calibrated, 0.1, 6.4sd, or one "
            "number per channel: a,b,c,d"
        )
    return value
