"""A trial's task: telling two classes of pictures apart, by the area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.experiment_statistics import Measure
from latentdrift.evaluate.downstream.tstr import Labelled, seconds_per_step, utility
from latentdrift.evaluate.features.classifier import SMALL, Network
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import part_of, rng

MAX_IMAGES = 1000  # pictures of a set that are learned from or tested on; more are sampled down


@dataclass(frozen=True)
class Classifying:
    """Images of one class against the rest; see `trial.Task`."""

    classes: Classes
    network: Network = SMALL

    @property
    def about(self) -> dict[str, Any]:
        groups = ["without it", "with it"]
        return {
            "classes": str(self.classes),
            "groups": groups,
            "network": self.network.name,
            "measure": "AUC",
        }

    def known(
        self, images: EvaluationImages, what: str, seed: int
    ) -> tuple[Labelled, EvaluationImages]:
        """At most MOST pictures whose class is known.

        Raises:
            InputError: No such column, or too few pictures of a class.
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
        """Log-odds [N]."""
        settings: Any = {
            "steps": steps,
            "network": self.network,
            "augmentation": augmentation,
            "device": device,
        }
        return utility(stages, test, seed=seed, resampling=None, **settings).scores

    def score(self, test: Labelled) -> Measure:
        """The area under the curve; NaN where the weights leave one class alone."""
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
        """AUC of any order of the images that does not look at them."""
        return 0.5

    def seconds_per_step(self) -> float:
        """Wall time of a step on this machine."""
        return seconds_per_step(self.network)
