"""Ranks of prompts against pictures: closed forms of the ranks, of the evidence, and drawn pictures
whose truth is known."""

from __future__ import annotations

from functools import partial
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapes
from rank_pictures import found, made

from latentdrift.evaluate.attributes.attribute_predictors import Output
from latentdrift.evaluate.attributes.image_text_scores import Prompts, by_judges
from latentdrift.evaluate.attributes.prompt_ranking import APART, METRICS, MIN_IMAGES, OPPOSED, Side
from latentdrift.evaluate.images.image_sets import EvaluationImages

AGE = Output("age")
SEX = Output("sex", "F", other="M")


@pytest.mark.parametrize(
    ("better", "ties", "among"),
    [(0, 0, 3), (2, 0, 3), (1, 2, 3), (0, 5, 4), (3, 1, 2), (5, 0, 6), (0, 0, 6)],
)
def test_the_chance_of_being_chosen_is_that_of_all_draws_counted(
    better: int, ties: int, among: int
) -> None:
    """Five other prompts, every choice of `among` - 1 of them in turn, and every order of those
    that go as well."""
    worth = np.array([2] * better + [1] * ties + [0] * (5 - better - ties))
    places = [[], []]  # type: list[list[float]]
    for drawn in combinations(range(5), among - 1):
        for order in permutations(
            range(ties + 1)
        ):  # the own one is number `ties` of those that are equal
            before = sum(
                worth[i] == 2 or (worth[i] == 1 and order[i - better] < order[ties]) for i in drawn
            )
            for k, within in enumerate((1, 3)):
                places[k].append(before < within)
    for name, counted in zip(("first", "third"), places, strict=True):
        told = METRICS[name].of(np.array([better]), np.array([ties]), 5, among)
        assert told == pytest.approx(np.mean(counted), abs=1e-12)


def test_ranks_of_scores() -> None:
    side = Side(
        None, np.array([0, 2]), np.array([[3.0, 5, 3, 1, 9], [0, 0, 7, 2, 9]]), ranked=4
    )  # the fifth is not ranked
    both = np.arange(2)
    assert side.ranking(METRICS["rank"], 4)(both).tolist() == [pytest.approx(1.5 / 3), 0.0]
    assert side.ranking(METRICS["rank"], 4)(both[::-1])[0] == pytest.approx(
        1.5 / 3
    )  # dealt the other's: as good
    assert side.preferring(np.array([4, 1]))(both).tolist() == [0, 1]
    assert side.preferring(np.array([2, 2]))(both).tolist() == [0.5, 0.5]


def constant(
    real: EvaluationImages, synthetic: EvaluationImages, asked: Prompts, *, by: Any
) -> Any:
    """Scores that look at no picture."""
    return tuple(
        np.broadcast_to(by(asked), (len(images), len(asked))) for images in (real, synthetic)
    )


def test_who_does_not_look_is_at_chance() -> None:
    told = found(partial(constant, by=lambda asked: np.zeros(len(asked))), made())
    for name, chance in (("first", 0.1), ("third", 0.3), ("rank", 0.5)):
        metric = told.metrics[name]
        for key in ("value", "ceiling", "floor", "blind"):
            assert getattr(metric, key) == pytest.approx(chance)
    assert {
        getattr(way, key)
        for ways in told.attributes.values()
        for way in ways.values()
        for key in ("value", "floor")
    } == {0.5}


def test_pictures_find_the_prompts_that_they_were_drawn_from() -> None:
    told = found(by_judges(shapes.judges()), made())
    assert told.n == {"synthetic": 60, "real": 80} and told.among == 10
    assert told.scorer == "shapes" and told.metrics["first"].n is None
    assert told.attributes["sex"]["withheld"].n == told.n
    first = told.metrics["first"]
    rank = told.metrics["rank"]
    assert (
        first.value > 0.8
        and first.ceiling > 0.8
        and abs(first.floor - 0.1) < 0.05
        and first.blind < 0.2
    )
    assert (
        rank.value < 0.05 and abs(rank.floor - 0.5) < 0.1 and rank.ci[0] <= rank.value <= rank.ci[1]
    )
    for name in shapes.SPEC:
        assert (
            told.attributes[name]["contradicted"].value
            > 0.95
            < told.attributes[name]["contradicted"].ceiling
        )
        assert told.attributes[name]["withheld"].value > 0.9
    assert told.curve.x[0] == 0 and told.curve.synthetic[-1] == 1 == told.curve.real[-1]
    ranks = [one.rank for one in told.worst]
    assert ranks == sorted(ranks, reverse=True) and told.worst[0].prompt.startswith(
        "a drawing of a"
    )


