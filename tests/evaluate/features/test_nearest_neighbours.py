"""Nearest neighbours: in blocks as of the whole, and never of the same patient."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.features import nearest_neighbours
from latentdrift.evaluate.features.nearest_neighbours import (
    nearest_features,
    nearness,
    same_patient,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling


def normal(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def people(n: int, seed: int, who: str) -> EvaluationImages:
    images = np.random.default_rng(seed).random((n, 8, 8, 3), dtype=np.float32)
    return EvaluationImages(images, [f"{who}{i // 2}" for i in range(n)])


def test_neighbours_in_blocks_are_those_of_the_whole(monkeypatch):
    query = normal(23, 5, 0)
    train = normal(31, 5, 1)
    far = np.linalg.norm(query[:, None].astype(float) - train[None], axis=-1)
    for rows, columns in ((7, 4), (1000, 1000)):
        monkeypatch.setattr(nearest_neighbours, "ROWS", rows)
        monkeypatch.setattr(nearest_neighbours, "COLUMNS", columns)
        for sets in ([train], [train[:9], train[9:]]):
            found = nearest_features(query, *sets)
            assert found.index.tolist() == far.argmin(1).tolist() and found.value == pytest.approx(
                far.min(1), rel=1e-6
            )


def test_pairs_of_one_patient_do_not_count_in_any_block(monkeypatch):
    """Each query stands in the training set under its own patient: only others are left."""
    monkeypatch.setattr(nearest_neighbours, "ROWS", 3)
    monkeypatch.setattr(nearest_neighbours, "COLUMNS", 4)
    x = normal(10, 5, 0)
    whose = people(10, 0, "p")
    far = np.linalg.norm(x[:, None] - x[None], axis=-1)
    far[np.arange(10)[:, None] // 2 == np.arange(10) // 2] = np.inf
    found = nearest_features(x, x[:5], x[5:], forbidden=same_patient(whose, whose))
    assert (
        found.value == pytest.approx(far.min(1), rel=1e-6)
        and found.index.tolist() == far.argmin(1).tolist()
    )
    two = whose.take(np.arange(2))
    assert np.isnan(nearest_features(x[:2], x[:2], forbidden=same_patient(two, two)).value).all()


def test_the_nearest_feature_vector():
    train = np.array([[0.0, 0.0], [3.0, 4.0]])
    found = nearest_features(np.array([[0.0, 1.0], [3.0, 3.0]]), train)
    assert found.index.tolist() == [0, 1] and found.value == pytest.approx([1.0, 1.0])
    forbidden = np.array([[True, False], [True, True]])
    kept = nearest_features(
        np.array([[0.0, 1.0], [3.0, 3.0]]),
        train,
        forbidden=lambda rows, columns: forbidden[rows, columns],
    )
    assert kept.value == pytest.approx([np.sqrt(18), np.nan], nan_ok=True)


def test_nearness_is_a_ratio_to_strangers():
    units = np.arange(3), np.arange(4)
    out = nearness(
        np.array([1.0, 1.0, 4.0]), np.array([2.0, 2.0, 0.0, np.nan]), units, 9, Resampling(20)
    )
    assert out.value == pytest.approx(1.0) and out.n == {
        "real": 2,
        "synthetic": 3,
        "train": 9,
    }
    assert (
        nearness(
            np.ones(3), np.array([np.nan]), (units[0], np.zeros(1, int)), 9, Resampling(20)
        ).value
        is None
    )


def test_the_interval_of_nearness_knows_how_few_held_out_patients_there_are():
    """Synthetic pictures that do not differ: the interval is that of 1 over the mean of the
    held-out patients."""
    held_out = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    four_each = np.repeat(held_out, 4)
    units = np.repeat(np.arange(5), 4)
    few = nearness(np.ones(20), held_out, (np.arange(20), np.arange(5)), 9, Resampling(400))
    same = nearness(np.ones(20), four_each, (np.arange(20), units), 9, Resampling(400))
    assert few.ci == pytest.approx(same.ci) and np.ptp(few.ci) > 0.25
    assert (
        nearness(
            np.ones(20), four_each, (np.arange(20), np.repeat([0, 1], 10)), 9, Resampling(20)
        ).ci
        is None
    )
