"""Membership inference: areas of known Gaussians, patients who count once, and verdicts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from latentdrift.errors import InputError
from latentdrift.evaluate.privacy.membership_inference import (
    GroupCounts,
    Losses,
    Membership,
    membership,
    verdict,
)
from latentdrift.resampling import Resampling


def told(
    members: int, others: int, apart: float, visits: int = 1, seed: int = 0, bootstrap: int = 200
) -> tuple[Losses, Membership]:
    """Losses of patients whose logarithms are Gaussian of sd 1; members' are lower by `apart`, and
    all are easy or hard."""
    generator = np.random.default_rng(seed)
    member = np.repeat(np.arange(members + others) < members, visits)
    easy = generator.normal(0, 3, members + others).repeat(visits)
    gain = generator.normal(0, 1, members + others).repeat(visits) - apart * member
    patients = [str(i // visits) for i in range(len(member))]
    table = Losses(member, np.exp(easy + gain), np.exp(easy), patients)
    return table, membership(table, Resampling(bootstrap))


def test_the_area_is_that_of_two_gaussians() -> None:
    """Phi(d / sqrt 2) for two Gaussians d standard deviations apart; how easy a picture is drops
    out of the ratio."""
    from scipy.stats import norm

    table, found = told(800, 800, 1.0)
    assert found.scores["ratio"].auc == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.03)
    assert found.scores["ratio"].p < 1e-6
    low, high = found.scores["ratio"].ci or (1.0, 0.0)
    assert low < norm.cdf(1 / np.sqrt(2)) < high
    assert found.scores["loss"].auc == pytest.approx(norm.cdf(1 / np.sqrt(2 * 10)), abs=0.04)
    assert found.scores["ratio"].auc == pytest.approx(
        roc_auc_score(table.member, table.scores()["ratio"])
    )


def test_visits_of_a_patient_count_once() -> None:
    _, once = told(30, 30, 1.0)
    _, thrice = told(30, 30, 1.0, visits=3)
    first = once.scores["ratio"]
    second = thrice.scores["ratio"]
    assert first.auc == pytest.approx(second.auc) and first.ci == pytest.approx(second.ci)
    assert thrice.patients == GroupCounts(members=30, others=30)
    assert thrice.images.members == 90


@pytest.mark.parametrize(
    ("members", "others", "apart", "colour"),
    [
        (100, 100, 0.0, "green"),
        (200, 200, 0.45, "amber"),
        (60, 60, 3.0, "red"),
        (3, 60, 3.0, "grey"),
        (6, 6, 0.0, "amber"),
    ],
)
def test_the_verdict_says_what_the_numbers_allow(
    members: int, others: int, apart: float, colour: str
) -> None:
    assert verdict(told(members, others, apart, seed=1)[1])[0] == colour


@pytest.mark.slow
def test_a_handful_of_patients_is_not_accused_by_chance() -> None:
    """of 100 audits of six against six who are alike, about one in twenty speaks of them; 0.05 and
    three binomial sds."""
    raised = [verdict(told(6, 6, 0.0, seed=seed, bootstrap=10)[1])[1] for seed in range(100)]
    assert sum("can be told" in words or "can tell" in words for words in raised) <= 100 * 0.05 + 7


def test_losses_that_are_none_are_refused() -> None:
    ones = np.ones(4)
    with pytest.raises(InputError, match="not finite numbers above 0"):
        membership(Losses(np.array([True, True, False, False]), np.array([1, np.nan, 1, 1]), ones))
    with pytest.raises(InputError, match="only the one or the other"):
        membership(Losses(np.ones(4, bool), ones, ones))
