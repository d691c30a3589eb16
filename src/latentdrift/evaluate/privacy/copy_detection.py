"""Copies of training images among synthetic ones, and synthetic images that repeat one another.

Pixels: the similarity of `registration.py`, with the training picture mirrored, shifted, scaled and
    turned to fit: 1 for a copy.
Features: Euclidean distance to the nearest training picture in a feature space.
Both are read against held-out real patients, whose nearest training picture is by chance only. And
because a search that finds nothing may only be a poor search, training pictures in disguise are
planted among what is searched: how many of them are found is part of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from latentdrift.data.cohort.description import CohortInfo
from latentdrift.evaluate.features.nearest_neighbours import nearness, same, same_patient
from latentdrift.evaluate.images.disk_array import Pairs
from latentdrift.evaluate.images.fine_structure import Structure, structure
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.registration import Overlaid
from latentdrift.evaluate.images.registration import nearest as overlaid
from latentdrift.evaluate.images.search_workers import THIS_PROCESS, SearchWorkers
from latentdrift.evaluate.privacy.copy_perturbations import DISGUISES, disguise
from latentdrift.evaluate.statistics.bootstrap import (
    clustered_interval,
    proportion_interval,
    rng,
    units_of,
)
from latentdrift.evaluate.statistics.results import Interval, Metric, ResultModel
from latentdrift.resampling import Resampling

# Thresholds lie between; strangers reach 0.55 on OASIS-2 and 0.77 on phantom brains, copies 0.95
# and 0.98 at least.
THRESHOLD = (0.8, 0.99)
# robust standard deviations above held-out patients: 1 honest picture in 4,300, if Gaussian
DEVIATIONS = 3.5
PLANTED = len(DISGUISES)  # training pictures in disguise, one each


def threshold(held_out: np.ndarray) -> float:
    """Similarity above which an image counts as a copy.

    It lies DEVIATIONS robust standard deviations above the similarities of held-out patients, on
    Fisher's z scale (Fisher 1915). So duplicates among real images do not raise it. It is limited
    to THRESHOLD, the range of copies.

    Args:
        held_out: Similarity of each held-out image to its nearest training image, [N].
    """
    known = np.asarray(held_out)[np.asarray(held_out) > -1]
    if len(known) < 5:
        return sum(THRESHOLD) / 2
    z = np.arctanh(np.clip(known, -0.999, 0.999))
    spread = np.quantile(z, 0.8413) - np.median(
        z
    )  # one standard deviation of a Gaussian, from its upper half
    return float(np.clip(np.tanh(np.median(z) + DEVIATIONS * spread), *THRESHOLD))


@dataclass(frozen=True)
class CopyThresholds:
    """Thresholds between copies and other patients, from held-out patients. There are two
    similarities; either one suffices.

    Attributes:
        threshold: The similarity above which a picture is a copy.
        fine: The same of structure that is twice as fine.
    """

    threshold: float
    fine: float

    @classmethod
    def of(cls, held_out: Overlaid) -> CopyThresholds:
        """Thresholds for both similarities, from the nearest training images of held-out
        patients."""
        return cls(threshold(held_out.value), threshold(held_out.fine))

    def similarity(self, overlaid_images: Overlaid) -> np.ndarray:
        """Combine both similarities into one, [N]: the larger.

        The finer one is shifted on Fisher's z scale, so that its threshold meets that of the other.

        Args:
            overlaid_images: Nearest training images.
        """
        coarse, fine, *limits = (
            np.arctanh(np.clip(x, -0.9999, 0.9999))
            for x in (overlaid_images.value, overlaid_images.fine, self.threshold, self.fine)
        )
        moved = fine + limits[0] - limits[1]
        return np.where(overlaid_images.value > -1, np.tanh(np.maximum(coarse, moved)), -1.0)


def search(
    synthetic: EvaluationImages,
    train: EvaluationImages,
    real: EvaluationImages,
    workers: SearchWorkers = THIS_PROCESS,
) -> tuple[CopyThresholds, Overlaid, Overlaid]:
    """Thresholds, and the nearest training image of synthetic and of held-out images.

    Args:
        synthetic: Images to search for copies.
        train: Training images.
        real: Held-out pictures; pairs of one patient do not count. May be `train` itself: each
            picture is left out for itself.
        workers: Workers that share the images.
    """
    ruler = Ruler.of(train, real, workers)
    return ruler.thresholds, ruler.nearest(synthetic.images), ruler.held_out


@dataclass(frozen=True)
class Ruler:
    """Training pictures, and what held-out pictures say of how near strangers come to them."""

    known: Structure
    usual: Structure
    held_out: Overlaid
    thresholds: CopyThresholds
    workers: SearchWorkers = THIS_PROCESS

    @classmethod
    def of(
        cls,
        train: EvaluationImages,
        real: EvaluationImages,
        workers: SearchWorkers = THIS_PROCESS,
    ) -> Ruler:
        """Prepare the search for copies.

        Args:
            train: Training images.
            real: Held-out real images, which give the thresholds.
            workers: Workers that share the images.
        """
        known = structure(train.images, workers=workers)
        usual = structure(real.images, workers=workers)
        forbidden = same_patient(real, train)
        held_out = overlaid(real.images, known, forbidden, common=(known, usual), workers=workers)
        return cls(known, usual, held_out, CopyThresholds.of(held_out), workers)

    def nearest(self, pictures: Any, forbidden: Pairs | None = None) -> Overlaid:
        """Nearest training image of each image.

        Args:
            pictures: [N, H, W, 3] in [0, 1].
            forbidden: Pairs that do not count; None: all count.
        """
        common = (self.known, self.usual)
        return overlaid(pictures, self.known, forbidden, common=common, workers=self.workers)


class NearestPair(ResultModel):
    """A synthetic image and its nearest training image."""

    synthetic: str
    train: str
    similarity: float
    mirrored: bool
    is_copy: bool = Field(alias="copy")


@dataclass(frozen=True)
class Copies:
    """Result of `find_copies`.

    Attributes:
        metrics: `copies` (value: number of copies; floor: number among as many held-out pictures)
            and `nearest.pixel` (see `nearness`).
        pairs: Each synthetic image with its nearest training image, the most similar first.
        held_out: Similarity of each held-out image to its nearest training image.
        synthetic: Nearest training images of the synthetic images.
        real: The same of the held-out images.
        thresholds: Thresholds of the search.
    """

    metrics: dict[str, Metric]
    pairs: list[NearestPair]
    held_out: list[float]
    synthetic: Overlaid
    real: Overlaid
    thresholds: CopyThresholds


def find_copies(
    real: EvaluationImages,
    synthetic: EvaluationImages,
    train: EvaluationImages,
    resampling: Resampling = Resampling(),
    workers: SearchWorkers = THIS_PROCESS,
) -> Copies:
    """Count copies, and compare nearness with that of held-out patients.

    Args:
        real: Held-out pictures, or `train` with known patients; pairs of one patient do not count.
        synthetic: Images to search for copies.
        train: Training images.
        resampling: Resamples behind the intervals.
        workers: Workers that share the images.
    """
    thresholds, nearest_train, held_out = search(synthetic, train, real, workers)
    similarity, usual, compared = (
        thresholds.similarity(nearest_train),
        thresholds.similarity(held_out),
        held_out.value > -1,
    )
    copies = similarity > thresholds.threshold
    units = units_of(synthetic), units_of(real)[compared]
    n = {"real": len(real), "synthetic": len(synthetic), "train": len(train)}
    metrics = {
        "copies": _number_of(copies, units[0], usual[compared] > thresholds.threshold, n),
        "nearest.pixel": nearness(
            _distance(nearest_train.value),
            _distance(held_out.value[compared]),
            units,
            len(train),
            resampling,
        ),
    }
    pairs = [
        NearestPair(
            synthetic=synthetic.names[i],
            train=train.names[nearest_train.index[i]],
            similarity=float(similarity[i]),
            mirrored=bool(nearest_train.mirrored[i]),
            copy=bool(copies[i]),
        )
        for i in np.argsort(-similarity)
    ]
    return Copies(metrics, pairs, usual[compared].tolist(), nearest_train, held_out, thresholds)


def _number_of(
    hits: np.ndarray, units: np.ndarray, real_hits: np.ndarray, n: dict[str, int]
) -> Metric:
    """Number of synthetic images above a threshold; floor: the number among as many real images.

    Args:
        hits: Synthetic images above it, bool [N].
        units: Unit of each synthetic image, integers [N].
        real_hits: Real images above it, bool [M].
        n: Numbers of images.
    """
    count = len(hits)
    share = clustered_interval(hits, units)
    return Metric(
        value=int(hits.sum()),
        ci=share and [share[0] * count, share[1] * count],
        n=n,
        floor=float(real_hits.mean() * count) if len(real_hits) else None,
    )


class PlantedCopies(ResultModel):
    """Altered training images that were added to the search as a control."""

    n: int
    caught: int
    ci: Interval
    """95 % interval of the share that was found."""
    missed: list[str]
    """Alterations of the images that were not found."""


def planted(
    train: EvaluationImages,
    thresholds: CopyThresholds,
    seed: int,
    workers: SearchWorkers = THIS_PROCESS,
) -> PlantedCopies:
    """Search for altered training images, as a control of the search.

    Args:
        train: Training images.
        thresholds: Thresholds of the search.
        seed: Seed of the choice and of the alterations.
        workers: Workers that share the training images.
    """
    generator = rng(seed, "planted")
    chosen = generator.choice(len(train), PLANTED, replace=len(train) < PLANTED)
    copies = np.concatenate(
        [
            disguise(name, train.images[[i]], generator)
            for i, name in zip(chosen, DISGUISES, strict=True)
        ]
    )
    known = structure(train.images, workers=workers)
    found = overlaid(copies, known, workers=workers)
    is_detected = thresholds.similarity(found) > thresholds.threshold
    missed = [name for name, caught in zip(DISGUISES, is_detected, strict=True) if not caught]
    detected = int(is_detected.sum())
    ci = proportion_interval(detected, PLANTED)
    return PlantedCopies(n=PLANTED, caught=detected, ci=ci, missed=missed)


class DuplicatePair(ResultModel):
    """Two synthetic images that repeat each other."""

    first: str
    second: str
    similarity: float


class DuplicateSearch(ResultModel):
    """Search for synthetic images that repeat each other."""

    threshold: float
    """Similarity above which two images repeat each other."""
    pairs: list[DuplicatePair]


def find_duplicates(
    real: EvaluationImages,
    synthetic: EvaluationImages,
    workers: SearchWorkers = THIS_PROCESS,
) -> tuple[Metric, DuplicateSearch]:
    """Find synthetic images that repeat one another.

    The common part of all images comes from the real ones. Images of one patient may be similar, so
    their pairs do not count.

    Args:
        real: Real images, which give threshold and floor.
        synthetic: Synthetic images.
        workers: Workers that share the images.

    Returns:
        Number of synthetic images with a duplicate (floor: the number for as many real images), and
        the pairs.
    """
    theirs = structure(synthetic.images, workers=workers)
    ours = structure(real.images, workers=workers)
    usual = overlaid(real.images, ours, same_patient(real, real), workers=workers)
    nearest_synthetic = overlaid(
        synthetic.images,
        theirs,
        same(np.arange(len(synthetic)), np.arange(len(synthetic))),
        common=[ours],
        workers=workers,
    )
    thresholds = CopyThresholds.of(usual)
    compared = usual.value > -1
    limit = thresholds.threshold
    similarity = thresholds.similarity(nearest_synthetic)
    twins = similarity > limit
    pairs = {
        tuple(sorted((int(i), int(nearest_synthetic.index[i])))): float(similarity[i])
        for i in np.flatnonzero(twins)
    }
    n = {"real": len(real), "synthetic": len(synthetic)}
    real_twins = thresholds.similarity(usual)[compared] > limit
    metric = _number_of(twins, units_of(synthetic), real_twins, n)
    named = [
        DuplicatePair(first=synthetic.names[i], second=synthetic.names[j], similarity=value)
        for (i, j), value in sorted(pairs.items(), key=lambda pair: -pair[1])
    ]
    return metric, DuplicateSearch(threshold=limit, pairs=named)


def gate_advice(info: CohortInfo | None) -> list[str]:
    """Sentences about a synthetic cohort from which no copies were held back, by its cohort.json.

    Args:
        info: cohort.json; None for other folders.
    """
    if info is None or not info.synthetic or info.gate:
        return []
    return [
        "No gate was run over these images when they were made: `latentdrift generate --gate "
        "COHORT` holds copies of training images back, and does so by default where the adapter's "
        "cohort is where it was."
    ]


def _distance(similarity: np.ndarray) -> np.ndarray:
    result: np.ndarray = np.sqrt(
        np.clip(2 * (1 - similarity), 0.0, None)
    )  # chord between unit vectors with this correlation
    return result
