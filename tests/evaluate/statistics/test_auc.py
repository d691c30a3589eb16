"""AUC: the share of pairs in the right order, and its interval over patients."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from latentdrift.evaluate.statistics.auc import auc
from latentdrift.evaluate.statistics.bootstrap import FEWEST
from latentdrift.resampling import Resampling


def scores(n: int, shift: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % 2
    return labels, np.random.default_rng(seed).normal(size=n) + shift * labels


def test_it_is_the_share_of_pairs_in_the_right_order() -> None:
    labels, values = scores(60, 0.7)
    pairs = mannwhitneyu(values[labels == 1], values[labels == 0]).statistic / 30**2
    value, ci = auc(labels, values, None, resampling=Resampling(100))
    assert value == pytest.approx(pairs)
    assert ci is not None and ci[0] < value < ci[1]


def test_a_perfect_order_is_1_and_its_interval_stays_within() -> None:
    labels, _ = scores(40, 0)
    value, ci = auc(labels, labels.astype(float), None, resampling=Resampling(50))
    assert value == 1 and ci is not None and ci[1] == 1
    reverse, ci = auc(labels, -labels.astype(float), None, resampling=Resampling(50))
    assert reverse == 0 and ci is not None and ci[0] == 0


def test_repeated_visits_widen_the_interval() -> None:
    labels, values = scores(60, 0.7)
    labels, values = labels.repeat(4), values.repeat(4)
    patients = [f"p{i // 4}" for i in range(len(labels))]
    _, apart = auc(labels, values, None, resampling=Resampling(200))
    _, together = auc(labels, values, patients, resampling=Resampling(200))
    assert apart is not None and together is not None
    assert together[1] - together[0] > 1.5 * (apart[1] - apart[0])


def test_few_patients_of_a_class_have_no_interval() -> None:
    labels = np.array([1] * (FEWEST - 1) + [0] * 20)
    assert auc(labels, labels.astype(float), None, resampling=Resampling(50)) == (1.0, None)
