"""Scanner of the phantoms: fields, edges and noise against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.phantom.phantom_scanner import field, generator, grid, ramp, scan, splines


def test_pixel_centres_lie_symmetrically_and_y_points_up():
    x, y = grid(4, 8.0)
    np.testing.assert_allclose(x[0], [-3, -1, 1, 3])
    np.testing.assert_allclose(y[:, 0], [3, 1, -1, -3])


def test_an_edge_is_a_line_from_0_to_1_over_its_width():
    shares = ramp(np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0]), 2.0)
    np.testing.assert_allclose(shares, [0, 0, 0.25, 0.5, 0.75, 1, 1])


def test_a_field_has_unit_variance_at_every_pixel_and_is_smooth():
    np.testing.assert_allclose((splines(5, 32) ** 2).sum(1), 1.0, rtol=1e-5)
    drawn = np.stack([field(np.random.default_rng(seed), 3, 16) for seed in range(800)])
    assert abs(drawn.mean()) < 0.05
    np.testing.assert_allclose(drawn.var(0), 1.0, atol=0.25)
    steps = np.diff(drawn, axis=1)
    assert steps.std() < 0.5  # white noise has the square root of 2


def test_a_part_of_a_subject_has_its_own_generator():
    first = generator(7, "visit", 2).random(4)
    np.testing.assert_array_equal(first, generator(7, "visit", 2).random(4))
    others = (generator(8, "visit", 2), generator(7, "visit", 3), generator(7, "bias", 2))
    assert all(not np.array_equal(first, other.random(4)) for other in others)


def test_a_perfect_scanner_is_the_picture_itself():
    clean = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    scanned = scan(clean, np.random.default_rng(1), noise=0.0, bias=0.0, blur=0.0)
    np.testing.assert_array_equal(scanned, clean)


def test_noise_without_signal_is_a_rayleigh_distribution():
    """Mean sigma sqrt(pi / 2), variance (2 - pi / 2) sigma squared."""
    empty = np.zeros((256, 256), np.float32)
    noisy = scan(empty, np.random.default_rng(0), noise=0.1, bias=0.0, blur=0.0)
    assert noisy.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.01)
    assert noisy.var() == pytest.approx((2 - np.pi / 2) * 0.01, rel=0.03)


def test_blur_keeps_the_mean_and_lowers_the_spread():
    clean = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    blurred = scan(clean, np.random.default_rng(1), noise=0.0, bias=0.0, blur=2.0)
    assert blurred.mean() == pytest.approx(clean.mean(), abs=0.01)
    assert blurred.std() < 0.3 * clean.std()
