"""Baselines of visits on pairs whose change is known."""

from __future__ import annotations

import numpy as np
import pytest
from visit_intervals import SPEC, intervals

from latentdrift.data.phantom import phantom
from latentdrift.evaluate.attributes.visit_metrics import RATIOS, volume_metrics
from latentdrift.longitudinal.tissue_volumes import tissue_volumes
from latentdrift.longitudinal.visit_intervals import VisitInterval
from latentdrift.study.editors.visit_baselines import (
    MeanChange,
    RidgeChange,
    volume_model,
)
from latentdrift.study.editors.visit_pairs import VisitPairs

SIDE = 16


def pairs(count: int, seed: int, noise: float = 0.0) -> tuple[VisitPairs, np.ndarray]:
    """Pairs whose change is years times a pattern, and twice as strong with dementia; with the
    true last visits without noise."""
    rng = np.random.default_rng(seed)
    pattern = np.linspace(-0.02, 0.02, SIDE * SIDE).reshape(SIDE, SIDE)
    first = rng.uniform(0.3, 0.6, (count, SIDE, SIDE))
    between = intervals(count, rng)
    strength = [one.years * (1 + (one.later["diagnosis"] == "dementia")) for one in between]
    last = first + np.array(strength)[:, None, None] * pattern
    noisy = last + rng.normal(0, noise, last.shape)
    return VisitPairs(first, noisy, between, tuple(f"p{i}" for i in range(count))), last


def error(model: MeanChange | RidgeChange, unseen: VisitPairs, truth: np.ndarray) -> float:
    found = [model.predict(x, one) for x, one in zip(unseen.first, unseen.intervals, strict=True)]
    return float(np.square(np.stack(found) - truth).mean())


def test_the_mean_change_is_a_regression_on_years() -> None:
    """A change that is years times an image is found exactly."""
    rng = np.random.default_rng(0)
    first = rng.uniform(0.4, 0.6, (6, SIDE, SIDE))
    rate = rng.normal(0, 0.01, (SIDE, SIDE))
    between = intervals(6, rng)
    years = np.array([one.years for one in between])[:, None, None]
    learned = MeanChange.of(VisitPairs(first, first + years * rate, between, tuple("abcdef")))
    assert learned.rate == pytest.approx(rate)
    later = VisitInterval(7.0, {}, {})
    assert learned.predict(first[0], later) == pytest.approx((first[0] + 7 * rate).clip(0, 1))


def test_ridge_learns_what_depends_on_the_diagnosis() -> None:
    training, _ = pairs(80, 0, noise=0.02)
    unseen, truth = pairs(30, 1)
    mean, ridge_change = MeanChange.of(training), RidgeChange.of(training, SPEC)
    unchanged = float(np.square(unseen.first - truth).mean())
    assert ridge_change.covariates.values == (("diagnosis", "no dementia"),)
    assert error(mean, unseen, truth) < 0.5 * unchanged
    assert error(ridge_change, unseen, truth) < 0.5 * error(mean, unseen, truth)


def test_ridge_learns_nothing_from_noise() -> None:
    """Where pairs differ by noise alone, the penalty leaves the mean change and hardly more."""
    rng = np.random.default_rng(0)
    first = rng.uniform(0.3, 0.6, (40, SIDE, SIDE))
    last = first + rng.normal(0, 0.02, first.shape)
    patients = tuple(f"p{i}" for i in range(40))
    learned = RidgeChange.of(VisitPairs(first, last, intervals(40, rng), patients), SPEC)
    change = learned.predict(first[0], VisitInterval(3.0, {"age": 75.0}, {})) - first[0]
    assert np.abs(change).mean() < 0.005
    assert learned.penalty >= 1


def test_volumes_of_unseen_phantoms_are_predicted() -> None:
    """Ventricles of ageing phantoms: three numbers explain most of their growth."""
    row = phantom.kind_of("brain")

    def drawn(subjects: range) -> VisitPairs:
        first, last, between = [], [], []
        for subject in subjects:
            rng = np.random.default_rng(subject)
            state = row.history(rng, 1)[0].attributes
            years = float(rng.uniform(3, 15))
            older = type(state)(**{**vars(state), "age": state.age + years})
            images = [row.render(subject, one, visit=1, size=96) for one in (state, older)]
            first.append(images[0])
            last.append(images[1])
            between.append(VisitInterval(years, {"age": state.age}, {"age": older.age}))
        names = tuple(f"p{i}" for i in subjects)
        return VisitPairs(np.stack(first), np.stack(last), tuple(between), names)

    model = volume_model(drawn(range(24)), SPEC)
    assert model is not None
    unseen = drawn(range(100, 112))
    results = []
    for first, last, one in zip(unseen.first, unseen.last, unseen.intervals, strict=True):
        own = tissue_volumes(first)
        results.append(volume_metrics(own, model.predict(own, one), tissue_volumes(last)))
    for name, low, high in (("ventricles_r2", 0.7, 1.0), ("ventricles_slope", 0.7, 1.3)):
        above, below = np.array([RATIOS[name].parts(own) for own in results]).T
        assert low < RATIOS[name].value(above, below, np.ones(len(above))) < high
