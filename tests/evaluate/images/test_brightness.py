"""Brightness of known pictures: levels, and a background that is not black."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.images.brightness import background, levels


def test_levels_of_known_pictures() -> None:
    """Real pictures: a black border around 0.5. Synthetic: the border at 0.1 and 0.3, the inside as
    it should be."""
    real = np.zeros((3, 10, 10, 3))
    real[:, 2:8, 2:8] = 0.5
    synthetic = np.stack([np.where(real[0] == 0, level, 0.5) for level in (0.1, 0.3)])
    mask = background(real)
    assert mask is not None
    assert mask.sum() == 64
    found = levels(synthetic, real)
    assert found["background"] == pytest.approx(255 * 0.2)
    assert found["background_sd"] == pytest.approx(255 * 0.2 / 2**0.5)
    assert found["mean_error"] == pytest.approx(255 * 0.2 * 0.64)
    assert found["spread"] == pytest.approx(255 * 0.2 * 0.64 / 2**0.5)
    assert found["real_spread"] == 0
    assert found["real_background"] == 0
    framed = np.random.default_rng(0).uniform(size=(3, 10, 10, 3))  # pictures that fill the frame
    assert background(framed) is None
    assert levels(synthetic, framed)["background"] is None


def test_a_background_need_not_be_black() -> None:
    """One picture's nothing is at 17 of 255, another's at 40: each is measured against its own."""
    real = np.zeros((2, 10, 10, 3)) + np.array([17, 40])[:, None, None, None] / 255
    real[:, 3:7, 3:7] = 0.8
    mask = background(real)
    assert mask is not None and mask.sum() == 100 - 16
    assert levels(real, real)["real_background"] == pytest.approx((17 + 40) / 2)
