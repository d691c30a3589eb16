"""Features of sets -> metrics: in blocks as at once, from the disk as from memory."""

from __future__ import annotations

import numpy as np

from latentdrift.evaluate.features.feature_cache import keep
from latentdrift.evaluate.features.features import load_features
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics import feature_metrics
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.metrics.feature_metrics import Vectors, chart, distances
from latentdrift.resampling import Resampling


def people(n: int, seed: int, who: str) -> EvaluationImages:
    images = np.random.default_rng(seed).random((n, 8, 8, 3), dtype=np.float32)
    return EvaluationImages(images, [f"{who}{i // 2}" for i in range(n)])


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
