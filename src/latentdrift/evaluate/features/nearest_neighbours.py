"""Nearest neighbours in a feature space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate.images.disk_array import Pairs, blocks
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.registration import Nearest
from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, interval
from latentdrift.evaluate.statistics.results import Metric
from latentdrift.resampling import Resampling

ROWS = 1024
COLUMNS = 4096  # features that are compared at a time


def nearest_features(
    query: np.ndarray, *train: np.ndarray, forbidden: Pairs | None = None
) -> Nearest:
    """The training picture at the smallest Euclidean distance (`value`) in a feature space, a block
    of pairs at a time.

    Args:
        query: Features [N, D], like `train` also on disk.
        train: Features [T, D] of one or several sets, whose places are counted on.
        forbidden: Pairs that do not count.

    Returns:
        Value NaN where nothing may count.
    """
    index = np.zeros(len(query), int)
    value = np.full(len(query), np.nan)
    for rows in blocks(len(query), ROWS):
        ours = np.asarray(query[rows], dtype=np.float64)
        first = 0
        for part in train:
            for columns in blocks(len(part), COLUMNS):
                theirs = np.asarray(part[columns], dtype=np.float64)
                squared = (
                    np.square(ours).sum(1)[:, None]
                    + np.square(theirs).sum(1)[None]
                    - 2 * ours @ theirs.T
                )
                if forbidden is not None:
                    squared[forbidden(rows, slice(first + columns.start, first + columns.stop))] = (
                        np.inf
                    )
                place = squared.argmin(1)
                exact = np.where(
                    np.isfinite(squared.min(1)),
                    np.linalg.norm(ours - theirs[place], axis=1),
                    np.nan,
                )
                nearer = (exact < value[rows]) | (np.isnan(value[rows]) & ~np.isnan(exact))
                index[rows], value[rows] = (
                    np.where(nearer, new, old[rows])
                    for new, old in ((first + columns.start + place, index), (exact, value))
                )
            first += len(part)
    return Nearest(index, value)


def same_patient(a: EvaluationImages, b: EvaluationImages) -> Pairs | None:
    """Pairs of images of one patient.

    Where patients are unknown, an image of a set pairs with itself.

    Args:
        a: Set of n images.
        b: Set of m images.

    Returns:
        Function of two slices -> bool [n, m]; None: there is no such pair.
    """
    if a.patients is not None and b.patients is not None:
        return same(np.asarray(a.patients, dtype=str), np.asarray(b.patients, dtype=str))
    return same(np.arange(len(a)), np.arange(len(a))) if a is b else None


def same(a: np.ndarray, b: np.ndarray) -> Pairs:
    """Pairs of equal labels.

    Args:
        a: Labels [N].
        b: Labels [T].

    Returns:
        Function of a slice of a and a slice of b -> bool [n, m].
    """
    return _EqualLabels(a, b)


@dataclass(frozen=True, eq=False)
class _EqualLabels:
    """Pairs of equal labels; see `same`. It travels to workers."""

    a: np.ndarray
    b: np.ndarray

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        result: np.ndarray = self.a[rows, None] == self.b[None, columns]
        return result


def nearness(
    synthetic: np.ndarray,
    held_out: np.ndarray,
    units: tuple[np.ndarray, np.ndarray],
    train: int,
    resampling: Resampling,
) -> Metric:
    """Distance of synthetic images to their nearest training image, over the same for held-out
    patients.

    Below 1, synthetic pictures are closer to the training patients than other patients are; 1 is
    the floor by definition.

    Args:
        synthetic, held_out: Nearest distances [N] and [M]. Held-out pictures that stand in the
            training set too (distance 0) are left out.
        units: The patient of each of them, from `groups`: [N] and [M]. Both are resampled.
        train: Number of training pictures.
        resampling: Resamples behind the interval.
    """
    known = np.isfinite(held_out) & (held_out > 0)
    held_out = held_out[known]
    ours = units[0]
    theirs = np.unique(units[1][known], return_inverse=True)[1]
    n = {"real": len(held_out), "synthetic": len(synthetic), "train": train}
    if not len(held_out):
        return Metric(value=None, ci=None, n=n, floor=1.0)
    value = float(synthetic.mean() / held_out.mean())
    if min(ours.max(), theirs.max()) + 1 < FEWEST:
        return Metric(value=value, ci=None, n=n, floor=1.0)
    pairs = zip(
        draws(ours, resampling.n, resampling.rng("nearness")),
        draws(theirs, resampling.n, resampling.rng("nearness", "held out")),
        strict=True,
    )
    again = [np.average(synthetic, weights=a) / np.average(held_out, weights=b) for a, b in pairs]
    return Metric(value=value, ci=interval(value, again), n=n, floor=1.0)
