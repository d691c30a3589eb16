"""Learning rates over a run: their rows, their warm-up."""

from __future__ import annotations

import math

import pytest

from latentdrift.adapt.training.optimization import lr_schedules


def test_rates_rise_and_fall_as_their_rows_say() -> None:
    for name, middle, last in [
        ("constant", 1, 1),
        ("linear", 0.5, 0.01),
        ("cosine", 0.5, (1 + math.cos(math.pi * 0.99)) / 2),
    ]:
        rate = lr_schedules.Rates.of(2.0, name, 10, 110)
        assert [rate(done) for done in range(10)] == pytest.approx(
            [0.2 * (done + 1) for done in range(10)]
        )
        assert rate(10) == pytest.approx(2.0)
        assert rate(60) == pytest.approx(2 * middle)
        assert rate(109) == pytest.approx(2 * last)
    assert set(lr_schedules.SCHEDULES) == {"constant", "linear", "cosine"}


def test_the_default_is_twenty_steps_or_a_tenth_of_the_run_and_then_constant() -> None:
    for steps, warm_up in [(400, 20), (50, 5), (5, 1)]:
        rate = lr_schedules.Rates.of(1e-3, "constant", None, steps)
        assert [rate(done) for done in range(steps)] == [
            1e-3 * min(1.0, (done + 1) / warm_up) for done in range(steps)
        ]
    assert lr_schedules.Rates.of(1e-3, "constant", 0, 5)(0) == 1e-3
