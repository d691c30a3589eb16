"""Precision, recall, density and coverage against the prdc package, and where the answer is
known."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES, judge
from latentdrift.evaluate.metrics.prdc import (
    LISTED,
    K,
    coverage,
    density,
    neighbourhoods,
    neighbours,
    precision,
    recall,
)
from latentdrift.evaluate.statistics.bootstrap import draws, rng
from latentdrift.resampling import Resampling

ROWS = {"precision": precision, "recall": recall, "density": density, "coverage": coverage}


def normal(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, scale, size=(n, d))


def all_four(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    return weighted(a, b, np.ones(len(a)), np.ones(len(b)))


def weighted(a: np.ndarray, b: np.ndarray, wa: np.ndarray, wb: np.ndarray) -> dict[str, float]:
    at = neighbourhoods(a, b)(wa, wb)
    return {name: score(at) for name, score in ROWS.items()}


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 0.3), (1.5, 0.5)])
def test_agrees_with_the_prdc_package(scale, shift):
    prdc = pytest.importorskip("prdc")
    a = normal(80, 6, 0)
    b = normal(60, 6, 1, scale, shift)
    expected = prdc.compute_prdc(a, b, nearest_k=K)
    assert all_four(a, b) == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-6
    )


def test_identical_sets():
    """Each ball holds its own picture and k - 1 others: density is exactly 1."""
    a = normal(40, 5, 0)
    assert all_four(a, a) == pytest.approx(
        {"precision": 1, "recall": 1, "density": 1, "coverage": 1}
    )


def test_sets_far_apart():
    assert all_four(normal(40, 5, 0), normal(30, 5, 1, shift=1e4)) == dict.fromkeys(ROWS, 0.0)


def test_one_good_picture_over_and_over_has_precision_without_coverage():
    """All of the mass in a real picture: of n real balls only those that reach it are covered, and
    nothing is recalled."""
    a = normal(50, 3, 0)
    found = all_four(a, np.repeat(a[:1], 40, axis=0))
    assert found["precision"] == 1 and found["recall"] == 0 and found["coverage"] < 0.3


def test_half_of_the_modes():
    """Two clusters, of which one is made: half is covered and recalled, all of it is right."""
    a = np.concatenate([normal(40, 3, 0), normal(40, 3, 1, shift=100)])
    found = all_four(a, normal(400, 3, 2, 0.5))
    assert found["precision"] > 0.99 and found["coverage"] == 0.5 and found["recall"] <= 0.5


def test_weights_leave_pictures_out():
    a = normal(50, 4, 0)
    b = normal(40, 4, 1)
    keep = np.arange(50) < 30
    assert weighted(a, b, keep.astype(float), np.ones(40)) == pytest.approx(all_four(a[keep], b))


def test_the_kth_neighbour_may_lie_beyond_the_listed_ones():
    """Of 400 images 30 are there: most of their neighbours are not among the nearest LISTED."""
    a = normal(400, 4, 0)
    keep = np.arange(400) % 13 == 0
    assert LISTED < 400 and keep.sum() == 31
    assert weighted(a, a, keep.astype(float), keep.astype(float)) == pytest.approx(
        all_four(a[keep], a[keep])
    )


def test_a_repetition_is_no_neighbour():
    """A resample that holds every picture twice scores as the set does."""
    a = normal(30, 4, 0)
    b = normal(30, 4, 1)
    assert weighted(a, b, np.full(30, 2.0), np.full(30, 2.0)) == pytest.approx(all_four(a, b))


def test_density_of_resamples_is_not_inflated():
    a = normal(60, 4, 0)
    b = normal(60, 4, 1)
    at = neighbourhoods(a, b)
    pairs = zip(
        draws(np.arange(60), 100, rng(0, "a")), draws(np.arange(60), 100, rng(0, "b")), strict=True
    )
    assert np.mean([density(at(*pair)) for pair in pairs]) == pytest.approx(
        density(at(np.ones(60), np.ones(60))), rel=0.12
    )


def test_k_is_capped_and_told():
    assert neighbours(100, 6) == 5 and neighbours(4, 100) == 3
    assert (
        judge(DISTANCES["coverage"], normal(4, 2, 0), normal(10, 2, 1), resampling=Resampling(10)).k
        == 3
    )
    assert (
        judge(
            DISTANCES["coverage"], normal(40, 2, 0), normal(30, 2, 1), resampling=Resampling(10)
        ).k
        == K
    )


def test_an_interval_stays_within_what_is_possible():
    for name in ROWS:
        out = judge(
            DISTANCES[name], normal(40, 4, 0), normal(30, 4, 1, 0.3), resampling=Resampling(50)
        )
        assert 0 <= out.ci[0] <= out.value <= out.ci[1] and (name == "density" or out.ci[1] <= 1)


def test_real_against_real_is_the_value_to_reach():
    """Sets of one distribution reach the floor; a narrow one keeps its precision and loses its
    coverage."""
    real = normal(120, 4, 0)
    patients = [str(i // 2) for i in range(120)]
    alike = judge(
        DISTANCES["coverage"], real, normal(120, 4, 1), patients, resampling=Resampling(10)
    )
    narrow = judge(
        DISTANCES["coverage"], real, normal(120, 4, 1, 0.2), patients, resampling=Resampling(10)
    )
    assert (
        alike.matched == pytest.approx(alike.floor, abs=0.08)
        and narrow.matched < 0.6 * narrow.floor
    )
