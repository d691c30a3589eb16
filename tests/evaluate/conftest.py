"""Fixtures of the tests in this folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from latentdrift.evaluate.critics import anatomy_critics, structure_views
from latentdrift.evaluate.evaluations import evaluation
from latentdrift.evaluate.features.features import BATCH
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.evaluate.privacy import copy_detection

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


@pytest.fixture
def few_searched_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are searched in 8 images of a set, and 3 altered training images are planted.

    tests/evaluate/privacy searches more.
    """
    disguises = dict(itertools.islice(copy_detection.DISGUISES.items(), 3))
    monkeypatch.setattr(evaluation, "MAX_SEARCHED", 8)
    monkeypatch.setattr(copy_detection, "DISGUISES", disguises)
    monkeypatch.setattr(copy_detection, "PLANTED", len(disguises))


@pytest.fixture(scope="module")
def small_critics() -> Iterator[None]:
    """Critics learn from few small images; tests/evaluate/critics tests their judgements."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (structure_views, "SIDE", 32),
            (structure_views, "SEEN", 32),
            (anatomy_critics, "LEARNED", 60),
            (anatomy_critics, "TRIED", 80),
        ):
            patch.setattr(module, name, value)
        yield
