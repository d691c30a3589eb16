"""Classification task: images of a known class, and the area under the curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import InputError
from latentdrift.evaluate.downstream import classification_task
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.classification_task import Classifying
from latentdrift.evaluate.images.image_sets import EvaluationImages


@pytest.fixture(scope="module")
def task(tiny_cohort_folder: Path) -> Classifying:
    cohort = Cohort.load(tiny_cohort_folder)
    classes = Classes.of(cohort, "diagnosis=dementia", option="utility", splits=("train",))
    return Classifying(classes)


def images(words: list[str | None], column: str = "diagnosis") -> EvaluationImages:
    pictures = np.random.default_rng(0).random((len(words), 16, 16, 3), dtype=np.float32)
    return EvaluationImages(pictures, attributes=pd.DataFrame({column: words}))


WORDS = ["dementia", "no dementia"] * 6


def test_images_of_an_unknown_class_are_left_out(task: Classifying) -> None:
    labelled, chosen = task.known(images([*WORDS, None, None]), "train", 0)
    assert len(chosen) == len(WORDS)
    assert labelled.labels.tolist() == [int(word == "dementia") for word in WORDS]
    assert task.about.measure == "AUC" and "dementia" in task.about.classes


def test_more_images_than_can_be_learned_are_sampled(
    task: Classifying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classification_task, "MAX_IMAGES", 60)
    labelled, chosen = task.known(images(WORDS * 10), "test", 0)
    assert len(chosen) == len(labelled.labels) == 60


@pytest.mark.parametrize(
    ("given", "what", "message"),
    [
        (images(WORDS, "label"), "made", "the synthetic images have no column 'diagnosis'"),
        (images(WORDS, "label"), "test", "the real images have no column 'diagnosis'"),
        (images([None] * 4), "test", "no image of the test set says whether it is"),
    ],
)
def test_sets_without_classes_are_refused(
    given: EvaluationImages, what: str, message: str, task: Classifying
) -> None:
    with pytest.raises(InputError, match=message):
        task.known(given, what, 0)


def test_the_score_is_the_weighted_area(task: Classifying) -> None:
    test, _ = task.known(images(WORDS), "test", 0)
    area = task.score(test)
    scores = np.random.default_rng(0).normal(size=len(WORDS))
    weights = np.random.default_rng(1).integers(0, 3, len(WORDS)).astype(float)
    expected = roc_auc_score(test.labels, scores, sample_weight=weights)
    assert area(scores, weights) == pytest.approx(expected)
    assert np.isnan(area(scores, test.labels.astype(float)))
    assert task.chance(test, test) == 0.5
