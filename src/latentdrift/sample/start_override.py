"""Another start than the adapter stores; what was trained in stays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from latentdrift.config import GenerateOptions
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import MODES, PLAIN, Drift, check_given
from latentdrift.model.initial_noise import Statistics
from latentdrift.sample.samplers import first_time

Values = tuple[float, ...]


def restart(
    drift: Drift,
    options: GenerateOptions,
    base: Base,
    info: Mapping[str, Any],
    statistics: Statistics | None,
) -> Drift:
    """The adapter's drift as `drift`, `drift_mode` and `drift_form` ask for it.

    Without `drift` the adapter's own values stay; a closed form follows the first time that this
    sampler visits. Where it has none and a mode asks for some, they are the closed form.

    Args:
        drift: as the adapter stores it.
        options: what is asked.
        base: of the adapter.
        info: adapter.json.
        statistics: of the adapter's cohort.

    Raises:
        OptionError: the value is not understood, or has no part in the start; the closed form is
            asked for and there are no statistics; or the network was trained with another form of
            drift.
    """
    value = options.drift
    mode = options.drift_mode
    form = options.drift_form or drift.form
    if form != drift.form and "target_unshifted" in (form, drift.form):
        raise OptionError(
            f"the network was trained with drift of form '{drift.form}' and cannot be sampled as "
            f"'{form}'; leave `drift_form` out"
        )
    start = MODES[mode][1] or "shift" if mode else drift.start
    drift = replace(drift, form=form, start=start)
    t0 = first_time(options.sampler, base.schedule, options.steps)
    if value is not None and value.strip().lower() == "calibrated":
        value = None
        if info["drift"]["source"] != "calibrated":
            raise OptionError(
                "this adapter was not calibrated when it was fitted; `latentdrift drift estimate "
                "COHORT --adapter RUN --out E` does it now, and `drift=E/estimate.json` takes the "
                "answer"
            )
    if value is None and (mode is None or drift.has_start):
        return starting_at(drift, base, info, t0)
    if value is None or value.strip().lower() == "auto":
        if start not in PLAIN:
            return _with(drift, lambda _: ())
        if statistics is None:
            raise OptionError(
                "the closed form needs statistics of the training latents, which a base alone has "
                "not; sample an adapter that `fit` made, or give `drift` a value"
            )
        leaked = (statistics.mean.double() * base.schedule.a(t0)).tolist()
        return _with(
            drift,
            lambda trained: tuple(
                map(sum, zip(leaked, trained or (0.0,) * len(leaked), strict=True))
            ),
        )
    size = base.latent_size(options.resolution or info["resolution"])
    asked = Drift.parse(value, channels=base.latent_channels, latent_size=size, mode="infer")
    if asked.infer:
        check_given(value, start)
    return _with(drift, lambda _: asked.infer)


def starting_at(drift: Drift, base: Base, info: Mapping[str, Any], t0: Tensor) -> Drift:
    """The adapter's drift where sampling starts at t0: one that was estimated follows, given values
    stay; as of `restart`."""
    found = info["drift"]["source"] in ("auto", "calibrated")
    return (
        drift.at((base.schedule.a(t0) / base.schedule.a(info["drift"]["t0"])).item())
        if found
        else drift
    )


def _with(drift: Drift, infer: Callable[[Values], Values]) -> Drift:
    """The drift with the start that each class's trained values lead to."""
    groups = tuple(replace(group, infer=infer(group.train)) for group in drift.groups)
    return replace(drift, infer=infer(drift.train), groups=groups)
