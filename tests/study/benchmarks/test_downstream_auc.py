"""AUC of a classifier that learned from the images of a row."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.study.benchmarks import downstream_auc
from latentdrift.study.benchmarks.downstream_auc import ClassifierTest, taught


def test_the_classifier_learns_from_the_pictures_of_its_row(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training pictures that stand for synthetic ones: with their own rows the AUC is 1, with the
    other class's it is 0."""
    asked = ClassifierTest(
        cohort,
        Classes("diagnosis", "dementia"),
        resolution=32,
        steps=20,
        resamples=10,
        device="cpu",
        seed=0,
    )
    rows = cohort.rows("train")
    pictures = list((np.moveaxis(cohort.batch(rows, 32), 1, -1) + 1) / 2)
    swapped = rows.assign(
        diagnosis=rows["diagnosis"].map({"dementia": "no dementia", "no dementia": "dementia"})
    )
    assert asked(pictures, rows, real=False, seed=0).auc == 1
    assert asked(pictures, swapped, real=False, seed=0).auc == 0
    ill = int((rows["diagnosis"] == "dementia").sum())
    assert asked([], rows[:0], real=True, seed=0).trained == [(18 - ill, ill)]
    seen: list[int] = []
    take = downstream_auc.Labelled.take
    monkeypatch.setattr(
        downstream_auc.Labelled, "take", lambda self, n, seed: seen.append(n) or take(self, n, seed)
    )
    assert sum(asked(pictures[:9], rows[:9], real=True, seed=0).trained[0]) == 18
    assert seen == [9]


def test_more_real_pictures_than_can_be_learned_are_sampled(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downstream_auc, "MAX_REAL_IMAGES", 10)
    by = Classes("diagnosis", "dementia")
    assert len(taught(cohort, by, 0)) == 10
    assert (
        list(taught(cohort, by, 0).index)
        == list(taught(cohort, by, 0).index)
        != list(taught(cohort, by, 1).index)
    )
