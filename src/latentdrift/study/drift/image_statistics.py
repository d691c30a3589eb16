"""Pictures -> the numbers of each that are compared: one array per row of DISTANCES, one row per
picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.features.features import Space, load_features
from latentdrift.evaluate.metrics import distribution_metrics
from latentdrift.evaluate.metrics.distribution_metrics import DistanceMetric
from latentdrift.evaluate.metrics.intensity_metrics import INTENSITIES
from latentdrift.evaluate.statistics import bootstrap
from latentdrift.model.base import Base
from latentdrift.resampling import Resampling

BATCH = 8  # pictures at a time
MAX_REAL_IMAGES = 2000  # real pictures; a larger set is sampled down

Numbers = dict[str, np.ndarray]
"""Row of DISTANCES -> what each picture is to it, [N, K]."""

# The first decides; the kernel distance in the pocket base's features stands beside them.
DISTANCES: dict[str, distribution_metrics.Distance] = {
    name: row.distance for name, row in INTENSITIES.items()
} | {"kid": distribution_metrics.DISTANCES["kid"]}
DECIDES = next(iter(DISTANCES))


@dataclass(frozen=True)
class TargetSummary:
    """Size of the set of real images that a search aims at."""

    split: str
    images: int
    patients: int | None
    """None where they are not known."""


@dataclass(frozen=True)
class ImageStatistics:
    """Reads pictures with the autoencoder of a base and the features of the pocket base."""

    base: Base
    features: Space

    @classmethod
    def open(cls, base: Base) -> ImageStatistics:
        """Load the feature space, for images of a base.

        Args:
            base: Base whose autoencoder encodes the images.
        """
        pocket = Base.load("pocket", device=str(base.device), precision="fp32")
        spaces = load_features(
            ["pocket"],
            pocket=pocket.features,
            resolution=pocket.resolution,
            device=str(pocket.device),
        )
        return cls(base, spaces["pocket"])

    def __call__(self, pictures: np.ndarray) -> Numbers:
        """Measure images [N, R, R, 3] in [0, 1]."""
        statistics = {
            name: row.of_pictures(pictures) for name, row in INTENSITIES.items() if row.of_pictures
        }
        mean, _ = self.base.moments(
            2 * torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))) - 1
        )
        return statistics | {
            "latent-dc": mean.mean((2, 3)).cpu().numpy(),
            "kid": self.features(pictures),
        }

    def all(self, pictures: Iterable[np.ndarray]) -> Numbers:
        """Measure many images, BATCH at a time.

        Args:
            pictures: Images [R, R, 3] in [0, 1].

        Returns:
            Row of DISTANCES -> values [N, K].
        """
        parts = []
        waiting = []
        for picture in pictures:
            waiting.append(picture)
            if len(waiting) == BATCH:
                parts.append(self(np.stack(waiting)))
                waiting = []
        parts += [self(np.stack(waiting))] if waiting else []
        return {name: np.concatenate([part[name] for part in parts]) for name in DISTANCES}


@dataclass(frozen=True)
class Target:
    """The real pictures that synthetic ones should be like."""

    split: str
    rows: pd.DataFrame
    patients: list[str] | None

    @classmethod
    def of(cls, cohort: Cohort, seed: int) -> Target:
        """Choose the real images: the validation split, or the train split without one.

        Never the test split, on which drift is evaluated later.

        Args:
            cohort: The cohort.
            seed: Seed of the choice among more than MAX_REAL_IMAGES images.
        """
        split = "validation" if len(cohort.rows("validation")) else "train"
        rows = cohort.rows(split)
        if len(rows) > MAX_REAL_IMAGES:
            rows = rows.iloc[
                np.sort(
                    bootstrap.rng(seed, "target").choice(len(rows), MAX_REAL_IMAGES, replace=False)
                )
            ]
        return cls(split, rows, list(rows["patient"]) if rows["patient"].notna().all() else None)

    @property
    def summary(self) -> TargetSummary:
        """Split, and numbers of images and patients."""
        patients = None if self.patients is None else len(set(self.patients))
        return TargetSummary(self.split, len(self.rows), patients)

    def pictures(self, cohort: Cohort, resolution: int) -> Iterable[np.ndarray]:
        """Read the images one by one, [R, R, 3] in [0, 1].

        Args:
            cohort: The cohort.
            resolution: R, pixels on a side.
        """
        for position in range(len(self.rows)):
            yield np.moveaxis(
                (cohort.batch(self.rows.iloc[[position]], resolution)[0] + 1) / 2, 0, -1
            ).clip(0, 1)


def compare(
    real: Numbers, synthetic: Numbers, patients: list[str] | None, resampling: Resampling
) -> dict[str, DistanceMetric]:
    """Distances between real and synthetic images with interval and floor, see `judge`.

    Args:
        real: Values of real images, from `ImageStatistics`.
        synthetic: Values of synthetic images.
        patients: Patient of each real image; None: unknown.
        resampling: Resamples behind the intervals.

    Returns:
        Row of DISTANCES -> metric.
    """
    return {
        name: distribution_metrics.judge(
            row, real[name], synthetic[name], patients, resampling=resampling
        )
        for name, row in DISTANCES.items()
    }
