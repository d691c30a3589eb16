"""Features of sets -> metrics: in blocks as at once, from the disk as from memory."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.features import nearest_neighbours
from latentdrift.evaluate.features.feature_cache import keep
from latentdrift.evaluate.features.features import load_features
from latentdrift.evaluate.features.nearest_neighbours import nearest_features, same_patient
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics import feature_metrics
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.metrics.feature_metrics import Vectors, chart, distances
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


def test_features_on_disk_give_the_numbers_of_features_in_memory(tmp_path):
    real = people(30, 0, "p")
    made = people(24, 1, "q")
    train = people(20, 2, "t")
    spaces = load_features(["pocket"], pocket=lambda x: x.flatten(1)[:, :6], resolution=8)
    found = []
    for space in (spaces["pocket"], keep(spaces, tmp_path)["pocket"]):
        vectors = Vectors.of("pocket", space, real, made, train)
        metrics, few = distances(vectors, real.patients, resampling=Resampling(10))
        assert not few and list(metrics) == [f"{name}.pocket" for name in DISTANCES]
        found.append(
            metrics
            | feature_metrics.keeps_distance(vectors, real, made, train, resampling=Resampling(10))
            | {"map": chart(vectors, 0)}
        )
    assert found[0] == found[1]


def test_shared_patients_leave_memorisation_out():
    real = people(30, 0, "p")
    made = people(24, 1, "q")
    space = load_features(["pocket"], pocket=lambda x: x.flatten(1)[:, :6], resolution=8)["pocket"]
    for train, unseen in ((people(20, 2, "t"), True), (people(20, 2, "p"), False), (None, False)):
        assert Vectors.of("pocket", space, real, made, train).unseen is unseen
