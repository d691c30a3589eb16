"""Time of a fit that is extrapolated from a smaller one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fits import asked

from latentdrift.adapt.training.planning.durations import Durations, smaller
from latentdrift.adapt.training.planning.fit_trace import Operations
from latentdrift.adapt.training.setup.training_setup import job
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base

DURATIONS = Durations(
    gradients=2,
    update=1,
    encoding=10,
    class_images=8,
    calibration=7,
    preview_image=5,
    look=30,
    drawn=6,
)


def fit(**given: Any) -> FitOptions:
    return FitOptions(cohort=Path("c"), out=Path("o"), **given)


def test_a_fit_takes_its_steps_and_what_stands_around_them() -> None:
    assert DURATIONS.step == 3
    options = fit(steps=100, checkpoint_every=30, preview_every=50)
    assert DURATIONS.parts(options) == {
        "encoding": 10,
        "class images": 8,
        "steps": 300,
        "held-out loss": 5 * 30,  # before the first step, after 30, 60, 90, and the last
        "calibration": 7,
        "previews": (2 * 6 + 16) * 5,
    }
    assert DURATIONS.total(options) == 615
    assert DURATIONS.parts(fit(steps=90, checkpoint_every=30))["held-out loss"] == 4 * 30


@pytest.mark.parametrize(("steps", "every"), [(1, 5), (5, 5), (7, 5), (12, 4)])
def test_looks_are_those_of_the_loop(steps: int, every: int) -> None:
    looks = {0, steps} | {step for step in range(steps + 1) if step % every == 0}
    parts = DURATIONS.parts(fit(steps=steps, checkpoint_every=every))
    assert parts["held-out loss"] == len(looks) * DURATIONS.look


def test_time_grows_with_operations_and_the_update_of_weights_does_not() -> None:
    durations = DURATIONS
    small = Operations(encoding=100, step=100, watching=100)
    large = Operations(encoding=200, step=800, watching=300)
    assert durations.extrapolated(small, large) == Durations(16, 1, 20, 24, 21, 15, 90, 6)
    assert durations.extrapolated(small, small) == durations


def test_smaller_fits_have_fewer_images_then_fewer_pixels(
    tiny_base_folder: Path, cohort: Cohort
) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="fp32", weights=False)
    options = asked(tiny_base_folder, cohort, Path("unused"), batch_size=6, accumulate=3)
    todo = job(base, cohort, options)
    side = todo.resolution
    fits = [(fit.images_per_step, fit.resolution) for fit in smaller(todo, base)]
    assert fits[:2] == [(3, side), (1, side)]
    least = base.factor * base.family.latent_multiple(base)
    assert fits[2:] == [(1, side // 2**n) for n in range(1, len(fits) - 1)]
    assert all(pixels >= least and pixels % least == 0 for _, pixels in fits)
    assert smaller(todo, base, processes=2)[0].options.batch_size == 2
    single = replace(todo, options=options.model_copy(update={"batch_size": 1, "accumulate": 1}))
    assert all(fit.resolution < side for fit in smaller(single, base))


def test_less_time_for_fewer_operations_is_no_gain_for_the_update() -> None:
    durations = Durations(8, 1, 1, 1, 1, 1, 1)
    half = durations.extrapolated(Operations(2, 2, 2), Operations(1, 1, 1))
    assert half.step == pytest.approx(5)
