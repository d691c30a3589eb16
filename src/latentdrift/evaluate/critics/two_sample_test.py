"""Classifier two-sample test of real against synthetic images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate.critics.structure_views import (
    Eye,
    Views,
    critic,
    distinct_units,
    pairwise_wins,
    patient_folds,
)
from latentdrift.evaluate.statistics.bootstrap import draws, interval
from latentdrift.resampling import Resampling

SPLITS = 5  # halvings of the real patients over which the floor is averaged (ours)


@dataclass(frozen=True)
class TwoSample:
    """A classifier two-sample test.

    Attributes:
        auc: Area under the ROC curve of held-out scores within each fold, 0.5 for no difference.
        ci: Its 95 % interval over patients and synthetic images, given the classifier.
        floor: The same area between two halves of the real patients, mean over SPLITS ways to halve
            them.
    """

    auc: float
    ci: list[float]
    floor: float


def two_sample(real: Views, synthetic: Sequence[np.ndarray], resampling: Resampling) -> TwoSample:
    """Classifier two-sample test (Lopez-Paz and Oquab 2017) of real against synthetic images.

    Args:
        real: Held-out real images; patients stay together in cross-fitting.
        synthetic: The views of the synthetic images.
        resampling: Resamples of patients and synthetic images behind the interval, and the seed
            of folds.
    """
    units = distinct_units(synthetic)
    folds = _cross_fitted(real.real, real.units, synthetic, units, resampling.rng("c2st"))
    resampled = zip(
        draws(real.units, resampling.n, resampling.rng("c2st", "a")),
        draws(units, resampling.n, resampling.rng("c2st", "b")),
        strict=True,
    )
    area = _area(folds, np.ones(len(real.units)), np.ones(len(units)))
    replicates = [_area(folds, w, v) for w, v in resampled]
    bounds = [float(end) for end in np.clip(interval(area, replicates), 0, 1)]
    floors = [_halves_apart(real, resampling.rng("c2st", "halves", turn)) for turn in range(SPLITS)]
    return TwoSample(area, bounds, float(np.mean(floors)))


def _halves_apart(real: Views, generator: np.random.Generator) -> float:
    """The two-sample area between two halves of the real patients."""
    shuffled = generator.permutation(np.unique(real.units))
    one = np.isin(real.units, shuffled[: len(shuffled) // 2])
    halves = [[view[places] for view in real.real] for places in (one, ~one)]
    folds = _cross_fitted(halves[0], real.units[one], halves[1], real.units[~one], generator)
    return _area(folds, np.ones(one.sum()), np.ones((~one).sum()))


@dataclass(frozen=True)
class _Fold:
    """Held-out images of both sets under one critic.

    Attributes:
        first: Positions in the first set, integers [N].
        second: Positions in the second set, integers [M].
        wins: Comparisons of their scores [N, M], see `pairwise_wins`.
    """

    first: np.ndarray
    second: np.ndarray
    wins: np.ndarray


def _area(folds: Sequence[_Fold], first: np.ndarray, second: np.ndarray) -> float:
    """Area under the ROC curve over pairs of one fold, for weights of the images of both sets.

    Two images that one critic scored are exchangeable where the sets do not differ, so the area is
    0.5 on average at any size. Scores of two critics have no common zero.
    """
    won = 0.0
    pairs = 0.0
    for fold in folds:
        w = first[fold.first]
        v = second[fold.second]
        won += float(w @ fold.wins @ v)
        pairs += float(w.sum() * v.sum())
    return won / pairs if pairs else 0.5


def _cross_fitted(
    a: Sequence[np.ndarray],
    a_units: np.ndarray,
    b: Sequence[np.ndarray],
    b_units: np.ndarray,
    generator: np.random.Generator,
) -> list[_Fold]:
    """Comparisons of held-out images; critics score higher what looks like the second set.

    Components and their scales come from both sets together. In the scales of one set alone, the
    other would seem to spread further, and any two small sets would differ.
    """
    both = [np.concatenate(parts) for parts in zip(a, b, strict=True)]
    eye = Eye(both, both)
    x = eye(a)
    y = eye(b)
    folds = []
    for fold_a, fold_b in zip(
        patient_folds(a_units, generator), patient_folds(b_units, generator), strict=True
    ):
        if not (len(fold_a) and len(fold_b)):
            continue
        judge = critic(np.delete(x, fold_a, axis=0), np.delete(y, fold_b, axis=0))
        folds.append(_Fold(fold_a, fold_b, pairwise_wins(judge(x[fold_a]), judge(y[fold_b]))))
    return folds
