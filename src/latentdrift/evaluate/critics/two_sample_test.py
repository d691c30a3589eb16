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
        auc: Area under the ROC curve of held-out scores, 0.5 for no difference.
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
    first, second = _cross_fitted(real.real, real.units, synthetic, units, resampling.rng("c2st"))
    wins = pairwise_wins(first, second)
    area = float(wins.mean())
    resampled = zip(
        draws(real.units, resampling.n, resampling.rng("c2st", "a")),
        draws(units, resampling.n, resampling.rng("c2st", "b")),
        strict=True,
    )
    replicates = [float(w @ wins @ v / (w.sum() * v.sum())) for w, v in resampled]
    bounds = [float(end) for end in np.clip(interval(area, replicates), 0, 1)]
    floors = [_halves_apart(real, resampling.rng("c2st", "halves", turn)) for turn in range(SPLITS)]
    return TwoSample(area, bounds, float(np.mean(floors)))


def _halves_apart(real: Views, generator: np.random.Generator) -> float:
    """The two-sample area between two halves of the real patients."""
    shuffled = generator.permutation(np.unique(real.units))
    one = np.isin(real.units, shuffled[: len(shuffled) // 2])
    halves = [[view[places] for view in real.real] for places in (one, ~one)]
    sides = _cross_fitted(halves[0], real.units[one], halves[1], real.units[~one], generator)
    return float(pairwise_wins(*sides).mean())


def _cross_fitted(
    a: Sequence[np.ndarray],
    a_units: np.ndarray,
    b: Sequence[np.ndarray],
    b_units: np.ndarray,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Held-out scores of two sets, higher for what looks like the second."""
    eye = Eye(a, [np.concatenate(parts) for parts in zip(a, b, strict=True)])
    x = eye(a)
    y = eye(b)
    scores = np.zeros(len(x)), np.zeros(len(y))
    for fold_a, fold_b in zip(
        patient_folds(a_units, generator), patient_folds(b_units, generator), strict=True
    ):
        if not (len(fold_a) and len(fold_b)):
            continue
        judge = critic(np.delete(x, fold_a, axis=0), np.delete(y, fold_b, axis=0))
        scores[0][fold_a] = judge(x[fold_a])
        scores[1][fold_b] = judge(y[fold_b])
    return scores
