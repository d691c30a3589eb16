"""Metrics of visits: closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.attributes.visit_metrics import (
    BLURS,
    RATIOS,
    change_metrics,
    coverage,
    pooled,
    volume_metrics,
)
from latentdrift.longitudinal.tissue_volumes import TissueVolumes


def visits(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    first, last = np.random.default_rng(seed).uniform(size=(2, 64, 64))
    return first, last


def of_one(name: str, metrics: dict[str, float]) -> float:
    above, below = RATIOS[name].parts(metrics)
    return RATIOS[name].value(np.array([above]), np.array([below]), np.ones(1))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 2.0])
def test_a_share_of_the_true_change_reduces_the_error_by_its_parabola(share: float) -> None:
    first, last = visits()
    metrics = change_metrics(first, first + share * (last - first), last)
    for blur in BLURS:
        assert of_one(f"error_reduction_{blur}", metrics) == pytest.approx(1 - (1 - share) ** 2)
        if share:
            assert metrics[f"change_r_{blur}"] == pytest.approx(1)
        else:
            assert f"change_r_{blur}" not in metrics  # no change has no direction


def test_a_blur_forgives_what_is_displaced_by_less() -> None:
    """A change in the right region, one pixel aside, is right after a blur and wrong before."""
    first = np.zeros((64, 64))
    last, edited = first.copy(), first.copy()
    last[20:40:2] = 1.0
    edited[21:41:2] = 1.0
    metrics = change_metrics(first, edited, last)
    assert metrics["change_r_1"] < 0 < 0.8 < metrics["change_r_6"]


def test_sums_are_pooled_before_they_are_divided() -> None:
    """A patient without change cannot dominate, and weights count a patient twice."""
    ratio = RATIOS["error_reduction_4"]
    above, below = np.array([1.0, 2.0]), np.array([2.0, 100.0])
    assert ratio.value(above, below, np.ones(2)) == pytest.approx(1 - 3 / 102)
    assert ratio.value(above, below, np.array([2.0, 0.0])) == pytest.approx(0.5)


@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
def test_volumes_have_the_r2_and_slope_of_their_size(size: float) -> None:
    """A prediction of twice the change has a slope of one half."""
    first = TissueVolumes(0.2, 0.05, 0.4, 0.4)
    last = TissueVolumes(0.24, 0.07, 0.38, 0.38)
    edited = TissueVolumes(0.2 + size * 0.04, 0.05 + size * 0.02, 0.4, 0.4)
    metrics = volume_metrics(first, edited, last)
    assert metrics["true_fluid_change"] == pytest.approx(0.04)
    for name in ("fluid", "ventricles"):
        assert of_one(f"{name}_r2", metrics) == pytest.approx(1 - (1 - size) ** 2)
        assert of_one(f"{name}_slope", metrics) == pytest.approx(1 / size)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_an_interval_covers_as_many_new_draws_as_it_says(n: int) -> None:
    """Samples and truth of one normal distribution: 95 % at each number of samples."""
    draws = np.random.default_rng(0).normal(0.5, 0.1, (n + 1, 256, 256))
    found = coverage(np.full((256, 256), 0.4), draws[:-1], draws[-1])["coverage"]
    assert found == pytest.approx(0.95, abs=0.005)  # four standard errors of 65,536 pixels: 0.0034


def test_an_interval_too_narrow_covers_less_and_equal_pixels_do_not_count() -> None:
    draws = np.random.default_rng(0).normal(0.5, 0.1, (11, 128, 128))
    first = np.full((128, 128), 0.4)
    assert coverage(first, 0.5 + (draws[:-1] - 0.5) / 4, draws[-1])["coverage"] < 0.5
    half = np.where(np.arange(128) < 64, draws, 0.2)
    assert coverage(first, half[:-1], draws[-1])["coverage"] == pytest.approx(0.95, abs=0.02)
    assert coverage(first, np.stack([first, first]), draws[-1]) == {}


PEOPLE = np.arange(6)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_pooled_metric_is_the_quotient_of_sums_with_an_interval_over_patients() -> None:
    results = [{"error_4": e, "unchanged_4": 1.0} for e in (0.5, 0.6, 0.4, 0.5, 0.5, 0.5)]
    found = pooled(RATIOS["error_reduction_4"], results, PEOPLE, 400, rng())
    assert found.value == pytest.approx(0.5) and found.n == 6
    assert 0.4 < found.ci[0] < 0.5 < found.ci[1] < 0.6


def test_images_of_one_patient_are_one_unit() -> None:
    """Six copies of one patient narrow nothing."""
    errors = np.array([0.2, 0.5, 0.8, 0.5])
    results = [{"error_4": e, "unchanged_4": 1.0} for e in errors]
    alone = pooled(RATIOS["error_reduction_4"], results, PEOPLE[:4], 400, rng())
    copied = pooled(RATIOS["error_reduction_4"], results * 6, np.tile(PEOPLE[:4], 6), 400, rng())
    assert copied.value == pytest.approx(alone.value)
    assert np.ptp(copied.ci) == pytest.approx(np.ptp(alone.ci), rel=0.05)
