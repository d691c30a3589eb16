"""Sampling starts other than the one that the adapter stores; the trained drift stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from latentdrift.config import GenerateOptions
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import MODES, PLAIN, Drift, check_given
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.model import Model
from latentdrift.sample.samplers import first_time

Values = tuple[float, ...]


def restart(model: Model, options: GenerateOptions) -> Drift:
    """The model's drift, changed by `drift`, `drift_mode` and `drift_form`.

    Without `drift` the adapter's own values stay; a closed form follows the first time that this
    sampler visits. The values of a requested mode, where the adapter has none, are the closed form.

    Args:
        model: The model that draws.
        options: The options of `generate`.

    Raises:
        OptionError: The value cannot be parsed, or has no effect on the start; there are no
            statistics for the closed form; or the network was trained with another form of drift.
    """
    base = model.base
    drift = model.drift
    form = options.drift_form or drift.form
    if form != drift.form and "target_unshifted" in (form, drift.form):
        raise OptionError(
            f"the network was trained with drift of form '{drift.form}' and cannot be sampled as "
            f"'{form}'; leave `drift_form` out"
        )
    mode = options.drift_mode
    start = MODES[mode][1] or "shift" if mode else drift.start
    drift = replace(drift, form=form, start=start)
    t0 = first_time(options.sampler, base.schedule, options.steps)
    value = _requested_value(options, model)
    if value is None and (mode is None or drift.has_start):
        return starting_at(replace(model, drift=drift), t0)
    if value is None or value.strip().lower() == "auto":
        return _closed_form(drift, base, model.statistics, t0)
    size = base.latent_size(options.resolution or model.info.side)
    given = Drift.parse(value, channels=base.latent_channels, latent_size=size, mode="infer")
    if given.infer:
        check_given(value, start)
    return _with(drift, lambda _: given.infer)


def _requested_value(options: GenerateOptions, model: Model) -> str | None:
    """The value of the drift; None for the adapter's own, which `calibrated` is, too.

    Raises:
        OptionError: The adapter is not calibrated.
    """
    if options.drift is None or options.drift.strip().lower() != "calibrated":
        return options.drift
    if model.info.drift.source != "calibrated":
        raise OptionError(
            "this adapter was not calibrated when it was fitted; `latentdrift drift estimate "
            "COHORT --adapter RUN --out E` does it now, and `drift=E/estimate.json` takes the "
            "answer"
        )
    return None


def _closed_form(drift: Drift, base: Base, statistics: Statistics | None, t0: Tensor) -> Drift:
    """The drift whose start has the mean of the training latents, a_t0 mean(x0), on top of the
    trained values; no mean for a start that has none to choose.

    Raises:
        OptionError: There are no statistics of the training latents.
    """
    if drift.start not in PLAIN:
        return _with(drift, lambda _: ())
    if statistics is None:
        raise OptionError(
            "the closed form needs statistics of the training latents, which a base alone "
            "does not have; sample an adapter that `fit` made, or give `drift` a value"
        )
    leaked = (statistics.mean.double() * base.schedule.a(t0)).tolist()

    def added(trained: Values) -> Values:
        values = trained or (0.0,) * len(leaked)
        return tuple(leak + value for leak, value in zip(leaked, values, strict=True))

    return _with(drift, added)


def starting_at(model: Model, t0: Tensor) -> Drift:
    """The model's drift for sampling that starts at t0.

    An estimated start is scaled by a(t0) / a(t0 of the estimate); given values stay.

    Args:
        model: The model that draws.
        t0: First time of the sampler.
    """
    stored = model.info.drift
    if stored.source not in ("auto", "calibrated") or stored.t0 is None:
        return model.drift
    ratio = model.base.schedule.a(t0) / model.base.schedule.a(stored.t0)
    return model.drift.at(ratio.item())


def _with(drift: Drift, infer: Callable[[Values], Values]) -> Drift:
    """The drift with the start that each class's trained values lead to."""
    groups = tuple(replace(group, infer=infer(group.train)) for group in drift.groups)
    return replace(drift, infer=infer(drift.train), groups=groups)
