"""The number of steps that a budget has time for, in closed form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentdrift.adapt.training.planning.budget import (
    LONGEST,
    before_timing,
    filling,
    needs_timing,
    with_steps,
)
from latentdrift.adapt.training.planning.durations import Durations
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.config import FitOptions, seconds_of
from latentdrift.errors import OptionError

STEPS_ALONE = Durations(
    gradients=0.4,
    update=0.1,
    encoding=0,
    class_images=0,
    calibration=0,
    preview_image=0,
    look=0,
    drawn=4,
)
"""Half a second for each step, and no time for anything else."""


def options(**given: Any) -> FitOptions:
    return FitOptions(cohort=Path("c"), out=Path("o"), **{"budget": "10min", **given})


def test_time_is_divided_by_the_time_of_a_step() -> None:
    filled = filling(options(), STEPS_ALONE, spent=0)
    assert filled.steps == 1200
    assert filling(options(), STEPS_ALONE, spent=100).steps == 1000
    assert filling(options(budget="1h"), STEPS_ALONE, spent=0).steps == 7200
    assert filling(options(budget="90s"), STEPS_ALONE, spent=0.1).steps == 179


def test_what_stands_around_the_steps_comes_off_the_budget() -> None:
    """600 s less 20 + 30 + 50 of encoding, class images and calibration, 5 looks of 4 s, and 2
    previews of 4 images and 16 last ones of 2 s."""
    durations = replace(
        STEPS_ALONE, encoding=20, class_images=30, calibration=50, look=4, preview_image=2
    )
    expected = (600 - 100 - 5 * 4 - (2 * 4 + 16) * 2) / 0.5
    assert filling(options(), durations, spent=0).steps == expected


def test_a_short_fit_of_a_large_cohort_encodes_what_it_reads() -> None:
    """200,000 images of 10 ms, of which a step reads 8, and 10,000 are read anyway: 100 s, and
    0.08 s a step beside the 0.5 s of training."""
    durations = replace(
        STEPS_ALONE, encoding=2000, read=200_000, read_anyway=10_000, read_per_step=8
    )
    assert filling(options(), durations, spent=0).steps == int(500 / 0.58)
    all_of_them = filling(options(budget="10h"), durations, spent=0)
    assert all_of_them.steps == (36_000 - 2000) / 0.5


@pytest.mark.parametrize("every", [10, 100])
def test_the_filled_fit_is_the_longest_that_fits(every: int) -> None:
    """With looks and previews that come every so many steps, too."""
    durations = replace(STEPS_ALONE, look=3, preview_image=1)
    asked = options(checkpoint_every=every, preview_every=2 * every)
    filled = filling(asked, durations, spent=7)
    assert (filled.checkpoint_every, filled.preview_every) == (every, 2 * every)
    assert durations.total(filled) <= 593 < durations.total(with_steps(asked, filled.steps + 1))


@pytest.mark.parametrize(
    ("budget", "steps", "checkpoints", "previews"),
    [("10min", 400, 100, 200), ("10min", 1003, 251, 501), ("1h", 7200, 600, 3600)],
)
def test_checkpoints_and_previews_are_spread_over_the_steps(
    budget: str, steps: int, checkpoints: int, previews: int
) -> None:
    spread = with_steps(options(budget=budget), steps)
    assert (spread.steps, spread.checkpoint_every, spread.preview_every) == (
        steps,
        checkpoints,
        previews,
    )
    said = with_steps(options(budget=budget, preview_every=0, checkpoint_every=100), steps)
    assert (said.checkpoint_every, said.preview_every) == (100, 0)


def test_a_budget_without_time_for_a_step_is_refused() -> None:
    with pytest.raises(OptionError, match=r"`budget=10min` is too short: .* about 700 s"):
        filling(options(), STEPS_ALONE, spent=699.5)
    assert filling(options(), STEPS_ALONE, spent=599.5).steps == 1


def test_a_run_that_has_begun_keeps_its_steps(tmp_path: Path) -> None:
    new = Run(tmp_path / "new")
    assert needs_timing(options(), None) and needs_timing(options(), new)
    assert before_timing(options(), new).steps == LONGEST
    (tmp_path / "fit.json").write_text(json.dumps({"steps": 77}))
    begun = Run(tmp_path)
    assert not needs_timing(options(), begun)
    assert before_timing(options(), begun).steps == 77
    assert before_timing(options(), begun).checkpoint_every == 20
    plain = options(budget=None, steps=5)
    assert not needs_timing(plain, new) and before_timing(plain, begun) == plain


def test_a_time_has_a_unit() -> None:
    assert [seconds_of(text) for text in ("90s", "10min", "1.5h", "2 h")] == [90, 600, 5400, 7200]
    for wrong in ("10", "0min", "-1h", "10m", "min", "1h30min"):
        with pytest.raises(ValueError, match=r"number above 0 with a unit: 90s, 10min, 1\.5h"):
            seconds_of(wrong)
