"""AUC on the test split of a classifier that learned from a variant's images."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import pandas as pd

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.tstr import ClassifierScores, Labelled, utility
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics import bootstrap
from latentdrift.resampling import Resampling

MAX_REAL_IMAGES = (
    1000  # real pictures that a classifier learns from; a larger split is sampled down
)


def taught(cohort: Cohort, classes: Classes, seed: int) -> pd.DataFrame:
    """Training rows of known class, at most MAX_REAL_IMAGES.

    Args:
        cohort: The cohort.
        classes: Classes of the classifier.
        seed: Seed of the choice among more rows.
    """
    rows = cohort.rows("train")
    rows = rows[~np.isnan(classes.labels(rows))]
    if len(rows) > MAX_REAL_IMAGES:
        rows = rows.iloc[
            np.sort(bootstrap.rng(seed, "taught").choice(len(rows), MAX_REAL_IMAGES, replace=False))
        ]
    return rows


@dataclass(frozen=True)
class ClassifierTest:
    """Real pictures of the two classes: the train split to learn from, the test split to be tested
    on."""

    cohort: Cohort
    classes: Classes
    resolution: int
    """Pixels on a side of the synthetic images; real images pass through the same size."""
    steps: int
    resamples: int
    device: str
    seed: int
    """Seed of the choice of real training images."""

    @cached_property
    def train(self) -> Labelled:
        """Real training images with their classes."""
        return self._read(taught(self.cohort, self.classes, self.seed))

    @cached_property
    def test(self) -> Labelled:
        """Real test images with their classes."""
        rows = self.cohort.rows("test")
        return self._read(rows[~np.isnan(self.classes.labels(rows))])

    def __call__(
        self, pictures: Sequence[np.ndarray], rows: pd.DataFrame, *, real: bool, seed: int
    ) -> ClassifierScores:
        """The AUC after learning from synthetic pictures [R, R, 3] of rows; `real`: filled up with
        real ones to their number."""
        learned = (
            [Labelled.of(EvaluationImages(np.stack(pictures)), self.classes.labels(rows))]
            if len(pictures)
            else []
        )
        learned += [self.train.take(len(self.train) - len(pictures), seed)] if real else []
        return utility(
            [reduce(operator.add, learned)],
            self.test,
            steps=self.steps,
            seed=seed,
            resampling=Resampling(self.resamples, seed),
            device=self.device,
        )

    def _read(self, rows: pd.DataFrame) -> Labelled:
        return Labelled.of(
            image_sets.from_rows(self.cohort, rows, self.resolution), self.classes.labels(rows)
        )
