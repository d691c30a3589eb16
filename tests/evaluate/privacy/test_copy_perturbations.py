"""Disguises of planted copies: size and range stay, and turns and shifts are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from planted_brains import PLANTS, patients, reference
from scipy.ndimage import gaussian_filter

from latentdrift.evaluate.images.registration import nearest
from latentdrift.evaluate.privacy.copy_perturbations import DISGUISES, disguise
from latentdrift.evaluate.statistics.bootstrap import rng


@pytest.mark.parametrize("name", DISGUISES)
def test_brains_are_found_in_disguise_and_named(name):
    train, thresholds = reference("brain")
    found = nearest(disguise(name, patients("brain", 40, 1).images[:PLANTS], rng(0, name)), train)
    assert (
        thresholds.similarity(found) > thresholds.threshold
    ).all() and found.index.tolist() == list(range(PLANTS))


def test_a_disguise_keeps_size_and_range_and_changes_something():
    train = patients("brain", 40, 1).images[:2]
    for name in DISGUISES:
        made = disguise(name, train, rng(0, name))
        assert (
            made.shape == train.shape
            and made.min() >= 0
            and made.max() <= 1
            and (made[..., 0] == made[..., 2]).all()
        )
        assert np.allclose(made, train, atol=1e-6) == (name == "none")


def test_a_turn_and_a_shift_are_what_they_say():
    """A spot lands where geometry puts it: 5 degrees about the centre, 6 % of the frame."""
    spot = np.zeros((101, 101))
    spot[50, 90] = 1.0
    picture = np.repeat((gaussian_filter(spot, 2) * 20)[None, ..., None], 3, -1)

    def place(x):
        weights = x[0, ..., 0] / x[0, ..., 0].sum()
        return np.array([(weights * axis).sum() for axis in np.mgrid[:101, :101]])

    turned, shifted = (
        place(disguise(name, picture, rng(0))) for name in ("turned by 5 degrees", "shifted by 6 %")
    )
    assert abs(turned[0] - 50) == pytest.approx(40 * np.sin(np.deg2rad(5)), abs=0.1)
    assert turned[1] - 50 == pytest.approx(40 * np.cos(np.deg2rad(5)), abs=0.1)
    assert np.hypot(*(shifted - [50, 90])) == pytest.approx(0.06 * 101, abs=0.1)
