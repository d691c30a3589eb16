"""Repeat visits of a patient: identity is read against them, and the unit is their difference."""

from __future__ import annotations

import numpy as np
import pytest
import shapes

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.privacy.repeat_visits import between, identity, pairs_of, spread
from latentdrift.evaluate.statistics.bootstrap import PatientResampling
from latentdrift.resampling import Resampling


def test_identity_is_read_against_repeat_visits() -> None:
    """Features that are the patient: kept; those of somebody else: lost."""
    real = shapes.held_out()

    def code(images: np.ndarray) -> np.ndarray:
        return np.asarray(images)[:, 0, :3, 0]

    rng = np.random.default_rng(0)
    people = rng.random((40, 1, 3)).repeat(2, 1).reshape(80, 3) + rng.normal(0, 0.01, (80, 3))
    coded = np.zeros((80, 4, 4, 3))
    coded[:, 0, :3] = people.clip(0, 1)[..., None]
    known = EvaluationImages(coded, real.patients)
    same = EvaluationImages(coded[:20:2])
    other = EvaluationImages(coded[40:60:2])
    people = PatientResampling(np.arange(10), Resampling(40))
    kept = identity(
        code, {"original": same, "reconstruction": same, "counterfactual": same}, known, people
    )
    lost = identity(
        code, {"original": same, "reconstruction": same, "counterfactual": other}, known, people
    )
    assert kept is not None and lost is not None
    assert kept.passing == 1 and lost.passing < 0.4 and kept.visits > 0.95 > 0.5 > kept.strangers
    assert (
        identity(
            code,
            {"original": same, "reconstruction": same, "counterfactual": same},
            EvaluationImages(coded),
            people,
        )
        is None
    )


def test_the_unit_is_how_far_two_visits_differ() -> None:
    visits = pairs_of(EvaluationImages(np.zeros((12, 2, 2, 3)), [f"P{i // 2}" for i in range(12)]))
    assert visits.tolist() == [[i, i + 1] for i in range(0, 12, 2)]
    seen = np.array([[0.0, 5.0], [3.0, 5.0]] * 6)
    unit, whose = spread(seen, visits, 0)
    assert whose == "visits" and unit[0] == 3 and unit[1] == pytest.approx(1e-6)
    assert spread(seen, visits[:2], 0)[1] == "patients"
    apart = between(
        np.array([[1.0, 4.0], [1.0, 6.0], [4.0, 5.0]]),
        np.array([[0, 0], [0, 0], [1, 0.0]]),
        np.array([False, False]),
    )
    assert apart[0] == 3 and np.isnan(apart[1])
