"""Gain of a scanner, beside what has changed in the patient."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.phantom import phantom
from latentdrift.data.registration.intensities import gain

SIDE = 128


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_the_gain_is_that_of_tissue_and_not_of_what_has_changed(factor: float) -> None:
    """Atrophy darkens a ring of pixels; the gain stays that of the scanner."""
    row = phantom.kind_of("brain")
    state = row.history(np.random.default_rng(1), 1)[0].attributes
    young, old = (
        row.render(1, type(state)(**{**vars(state), "age": age}), visit=1, size=SIDE)
        for age in (60, 75)
    )
    assert gain(young, old / factor) == pytest.approx(factor, rel=0.01)


def test_nothing_has_no_gain() -> None:
    assert gain(np.zeros((32, 32)), np.ones((32, 32))) == 1
