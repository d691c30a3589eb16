"""Resampling: one generator for each named place under the seed."""

from __future__ import annotations

import numpy as np

from latentdrift.resampling import Resampling
from latentdrift.seeds import derive


def test_a_place_has_a_generator_of_its_own() -> None:
    resampling = Resampling(20, 7)
    first = resampling.rng("halves", 0).random(4)
    np.testing.assert_array_equal(first, np.random.default_rng(derive(7, "halves", 0)).random(4))
    others = (resampling.rng("halves", 1), Resampling(20, 8).rng("halves", 0))
    assert all(not np.array_equal(first, other.random(4)) for other in others)


def test_the_number_of_resamples_does_not_change_them() -> None:
    first, second = (Resampling(n, 7).rng("draws").random(3) for n in (10, 1000))
    np.testing.assert_array_equal(first, second)
