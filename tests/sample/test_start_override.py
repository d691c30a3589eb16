"""Another start than the adapter stores: values, modes, forms, and what the closed form follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from gaussian import sd_schedule
from infos import info_of

from latentdrift.config import GenerateOptions
from latentdrift.errors import OptionError
from latentdrift.model.drift import Drift, Group
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.model import Model
from latentdrift.model.schedule import Schedule
from latentdrift.sample.start_override import restart

MEAN = (-0.6, 0.0, 0.3, 0.2)
CLOSED = {"source": "auto", "t0": 981}
GIVEN = {"source": "given"}


@dataclass
class Shape:
    """All that is asked of a base."""

    schedule: Schedule
    latent_channels: int = 4

    def latent_size(self, resolution: int) -> int:
        return resolution // 4


def ask(
    stored: Drift, info: dict[str, Any] = GIVEN, statistics: bool = True, **options: Any
) -> Drift:
    spread = torch.zeros(0)
    found = (
        Statistics(torch.tensor(MEAN), torch.eye(4), spread, spread, spread, spread)
        if statistics
        else None
    )
    asked = GenerateOptions(adapter="a", out="o", resolution=32, **{"steps": 50, **options})
    base: Any = Shape(sd_schedule())
    model = Model(
        base, stored, info_of(drift=info, resolution=32), found, base_schedule=base.schedule
    )
    return restart(model, asked)


def closed_form(t: int) -> list[float]:
    return [sd_schedule().a(t).item() * mean for mean in MEAN]


def test_nothing_asked_is_the_adapters_own() -> None:
    for drift in (
        Drift(),
        Drift.of((0.1,) * 4),
        Drift((), (0.1,) * 4, "pin"),
        Drift(form="target_unshifted", train=(0.1,) * 4),
    ):
        assert ask(drift) == drift


@pytest.mark.parametrize(
    ("sampler", "steps", "t0"), [("ddim", 50, 981), ("ddim", 20, 951), ("ddim", 998, 998)]
)
def test_a_closed_form_follows_the_first_time_of_the_sampler(
    sampler: str, steps: int, t0: int
) -> None:
    stored = Drift((), tuple(closed_form(981)), groups=(Group("ill", (), (0.1,) * 4),))
    found = ask(stored, CLOSED, sampler=sampler, steps=steps)
    assert found.infer == pytest.approx(closed_form(t0), rel=1e-6)
    ratio = (sd_schedule().a(t0) / sd_schedule().a(981)).item()
    assert found.groups[0].infer == pytest.approx([0.1 * ratio] * 4)
    assert (
        ask(stored, GIVEN, sampler=sampler, steps=steps) == stored
    )  # values that somebody gave are not touched


@pytest.mark.parametrize("trained", [(), (0.1, -0.05, 0.2, 0.0)])
def test_auto_adds_what_leaks_to_what_was_trained(trained: tuple[float, ...]) -> None:
    found = ask(Drift(trained, (0.3,) * 4), drift="auto")
    added = trained or (0.0,) * 4
    assert found.infer == pytest.approx(
        [a + b for a, b in zip(closed_form(981), added, strict=True)], rel=1e-6
    )
    assert found.train == trained


@pytest.mark.parametrize("mode", ["infer", "pin"])
def test_a_mode_alone_keeps_values_or_takes_the_closed_form(mode: str) -> None:
    start = {"infer": "shift", "pin": "pin"}[mode]
    assert ask(Drift((), (0.3,) * 4), drift_mode=mode) == Drift((), (0.3,) * 4, start)
    assert ask(Drift(), drift_mode=mode).infer == pytest.approx(closed_form(981), rel=1e-6)


@pytest.mark.parametrize("mode", ["pin-sample", "leak-pixel", "leak-low"])
def test_drawn_starts_have_no_values(mode: str) -> None:
    assert ask(Drift((0.1,) * 4, (0.3,) * 4), drift="auto", drift_mode=mode) == Drift(
        (0.1,) * 4, (), mode
    )


@pytest.mark.parametrize("mode", ["pin-sample", "leak-pixel", "leak-low"])
def test_a_value_is_refused_where_the_cohort_decides_the_mean(mode: str) -> None:
    message = f"drift '0.3' has no part in a '{mode}' start"
    with pytest.raises(OptionError, match=message):
        ask(Drift(), drift="0.3", drift_mode=mode)
    with pytest.raises(OptionError, match=message):
        ask(Drift((), (), mode), drift="0.3")
    assert ask(Drift((), (), mode), drift="0.3", drift_mode="infer") == Drift((), (0.3,) * 4)
    assert ask(Drift(), drift="none", drift_mode=mode) == Drift((), (), mode)


def test_drift_of_training_alone_leaks_nothing_at_any_first_time() -> None:
    stored = Drift((0.1,) * 4, groups=(Group("ill", (0.2,) * 4),))
    assert ask(stored, CLOSED, steps=20) == stored


def test_a_value_replaces_the_start_of_every_class_and_leaves_the_training() -> None:
    stored = Drift((0.1,) * 4, (0.1,) * 4, groups=(Group("ill", (0.2,) * 4, (0.2,) * 4),))
    found = ask(stored, drift="0.5")
    assert found == Drift((0.1,) * 4, (0.5,) * 4, groups=(Group("ill", (0.2,) * 4, (0.5,) * 4),))
    assert ask(stored, drift="none").groups == (Group("ill", (0.2,) * 4, ()),)


def test_forms_of_sampling_can_be_asked_for_and_that_of_training_cannot() -> None:
    assert ask(Drift(), drift="0.1", drift_form="per_step").form == "per_step"
    for stored, asked in [("noise_mean", "target_unshifted"), ("target_unshifted", "noise_mean")]:
        with pytest.raises(
            OptionError,
            match=f"trained with drift of form '{stored}' and cannot be sampled as '{asked}'",
        ):
            ask(Drift(form=stored), drift_form=asked)


def test_a_base_alone_has_no_closed_form() -> None:
    with pytest.raises(
        OptionError, match="needs statistics of the training latents, which a base alone does not"
    ):
        ask(Drift(), statistics=False, drift="auto")
