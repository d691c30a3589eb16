"""Two sets of features -> every row of DISTANCES, nearness to the training images, and a map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate.features.nearest_neighbours import (
    nearest_features,
    nearness,
    same_patient,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages, contents
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES, judge_together
from latentdrift.evaluate.statistics.bootstrap import part_of, rng, units_of
from latentdrift.evaluate.statistics.results import Metric, ResultModel
from latentdrift.resampling import Resampling

MAP_POINTS = 500  # of each set, in the map
MAX_MAP_IMAGES = 5000  # real images behind its axes


@dataclass(frozen=True)
class Vectors:
    """Features of the sets in one space, [N, D] each; mapped from the disk where they are kept
    there."""

    label: str
    real: np.ndarray
    synthetic: np.ndarray
    train: np.ndarray | None
    unseen: bool
    """Whether the real images are of patients whom the training set does not hold; else nothing is
    said of memorisation."""

    @classmethod
    def of(
        cls,
        label: str,
        space: Callable[..., Any],
        real: EvaluationImages,
        synthetic: EvaluationImages,
        train: EvaluationImages | None,
    ) -> Vectors:
        """Encode real, synthetic and training images in one feature space.

        Args:
            label: Name of the space.
            space: Images [N, H, W, 3] in [0, 1] -> features [N, D].
            real: Real images.
            synthetic: Synthetic images.
            train: Training images; None: unknown.

        Raises:
            InputError: The features are not one finite vector for each image.
        """
        ours = _encode(label, space, real)
        theirs = _encode(label, space, synthetic)
        known = None if train is None else _encode(label, space, train)
        return cls(label, ours, theirs, known, train is not None and not _overlap(real, train))

    def take(self, real: np.ndarray, synthetic: np.ndarray) -> Vectors:
        """Select images by their positions; the training images stay.

        Args:
            real: Positions of real images.
            synthetic: Positions of synthetic images.
        """
        return Vectors(
            self.label, self.real[real], self.synthetic[synthetic], self.train, self.unseen
        )


def distances(
    vectors: Vectors,
    patients: list[str] | None,
    whose: list[str] | None = None,
    *,
    resampling: Resampling,
) -> tuple[dict[str, Metric], list[str]]:
    """Compute the rows of DISTANCES for real and synthetic features.

    Rows that compare with training images are left out where those include the real images.

    Args:
        vectors: Features of the sets.
        patients: Patient of each real image; None: each image is its own.
        whose: Patient of each synthetic image; None: each image is its own.
        resampling: Resamples behind each interval.

    Returns:
        `<row>.<space>` -> metric; and a sentence for each row that needs more images.
    """
    metrics: dict[str, Metric] = {}
    possible = {name: row for name, row in DISTANCES.items() if vectors.unseen or not row.informed}
    images = min(len(vectors.real), len(vectors.synthetic))
    few = [
        f"{row.title} needs at least {row.min_images} images in each set and was left out."
        for row in possible.values()
        if images < row.min_images
    ]
    enough = [name for name, row in possible.items() if images >= row.min_images]
    for _, group in groupby(enough, key=lambda name: DISTANCES[name].prepare):
        names = list(group)
        together = judge_together(
            [DISTANCES[name] for name in names],
            vectors.real,
            vectors.synthetic,
            patients,
            whose=whose,
            train=vectors.train,
            resampling=resampling,
        )
        metrics |= {
            f"{name}.{vectors.label}": metric for name, metric in zip(names, together, strict=True)
        }
    return metrics, few


def keeps_distance(
    vectors: Vectors,
    real: EvaluationImages,
    synthetic: EvaluationImages,
    train: EvaluationImages,
    *,
    resampling: Resampling,
) -> dict[str, Metric]:
    """Distance of synthetic images to their nearest training image, over that of held-out images.

    Args:
        vectors: Features, with those of training images.
        real: Held-out real images.
        synthetic: Synthetic images.
        train: Training images.
        resampling: Resamples behind the interval.

    Returns:
        `nearest.<space>` -> the metric, see `nearness`.
    """
    assert vectors.train is not None
    near = nearest_features(vectors.synthetic, vectors.train).value
    usual = nearest_features(vectors.real, vectors.train, forbidden=same_patient(real, train)).value
    units = units_of(synthetic), units_of(real)
    return {f"nearest.{vectors.label}": nearness(near, usual, units, len(train), resampling)}


class FeatureMap(ResultModel):
    """First two principal components of the real features."""

    real: list[list[float]]
    synthetic: list[list[float]]
    explained: list[float]
    """Share of the real variance along each component."""


def chart(vectors: Vectors, seed: int) -> FeatureMap:
    """Project both sets to the plane in which the real features vary most (PCA).

    Args:
        vectors: Features.
        seed: Seed of the images in the plot.

    Returns:
        At most MAP_POINTS points [x, y] of each set.
    """
    generator = rng(seed, "map", vectors.label)
    real = np.asarray(
        vectors.real[part_of(len(vectors.real), MAX_MAP_IMAGES, generator)], dtype=np.float64
    )
    mean = real.mean(0)
    _, scale, axes = np.linalg.svd(real - mean, full_matrices=False)
    share = np.square(scale) / max(np.square(scale).sum(), 1e-300)
    points = []
    for x in (real, vectors.synthetic):
        keep = generator.permutation(len(x))[:MAP_POINTS]
        flat = np.zeros((len(keep), 2))
        flat[:, : min(2, len(axes))] = (np.asarray(x[keep], dtype=np.float64) - mean) @ axes[:2].T
        points.append(flat.tolist())
    return FeatureMap(real=points[0], synthetic=points[1], explained=share[:2].tolist())


def _encode(label: str, space: Callable[..., np.ndarray], images: EvaluationImages) -> np.ndarray:
    vectors = np.asanyarray(space(images.images))
    if vectors.ndim != 2 or len(vectors) != len(images):
        raise InputError(
            f"the features '{label}' of {len(images)} images have the shape {list(vectors.shape)}; "
            "one vector each is needed"
        )
    broken = [place for place, vector in enumerate(vectors) if not np.isfinite(vector).all()]
    if broken:
        raise InputError(
            f"the {label} features of {len(broken)} images are not finite, first of "
            f"{images.names[broken[0]]}; look at it"
        )
    return vectors


def _overlap(real: EvaluationImages, train: EvaluationImages) -> bool:
    """Whether a patient stands in both, or, where nobody knows, a picture."""
    if real.patients is not None and train.patients is not None:
        return not set(real.patients).isdisjoint(train.patients)
    return not set(contents(real)).isdisjoint(contents(train))
