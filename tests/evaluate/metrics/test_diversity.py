"""How alike the pictures of a set are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics.diversity import diversity, within
from latentdrift.evaluate.metrics.image_similarity import SIMILARITIES
from latentdrift.resampling import Resampling

ROW = SIMILARITIES["ms-ssim"]


def pictures(n: int, seed: int) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(n, 32, 32)), (0, 2, 2))
    return np.repeat(np.clip(0.5 + noise / noise.std() * 0.2, 0, 1)[..., None], 3, -1)


def gap(a: np.ndarray, b: np.ndarray, data_range: float) -> np.ndarray:
    return np.abs(a - b).mean((1, 2, 3))


def test_the_mean_over_pairs_in_closed_form():
    """Pictures of 0, 0, 1/2, 1: six pairs whose gaps are 0, 1/2, 1, 1/2, 1, 1/2."""
    flat = EvaluationImages(np.ones((4, 16, 16, 3)) * np.array([0, 0, 0.5, 1])[:, None, None, None])
    assert within(flat, "gap", gap, Resampling(50)).value == pytest.approx(3.5 / 6)


def test_pairs_of_one_patient_do_not_count():
    flat = np.ones((4, 16, 16, 3)) * np.array([0, 1, 0, 1])[:, None, None, None]
    assert within(
        EvaluationImages(flat, ["a", "a", "b", "b"]), "gap", gap, Resampling(10)
    ).value == pytest.approx(0.5)
    assert within(EvaluationImages(flat, ["a"] * 4), "gap", gap, Resampling(10)) is None


def test_a_generator_that_repeats_itself_is_noticed():
    real = EvaluationImages(pictures(30, 0), [str(i // 2) for i in range(30)])
    one = pictures(1, 1)
    collapsed = EvaluationImages(
        np.clip(one + np.random.default_rng(2).normal(0, 0.02, (30, 32, 32, 3)), 0, 1)
    )
    found = diversity(real, collapsed, "ms-ssim", ROW, Resampling(50))
    assert found.value > 0.8 > 0.4 > found.floor and found.n == {
        "real": 30,
        "synthetic": 30,
    }
    alike = diversity(real, EvaluationImages(pictures(30, 3)), "ms-ssim", ROW, Resampling(50))
    assert alike.floor_ci[0] < alike.value < alike.floor_ci[1]


def test_the_interval_covers_the_scatter_over_fresh_sets():

    def grey(seed: int) -> EvaluationImages:
        return EvaluationImages(
            np.ones((20, 12, 12, 3)) * np.random.default_rng(seed).random((20, 1, 1, 1))
        )

    truth = [within(grey(seed), "gap", gap, Resampling(10)).value for seed in range(100)]
    widths = [
        np.ptp(within(grey(seed), "gap", gap, Resampling(200)).ci) for seed in range(100, 110)
    ]
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(truth), rel=0.3)
