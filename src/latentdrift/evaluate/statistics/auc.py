"""Area under the ROC curve."""

from __future__ import annotations

import numpy as np

from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, groups, interval, rng


def auc(
    labels: np.ndarray, scores: np.ndarray, patients: list[str] | None, *, bootstrap: int, seed: int
) -> tuple[float, list[float] | None]:
    """Area under the ROC curve, and its 95 % interval over resampled patients; resamples of one
    class alone say nothing.

    None for the interval where either class has fewer than FEWEST patients, or where no resamples
    are asked for.
    """
    from sklearn.metrics import roc_auc_score

    value = float(roc_auc_score(labels, scores))
    units = groups(len(labels), patients)
    if not bootstrap or min(len(np.unique(units[labels == label])) for label in (0, 1)) < FEWEST:
        return value, None
    both = (
        w for w in draws(units, bootstrap, rng(seed, "auc"), 2) if 0 < (w * labels).sum() < w.sum()
    )
    low, high = interval(value, [roc_auc_score(labels, scores, sample_weight=w) for w in both])
    return value, [max(0.0, low), min(1.0, high)]
