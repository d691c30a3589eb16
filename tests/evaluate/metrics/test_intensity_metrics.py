"""The L1 distances of the drift search against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from latentdrift.evaluate.metrics.distribution_metrics import judge
from latentdrift.evaluate.metrics.intensity_metrics import INTENSITIES, distribution, l1, thumbnail
from latentdrift.resampling import Resampling


def flat(*values: float, size: int = 16) -> np.ndarray:
    """Pictures of one intensity each."""
    return np.broadcast_to(
        np.array(values, dtype=np.float32).reshape(-1, 1, 1, 1), (len(values), size, size, 3)
    )


def between(name: str, a: np.ndarray, b: np.ndarray) -> float:
    row = INTENSITIES[name]
    return row.distance.prepare(row.of_pictures(a), row.of_pictures(b))(
        np.ones(len(a)), np.ones(len(b))
    )


@pytest.mark.parametrize("name", ["intensity", "mean-image"])
def test_constant_pictures_are_as_far_apart_as_their_values(name: str) -> None:
    assert between(name, flat(0.2, 0.2), flat(0.6, 0.6, 0.6)) == pytest.approx(0.4, abs=1e-6)
    assert between(name, flat(0.2, 0.2), flat(0.2)) == 0


def test_a_shift_of_all_intensities_is_their_distance() -> None:
    pictures = np.random.default_rng(0).integers(0, 200, (5, 16, 16, 3)) / 255
    assert between("intensity", pictures, pictures + 51 / 255) == pytest.approx(0.2, abs=1e-6)


def test_intensities_are_those_of_scipy_on_the_pool() -> None:
    rng = np.random.default_rng(1)
    a = rng.beta(2, 5, (4, 16, 16, 3))
    b = rng.beta(3, 3, (6, 16, 16, 3))
    assert between("intensity", a, b) == pytest.approx(
        wasserstein_distance(a.ravel(), b.ravel()), abs=1e-3
    )


def test_one_set_of_intensities_in_other_places_differs_in_the_mean_image_only() -> None:
    left = np.zeros((2, 64, 64, 3))
    right = np.zeros((2, 64, 64, 3))
    left[:, :, :32], right[:, :, 32:] = 1, 1
    assert between("intensity", left, right) == 0
    assert between("mean-image", left, right) == pytest.approx(1)


def test_a_weight_is_a_repetition() -> None:
    a, b = (np.random.default_rng(seed).random((4, 16, 16, 3)) for seed in (2, 3))
    x = distribution(a)
    y = distribution(b)
    weighted = l1(x, y)(np.array([2.0, 0, 1, 1]), np.ones(4))
    assert weighted == pytest.approx(l1(x[[0, 0, 2, 3]], y)(np.ones(4), np.ones(4)))


def test_thumbnails_are_of_one_size() -> None:
    assert (
        thumbnail(flat(0.5, size=128)).shape
        == thumbnail(flat(0.5, size=32)).shape
        == (1, 3 * 64 * 64)
    )


def test_every_row_is_judged_with_interval_and_floor() -> None:
    rng = np.random.default_rng(4)
    for row in INTENSITIES.values():
        found = judge(
            row.distance,
            rng.normal(0, 1, (12, 4)),
            rng.normal(1, 1, (9, 4)),
            list("aabbccddeeff"),
            resampling=Resampling(50),
        )
        assert found.ci[0] < found.value < found.ci[1] and found.floor < found.value
