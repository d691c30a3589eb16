"""Statistics of an experiment: means over seeds, and intervals over the same resamples."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.downstream.experiment_statistics import Reading, value_and_interval
from latentdrift.evaluate.statistics.bootstrap import FEWEST
from latentdrift.resampling import Resampling


def weighted_mean(scores: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(scores, weights=weights)) if weights.sum() else float("nan")


def reading(n: int = 60, patients: list[str] | None = None) -> Reading:
    members = np.arange(n)[None] % 2 == np.array([[0], [1]])
    return Reading(weighted_mean, members, patients, resampling=Resampling(300), repeats=2)


def test_a_value_is_the_mean_over_seeds_with_the_textbook_interval() -> None:
    scores = np.random.default_rng(0).normal(0.5, 0.1, (2, 60))
    contents = reading().mean(scores)
    assert contents.value == pytest.approx(scores.mean())
    assert contents.sd == pytest.approx(np.std(scores.mean(1), ddof=1))
    low, high = contents.ci
    standard_error = scores.mean(0).std() / np.sqrt(60)
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.35)


def test_a_difference_between_arms_is_paired() -> None:
    """The second arm is the first and a constant: their difference has no spread."""
    scores = np.random.default_rng(0).normal(0.5, 0.1, (2, 60))
    statistics = reading()
    contents = statistics.arm(scores + 0.1, {"difference": statistics.series(scores)}, {}, [])
    assert contents.difference == pytest.approx(0.1)
    assert contents.difference_ci == pytest.approx([0.1, 0.1])


def test_the_gap_is_that_between_the_best_and_the_worst_subgroup() -> None:
    first = np.arange(60) < 30
    scores = np.where(first, 0.9, 0.6)[None].repeat(2, 0)
    contents = reading().arm(scores, {}, {"F": first, "M": ~first}, [])
    assert contents.subgroups == pytest.approx({"F": 0.9, "M": 0.6})
    assert contents.gap == pytest.approx(0.3)


def test_few_patients_of_a_group_have_no_interval() -> None:
    patients = [f"p{i % (FEWEST - 1)}" for i in range(60)]
    statistics = reading(60, patients)
    contents = statistics.mean(np.full((2, 60), 0.5))
    assert contents.value == 0.5 and contents.ci is None
    assert statistics.tested.images == [30, 30]
    assert max(statistics.tested.patients) < FEWEST


def test_resamples_that_say_nothing_are_left_out() -> None:
    assert value_and_interval(np.array([0.5, np.nan, np.nan])) == (0.5, None)
    value, ci = value_and_interval(np.array([0.5, 0.4, np.nan, 0.6]))
    assert value == 0.5 and ci is not None and ci[0] < 0.5 < ci[1]
