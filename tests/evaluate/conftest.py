"""Fixtures of the tests in this folder."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.features.features import BATCH
from latentdrift.evaluate.images.lazy_images import Pictures

N = 2 * BATCH + 3


@pytest.fixture
def values() -> np.ndarray:
    """Values of N random images."""
    return np.random.default_rng(0).random((N, 12, 12, 3), dtype=np.float32)


@pytest.fixture
def read() -> list[int]:
    """Places of the images that were read, in order."""
    return []


@pytest.fixture
def pictures(values: np.ndarray, read: list[int]) -> Pictures:
    """N images that are read when they are needed."""

    def one(place: int) -> np.ndarray:
        read.append(place)
        return values[place]

    return Pictures(one, (12, 12), [f"k{i}" for i in range(N)], [f"p{i}" for i in range(N)])
