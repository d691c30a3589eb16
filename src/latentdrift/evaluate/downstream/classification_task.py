"""A trial's task: telling two classes of pictures apart, by the area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate.downstream.augmentation_experiment import TaskDescription
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.experiment_statistics import Measure
from latentdrift.evaluate.downstream.tstr import Labelled, seconds_per_step, utility
from latentdrift.evaluate.features.classifier import SMALL, Network
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import part_of, rng

MAX_IMAGES = 1000  # pictures of a set that are learned from or tested on; more are sampled down


@dataclass(frozen=True)
class Classifying:
    """Images of one class against the rest; see `augmentation_experiment.Task`."""

    classes: Classes
    network: Network = SMALL

    @property
    def about(self) -> TaskDescription:
        """Words for reports."""
        groups = ["without it", "with it"]
        return TaskDescription(str(self.classes), groups, self.network.name, "AUC")

    def known(
        self, images: EvaluationImages, what: str, seed: int
    ) -> tuple[Labelled, EvaluationImages]:
        """Images whose class is known, at most MAX_IMAGES: as training data, and as a set.

        Args:
            images: The set.
            what: "train", "made" (synthetic) or "test".
            seed: Seed of the choice among more images.

        Raises:
            InputError: No such column, or too few images of a class.
        """
        if images.attributes is None or self.classes.attribute not in images.attributes:
            raise InputError(
                f"the {'synthetic' if what == 'made' else 'real'} images have no column "
                f"'{self.classes.attribute}' to learn {self.classes} from; give a cohort that has "
                "it"
            )
        labels = self.classes.labels(images.attributes)
        places = np.flatnonzero(~np.isnan(labels))
        places = part_of(places, MAX_IMAGES, rng(seed, "trial", what))
        if not len(places):
            raise InputError(
                f"no image of the {what} set says whether it is {self.classes}; give a cohort that "
                "does"
            )
        some = images.take(places)
        labelled = Labelled.of(some, labels[places].astype(int), self.network.size)
        labelled.check("tested" if what == "test" else "trained")
        return labelled, some

    def learn(
        self,
        stages: list[Labelled],
        test: Labelled,
        *,
        steps: int,
        seed: int,
        augmentation: str,
        device: str,
    ) -> np.ndarray:
        """Train a classifier on all stages; returns its log-odds [N] for the test images.

        Args:
            stages: Training data of each stage.
            test: Test data.
            steps: Optimiser steps over all stages.
            seed: Seed of weights and batches.
            augmentation: Row of AUGMENTATIONS.
            device: Device of the network.
        """
        return utility(
            stages,
            test,
            steps=steps,
            seed=seed,
            resampling=None,
            device=device,
            network=self.network,
            augmentation=augmentation,
        ).scores

    def score(self, test: Labelled) -> Measure:
        """Function of log-odds and image weights [N] -> area under the ROC curve.

        It is NaN where the weights leave one class only.

        Args:
            test: Test data.
        """
        from sklearn.metrics import roc_auc_score

        def area(scores: np.ndarray, weights: np.ndarray) -> float:
            counted = weights > 0
            if len(np.unique(test.labels[counted])) < 2:
                return float("nan")
            return float(
                roc_auc_score(test.labels[counted], scores[counted], sample_weight=weights[counted])
            )

        return area

    def chance(self, train: Labelled, test: Labelled) -> float:
        """AUC of any order that does not depend on the images: 0.5."""
        return 0.5

    def seconds_per_step(self) -> float:
        """Seconds of an optimiser step on this machine, from a few real steps."""
        return seconds_per_step(self.network)
