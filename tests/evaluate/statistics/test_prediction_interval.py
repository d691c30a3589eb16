"""The prediction interval of one more value beside tables and draws."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.statistics.prediction_interval import prediction_factor


@pytest.mark.parametrize(("n", "t"), [(2, 12.706), (5, 2.776), (31, 2.042)])
def test_the_factor_is_students_t_of_one_more_value(n: int, t: float) -> None:
    """t of printed tables, two-sided 5 %, n - 1 degrees of freedom."""
    assert prediction_factor(n) == pytest.approx(t * np.sqrt(1 + 1 / n), rel=1e-3)


def test_the_next_value_lies_inside_in_95_of_100_draws() -> None:
    drawn = np.random.default_rng(0).normal(3.0, 2.0, (20_000, 5))
    known, following = drawn[:, :4], drawn[:, 4]
    reach = prediction_factor(4) * known.std(1, ddof=1)
    inside = np.abs(following - known.mean(1)) <= reach
    assert inside.mean() == pytest.approx(0.95, abs=0.005)
