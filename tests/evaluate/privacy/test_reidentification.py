"""Repeat visits as a yardstick: who is known again, and who comes as near as a patient's own next
visit."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.privacy.reidentification import closer, repeats
from latentdrift.resampling import Resampling

ALL = slice(None)
BLANK = np.zeros((1, 4, 4, 3))


def people(*patients: str) -> EvaluationImages:
    return EvaluationImages(np.repeat(BLANK, len(patients), 0), list(patients))


def test_repeats_are_other_pictures_of_the_same_patient() -> None:
    found = repeats(people("a", "a", "b", "c", "d"), people("b", "c", "e"))
    assert found and found.query.tolist() == [0, 1, 2, 3]
    assert [np.flatnonzero(~row).tolist() for row in found.others(ALL, ALL)] == [[1], [0], [5], [6]]
    assert [np.flatnonzero(row).tolist() for row in found.itself(ALL, ALL)] == [[0], [1], [2], [3]]
    assert found.others(slice(2, 3), slice(4, 7)).tolist() == [
        [True, False, True]
    ]  # a part of all pairs


def test_rank_one_accuracy_is_a_share_of_queries_and_chance_is_its_floor() -> None:
    found = repeats(people("a", "a", "b", "b", "c", "c"), people("x", "y", "z"))
    assert found
    metric = found.recognised(np.array([1, 0, 3, 2, 7, 8]), Resampling(200))
    assert metric.value == pytest.approx(4 / 6) and metric.floor == pytest.approx(1 / 8)
    assert metric.n == {"real": 6, "patients": 3, "gallery": 9}
    assert 0 <= metric.ci[0] < 4 / 6 < metric.ci[1] <= 1
    assert found.recognised(np.array([1, 0, 3, 2, 5, 4]), Resampling(20)).ci == [1.0, 1.0]


def test_the_training_set_as_its_own_reference_is_not_its_own_repeat() -> None:
    train = people("a", "a", "b", "b", "c", "c")
    found = repeats(train, train)
    assert (
        found
        and (found.itself(ALL, ALL).sum(1) == 2).all()
        and ((~found.others(ALL, ALL)).sum(1) == 2).all()
    )


@pytest.mark.parametrize(
    ("real", "train"),
    [
        (people("a", "a", "b", "b", "c"), people("x")),
        (EvaluationImages(np.repeat(BLANK, 6, 0)), people("x")),
        (people("a", "a", "b", "b", "c", "c"), EvaluationImages(BLANK)),
    ],
)
def test_without_repeat_visits_nothing_is_said(
    real: EvaluationImages, train: EvaluationImages
) -> None:
    assert repeats(real, train) is None


def test_closer_is_the_chance_to_beat_a_repeat_visit() -> None:
    own = np.array([1.0, 2.0, 3.0, 4.0])
    metric = closer(
        np.array([0.0, 2.5, 5.0]),
        own,
        np.array([0.5, np.nan]),
        (np.arange(3), np.arange(4)),
        Resampling(50),
    )
    assert metric.value == pytest.approx((0 + 0.5 + 1) / 3) and metric.floor == 0
    assert metric.n == {"synthetic": 3, "repeat visits": 4}
    assert (
        closer(own, own, own, (np.arange(4), np.arange(4)), Resampling(50)).value == 0.5
    )  # ties count half
    generator = np.random.default_rng(0)
    far = generator.normal(0, 1, 4000)
    near = generator.normal(1, 1, 4000)
    assert closer(
        near, far, far, (np.arange(4000), np.arange(4000)), Resampling(10)
    ).value == pytest.approx(0.7602, abs=0.02)  # Phi(1 / sqrt 2)