def test_pictures_of_other_prompts_do_not() -> None:
    told = found(by_judges(shapes.judges()), made(asked=9))
    first = told.metrics["first"]
    assert first.ci[0] <= first.floor_range[1] and first.value < 0.5 * first.ceiling
    assert (
        told.attributes["sex"]["contradicted"].value
        < 0.7
        < told.attributes["sex"]["contradicted"].ceiling
    )


def test_one_attribute_that_is_not_shown_is_named() -> None:
    """Everybody is drawn as a man; age and finding are as asked."""
    rows = shapes.table(60, 2)
    told = found(
        by_judges(shapes.judges()),
        EvaluationImages(shapes.shapes(rows.assign(sex="M"), 2).images, attributes=rows),
    )
    value = {name: ways["contradicted"].value for name, ways in told.attributes.items()}
    assert value["sex"] == pytest.approx((rows["sex"] == "M").mean(), abs=0.1)
    assert value["age"] > 0.95 < value["findings"]


def test_what_the_judges_cannot_see_has_no_say() -> None:
    """Judgements by chance: calibrated on some patients they are worth nothing on the others, not
    more than chance."""

    class Guess:
        outputs = (AGE, SEX)

        def __call__(self, images: EvaluationImages) -> np.ndarray:
            return np.random.default_rng(len(images)).normal(size=(len(images), 2))

        def truths(self, rows: pd.DataFrame, n: int) -> np.ndarray:
            return np.stack([output.truths(rows) for output in self.outputs], 1)

    told = found(by_judges(Guess()), made())  # type: ignore[arg-type]
    assert (
        abs(told.metrics["rank"].ceiling - 0.5) < 0.1
        and abs(told.metrics["rank"].value - 0.5) < 0.1
    )
    assert "findings" not in {
        name for name, ways in told.attributes.items() if ways["contradicted"].value != 0.5
    }


def test_a_contradiction_is_another_value_and_a_number_that_is_far() -> None:
    source = np.random.default_rng(0)
    ages = [60.0, 61.0, 62.0, 90.0, None]
    places, cells = OPPOSED["contradicted"].of(ages, True, source)
    least = APART * np.std([60, 61, 62, 90])
    assert places.tolist() == [0, 1, 2, 3] and all(
        abs(ages[i] - cell) >= least for i, cell in zip(places, cells, strict=True)
    )
    places, cells = OPPOSED["contradicted"].of(["a|b", "b|a", "", "c"], False, source)
    assert places.tolist() == [0, 1, 3] and cells[:2] == ["c", "c"] and cells[2] in ("a|b", "b|a")
    assert OPPOSED["contradicted"].of(["M", "M", "M"], False, source)[0].tolist() == []
    assert [list(part) for part in OPPOSED["withheld"].of(["M", None, "F"], False, source)] == [
        [0, 2],
        [None, None],
    ]


def test_an_attribute_that_is_the_same_everywhere_is_not_asked_about() -> None:
    rows = shapes.table(60, 2).assign(sex="M")
    told = found(
        by_judges(shapes.judges()), EvaluationImages(shapes.shapes(rows, 2).images, attributes=rows)
    )
    assert set(told.attributes) == {"age", "findings"}


def test_too_few_say_nothing() -> None:
    scorer = by_judges(shapes.judges())
    assert found(scorer, made().take(np.arange(MIN_IMAGES - 1))) is None
    assert found(scorer, EvaluationImages(made().images)) is None  # no table
    silent = EvaluationImages(made().images, attributes=pd.DataFrame({"age": [None] * 60}))
    assert found(scorer, silent) is None
    same = shapes.table(60, 2).assign(age=70.0, sex="M", findings="Effusion")
    alike = shapes.shapes(same, 2)
    assert (
        found(scorer, EvaluationImages(alike.images, attributes=same), alike) is None
    )  # one prompt
