"""Similarity of the images within one set. A generator that repeats itself makes a set more
similar than the real one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics.image_similarity import Similarity, compare
from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, groups, interval, part_of
from latentdrift.evaluate.statistics.results import Interval, Metric
from latentdrift.resampling import Resampling

MAX_IMAGES = 32  # pictures of each set, 496 pairs (ours)
BATCH = 64  # pairs at a time


@dataclass(frozen=True)
class SetSimilarity:
    """Mean similarity of pairs of images of one set."""

    value: float
    ci: Interval | None
    """95 % interval; None with fewer than FEWEST patients."""
    n: int
    """Number of images."""


def within(
    images: EvaluationImages, name: str, row: Similarity, resampling: Resampling
) -> SetSimilarity | None:
    """Mean similarity of pairs of images of different patients (MS-SSIM: Odena et al. 2017, sec.
    4.2).

    The interval is conservative: it is too wide where all pairs are about equally similar.

    Args:
        images: One set.
        name: Key in the result of the similarity.
        row: Row of SIMILARITIES.
        resampling: Resamples of patients behind the interval, and the seed of the sample.

    Returns:
        The similarity; None where there is no such pair.
    """
    places = part_of(len(images), MAX_IMAGES, resampling.rng("diversity"))
    units = groups(len(images), images.patients)[places]
    units = np.unique(units, return_inverse=True)[1]
    first, second = np.nonzero(np.triu(units[:, None] != units[None, :]))
    if not len(first):
        return None
    pictures = np.asarray(images.images[places])
    parts = [slice(start, start + BATCH) for start in range(0, len(first), BATCH)]
    values = np.concatenate(
        [compare(pictures[first[p]], pictures[second[p]], rows={name: row})[name] for p in parts]
    )

    def mean(weights: np.ndarray) -> float:
        return float(np.average(values, weights=weights[first] * weights[second]))

    value = mean(np.ones(len(places)))
    ci = None
    if units.max() + 1 >= FEWEST:
        resamples = draws(units, resampling.n, resampling.rng("diversity", name), 2)
        ci = interval(value, [mean(w) for w in resamples])
    return SetSimilarity(value, ci, len(places))


def diversity(
    real: EvaluationImages,
    synthetic: EvaluationImages,
    name: str,
    row: Similarity,
    resampling: Resampling,
) -> Metric | None:
    """Similarity within the synthetic set, beside that within the real set.

    Args:
        real: Real images.
        synthetic: Synthetic images.
        name: Name of the similarity.
        row: Row of SIMILARITIES.
        resampling: Resamples of patients behind the interval, and the seed of the sample.

    Returns:
        The similarity of the synthetic set; its floor is that of the real set. None where a set has
        no pair of patients.
    """
    ours, theirs = (within(images, name, row, resampling) for images in (real, synthetic))
    if ours is None or theirs is None:
        return None
    return Metric(
        value=theirs.value,
        ci=theirs.ci,
        n={"real": ours.n, "synthetic": theirs.n},
        floor=ours.value,
        floor_ci=ours.ci,
    )
