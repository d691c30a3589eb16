"""Critics of anatomy: phantoms whose answer is known, and the lights that follow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from phantoms import brains

from latentdrift.evaluate.critics import anatomy_critics, structure_views
from latentdrift.evaluate.critics.anatomy_critics import Anatomy, ControlScore, Judge, judge_of
from latentdrift.evaluate.evaluations.realism import NoAnatomy, anatomy_light
from latentdrift.evaluate.images.controls import CONTROLS, ruined
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling

SIDE = 32
CLEAR = (
    "patches-4",
    "patches-8",
    "phase-4",
    "halves",
    "average",
    "compressed",
)  # surely told on 60 phantoms


def pooled(images: np.ndarray) -> np.ndarray:
    """A space of 64 numbers: the mean of 8 x 8 tiles."""
    side = images.shape[1] // 8
    return (
        images[..., 0].reshape(len(images), 8, side, 8, side).mean((2, 4)).reshape(len(images), -1)
    )


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structure_views, "SIDE", SIDE)
        patch.setattr(structure_views, "SEEN", SIDE)
        yield


@pytest.fixture(scope="module")
def judge() -> Judge:
    made = judge_of(brains(0, 60, SIDE), brains(100, 60, SIDE), pooled, resampling=Resampling(50))
    assert isinstance(made, Judge)
    return made


@pytest.fixture(scope="module")
def others() -> EvaluationImages:
    return brains(200, 40, SIDE)


def judged(judge: Judge, images: EvaluationImages) -> Anatomy:
    return judge(judge.views(images))


def test_real_images_of_other_patients_are_ordinary(judge: Judge, others: EvaluationImages) -> None:
    found = judged(judge, others)
    assert not found.nearer and found.beyond <= 0.2
    assert found.n == {"learned": 60, "real": 60, "synthetic": 40, "patients": 60, "different": 40}
    assert anatomy_light(found)[0] in ("green", "grey")


@pytest.mark.parametrize("name", CONTROLS)
def test_a_ruined_set_is_never_green(name: str, judge: Judge, others: EvaluationImages) -> None:
    made = EvaluationImages(ruined(name, others.images, others.patients, np.random.default_rng(5)))
    found = judged(judge, made)
    colour, sentence = anatomy_light(found)
    assert colour != "green"
    if name in CLEAR:
        assert found.controls[name].position == pytest.approx(1, abs=0.35)
        assert (
            colour == "red" and found.controls[name].title in found.nearer and "nearer" in sentence
        )


def test_most_controls_are_told_on_phantoms(judge: Judge, others: EvaluationImages) -> None:
    assert len(judged(judge, others).unseen) <= 3


def test_images_of_no_anatomy_lie_beyond(judge: Judge) -> None:
    noise = np.random.default_rng(0).random((30, SIDE, SIDE, 1)).repeat(3, -1)
    found = judged(judge, EvaluationImages(noise))
    assert found.beyond > 0.9 and anatomy_light(found)[0] == "red"


def test_critics_learn_from_the_held_out_images_where_there_are_no_others(
    others: EvaluationImages,
) -> None:
    judge = judge_of(brains(0, 60, SIDE), None, pooled, resampling=Resampling(50))
    assert isinstance(judge, Judge) and len(judge.critics) == structure_views.FOLDS
    assert anatomy_light(judged(judge, others))[0] != "red"
    shuffled = EvaluationImages(
        ruined("patches-4", others.images, others.patients, np.random.default_rng(0))
    )
    assert anatomy_light(judged(judge, shuffled))[0] == "red"


def test_a_patient_never_judges_itself() -> None:
    images = brains(0, 24, SIDE)
    twice = EvaluationImages(images.images, [f"p{i // 2}" for i in range(24)])
    judge = judge_of(twice, twice, pooled, resampling=Resampling(20))
    assert isinstance(judge, Judge) and len(judge.folds) == structure_views.FOLDS
    for fold in judge.folds:
        inside = set(judge.held_out.units[fold])
        outside = set(np.delete(judge.held_out.units, fold))
        assert inside.isdisjoint(outside)


def test_too_few_images_give_a_sentence() -> None:
    answer = judge_of(brains(0, 5, SIDE), None, pooled)
    assert isinstance(answer, str) and "5 real images of 5 patients are too few" in answer
    assert anatomy_light(NoAnatomy(reason=answer)) == ("grey", answer)


def test_three_patients_are_too_few_and_the_sentence_says_how_many_are_not() -> None:
    images = brains(0, 9, SIDE)
    answer = judge_of(EvaluationImages(images.images, ["a", "b", "c"] * 3), None, pooled)
    assert (
        isinstance(answer, str)
        and "9 real images of 3 patients" in answer
        and "8 images of 4 patients" in answer
    )
    assert isinstance(
        judge_of(
            EvaluationImages(images.images, ["a", "b", "c", "d", "a"] + 4 * ["b"]),
            None,
            pooled,
            resampling=Resampling(5),
        ),
        Judge,
    )


@pytest.mark.parametrize("times", [1, 24])
def test_one_image_is_no_set_however_often_it_is_repeated(
    times: int, judge: Judge, others: EvaluationImages
) -> None:
    for place in range(3):
        found = judged(judge, others.take(np.full(times, place)))
        colour, sentence = anatomy_light(found)
        assert colour == "grey" and "3 different synthetic images" in sentence
        assert (
            found.n["different"] == 1
            and found.beyond_ci is None
            and not found.nearer
            and not found.undecided
        )


def test_repeated_images_do_not_narrow_an_interval(judge: Judge, others: EvaluationImages) -> None:
    once, often = (judged(judge, others.take(np.tile(np.arange(6), times))) for times in (1, 10))
    assert often.n["different"] == 6 and often.n["synthetic"] == 60
    assert often.beyond_ci == pytest.approx(once.beyond_ci)
    for name, tried in once.controls.items():
        assert often.controls[name].position_ci == pytest.approx(tried.position_ci)


def test_the_two_sample_test_does_not_learn_an_image_by_heart(
    judge: Judge, others: EvaluationImages
) -> None:
    assert judge.two_sample(judge.views(others.take(np.zeros(24, dtype=int)))) is None


def test_a_patient_of_many_images_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anatomy_critics, "TRIED", 8)
    images = brains(0, 60, SIDE)
    judge = judge_of(
        EvaluationImages(images.images, ["a"] * 57 + ["b", "c", "d"]),
        None,
        pooled,
        resampling=Resampling(5),
    )
    assert isinstance(judge, Judge) and judge.held_out.patients == 4


def test_a_position_that_may_be_a_control_is_undecided(
    judge: Judge, others: EvaluationImages
) -> None:
    found = judged(judge, others)

    def placed(ends: list[float]) -> ControlScore:
        known = {"is_recognised": True, "position": 0.4, "position_ci": ends}
        return found.controls["torn-10"].model_copy(update=known)

    wide = [0.2, 1.1]
    high = [0.6, 1.4]
    low = [-0.3, 0.4]
    states = [
        Anatomy.of(found.n, {"torn-10": placed(ends)}, found.beyond, found.beyond_ci)
        for ends in (wide, high, low)
    ]
    assert [bool(state.undecided) for state in states] == [True, False, False]
    assert [bool(state.nearer) for state in states] == [False, True, False]
    assert [anatomy_light(state)[0] for state in states] == ["grey", "red", "green"]
