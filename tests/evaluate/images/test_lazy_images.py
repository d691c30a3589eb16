"""Images that are read when they are needed: indexed as an array, and in order."""

from __future__ import annotations

import time

import numpy as np
import pytest

from latentdrift.errors import InputError
from latentdrift.evaluate.features.features import BATCH
from latentdrift.evaluate.images.lazy_images import Pictures, batches

N = 2 * BATCH + 3


def test_pictures_are_indexed_as_an_array_is(pictures, values):
    assert pictures.shape == values.shape and len(pictures) == N
    for at in (3, slice(2, 7), np.array([5, 1, 1]), values[:, 0, 0, 0] > 0.5, slice(None)):
        assert np.array_equal(pictures[at], values[at])
    assert np.array_equal(np.asarray(pictures), values) and np.array_equal(
        np.stack(list(pictures)), values
    )
    assert np.array_equal(pictures.take(np.array([4, 9])).take(np.array([1]))[:], values[[9]])


def test_a_picture_that_is_none_is_named_when_it_is_read(pictures, values):
    values[4] = np.nan
    with pytest.raises(InputError, match="p4 holds values"):
        pictures[4]


def test_pictures_that_are_read_at_one_time_keep_their_order(values, monkeypatch):
    """Each waits longer than the next one, and of two that are none the first is named."""
    monkeypatch.setattr("latentdrift.evaluate.images.lazy_images.READERS", 8)

    def one(place: int) -> np.ndarray:
        time.sleep((N - place) / 1000)
        return values[place]

    slow = Pictures(one, (12, 12), [str(i) for i in range(N)], [f"p{i}" for i in range(N)])
    assert np.array_equal(slow[:], values)
    values[[3, 6]] = np.nan
    with pytest.raises(InputError, match="p3 holds values"):
        slow[:8]


def test_batches_are_all_images_in_their_order(pictures, values, read):
    parts = list(batches(pictures, BATCH))
    assert not read and [len(part) for part in parts] == [BATCH, BATCH, 3]
    np.testing.assert_array_equal(np.concatenate([part[:] for part in parts]), values)
    np.testing.assert_array_equal(np.concatenate(list(batches(values, 5))), values)
