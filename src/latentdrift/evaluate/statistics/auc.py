"""Area under the ROC curve."""

from __future__ import annotations

import numpy as np

from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, groups, interval
from latentdrift.resampling import Resampling


def auc(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: list[str] | None,
    resampling: Resampling | None,
) -> tuple[float, list[float] | None]:
    """Area under the ROC curve, and its 95 % interval over patients.

    Args:
        labels: 0 or 1, [N].
        scores: [N], higher for label 1.
        patients: Patient of each image; None: each image is its own unit.
        resampling: Resamples behind the interval; None: no interval.

    Returns:
        Area and interval. The interval is None where a class has fewer than FEWEST patients.
    """
    from sklearn.metrics import roc_auc_score

    value = float(roc_auc_score(labels, scores))
    units = groups(len(labels), patients)
    patients_by_class = [len(np.unique(units[labels == label])) for label in (0, 1)]
    if resampling is None or min(patients_by_class) < FEWEST:
        return value, None
    resamples = draws(units, resampling.n, resampling.rng("auc"), 2)
    both = (w for w in resamples if 0 < (w * labels).sum() < w.sum())
    low, high = interval(value, [roc_auc_score(labels, scores, sample_weight=w) for w in both])
    return value, [max(0.0, low), min(1.0, high)]
