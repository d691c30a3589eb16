"""Metrics of visits: closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.attributes.tissue_volumes import TissueVolumes
from latentdrift.evaluate.attributes.visit_metrics import (
    BLURS,
    RATIOS,
    change_metrics,
    volume_metrics,
)


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
