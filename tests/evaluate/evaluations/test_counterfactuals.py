"""Counterfactuals: lights of the change, of what else changed, and of identity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapes
from card_edits import edits, judged
from evaluation_inputs import inputs_of, rendered, request_of, textures
from light_colours import colour

from latentdrift.evaluate.attributes.counterfactual_results import Card
from latentdrift.evaluate.evaluations.counterfactuals import (
    COUNTERFACTUALS,
    MAX_SHARE,
    NO_CARD,
    CounterfactualResult,
    check,
    compute,
    cost,
    lights,
)
from latentdrift.evaluate.evaluations.evaluation import NO_COST, Results

Ends = tuple[float, float]


@pytest.fixture(scope="module")
def right() -> Card:
    return judged(edits(changes={"age": 82}, age=82.0))


def card_lights(scores: Card) -> dict[str, tuple[str, str]]:
    """Question -> colour and sentence."""
    result = CounterfactualResult(card=scores)
    return {title: (found, words) for title, found, words in lights(Results([result]))}


def test_an_edit_that_does_what_was_asked_and_one_that_changes_the_sex_too(right: Card) -> None:
    made = "Edits do what was asked?"
    nothing_else = "And nothing else?"
    assert card_lights(right)[made][0] == "green" == card_lights(right)[nothing_else][0]
    wrong = judged(edits(changes={"age": 82}, age=82.0, sex="M"))
    found, words = card_lights(wrong)[nothing_else]
    assert found == "red"
    assert "Changed although not requested: sex: F (edits: age increased)." in words
    nothing = judged(edits(changes={"age": 82}))
    assert card_lights(nothing)[made][0] == "red"
    too_far = judged(edits(changes={"age": 70}, age=84.0))
    assert card_lights(too_far)[made][0] == "amber"


def test_what_the_judges_see_of_real_ages_is_the_slope_of_their_judgement(
    right: Card,
) -> None:
    real = shapes.held_out()
    judges = shapes.judges()
    slope = np.polyfit(real.attributes["age"], judges(real)[:, 0], 1)[0]
    assert right.effectiveness[0].share_ceiling == pytest.approx(slope)


def cells(
    *, ci: list[float] | None, apart: float = 1.0, beyond: bool = False, asked: bool = False
) -> str:
    """One cell of the matrix; its share is its value over `apart`."""
    cell = {
        "ci": ci,
        "share_ci": ci and [end / apart for end in ci],
        "beyond": beyond,
        "asked": asked,
    }
    told = {"unit_of": "visits", "columns": ["age"], "rows": {"sex=M": [cell]}}
    return colour(
        {"card": {"effectiveness": [], "collateral": told, "identity": {}}}, "And nothing else"
    )


def test_what_was_not_asked_for_has_to_be_surely_small() -> None:
    assert cells(ci=[-0.9, 0.9]) == "green" == cells(ci=[-3.0, 3.0], apart=20)
    assert cells(ci=[-0.1, 3.0]) == "grey" == cells(ci=None)
    assert cells(ci=[0.1, 3.0]) == "amber" and cells(ci=[2.0, 3.0], beyond=True) == "red"
    assert cells(ci=[2.0, 3.0], asked=True) == "grey"  # nothing else is judged


def test_a_class_is_reached_as_far_as_the_judges_see_it_in_real_images() -> None:
    def reached(
        low: float,
        high: float,
        *,
        untouched: float = 0.0,
        ceiling: float | None = 1.0,
        n: int = 30,
        moved: Ends | None = None,
    ) -> str:
        row = {
            "change": "sex=M",
            "n": 3 * n,
            "patients": n,
            "moved": {"ci": moved},
            "reached": 0.0,
            "reached_ci": [low, high],
            "untouched": untouched,
            "ceiling": ceiling,
        }
        empty = {"unit_of": "visits", "columns": [], "rows": {}}
        return colour(
            {"card": {"effectiveness": [row], "collateral": empty, "identity": {}}}, "Edits do what"
        )

    assert reached(0.8, 1.0) == "green" == reached(0.62, 0.8, ceiling=0.8)
    assert (
        reached(0.8, 1.0, untouched=0.5) == "amber"
        and reached(0.1, 0.4) == "red"
        and reached(0.2, 0.9) == "grey"
    )
    assert (
        reached(0.8, 1.0, untouched=0.9)
        == "grey"
        == reached(0.8, 1.0, ceiling=None)
        == reached(0.8, 1.0, n=4)
    )
    assert (
        reached(0.8, 1.0, untouched=0.9, moved=(-0.060, -0.046))
        == "red"
        == reached(0.8, 1.0, moved=(-0.060, -0.046))
    )
    assert (
        reached(0.8, 1.0, untouched=0.9, moved=(-0.060, 0.01))
        == "grey"
        == reached(0.8, 1.0, n=4, moved=(-0.06, -0.04))
    )
    assert MAX_SHARE > 1


def test_a_number_that_moves_the_other_way_is_red_even_where_the_judges_see_little() -> None:
    def moved(asked: float, *ci: float) -> str:
        row = {
            "change": "age down",
            "n": 30,
            "patients": 30,
            "moved": {"ci": list(ci)},
            "asked": {"value": asked},
        }
        empty = {"unit_of": "visits", "columns": [], "rows": {}}
        told = {
            "effectiveness": [row | {"share_ceiling": 0.05}],
            "collateral": empty,
            "identity": {},
        }
        return colour({"card": told}, "Edits do what")

    assert moved(-10, 0.046, 0.060) == "red" and moved(-10, -0.060, 0.046) == "grey" == moved(
        -10, -0.060, -0.046
    )
    assert moved(10, -0.060, -0.046) == "red"


def test_identity_is_judged_where_strangers_are_told_apart() -> None:
    def kept(low: float, high: float, *, strangers: float | None = 0.1, edits: int = 30) -> str:
        n = {"edits": 3 * edits, "patients": edits}
        one = {"kept": 0.5, "kept_ci": [low, high], "strangers_kept": strangers, "n": n}
        empty = {"unit_of": "visits", "columns": [], "rows": {}}
        return colour(
            {"card": {"effectiveness": [], "collateral": empty, "identity": {"ssl": one}}},
            "Still the same patient?",
        )

    assert (
        kept(0.8, 0.9) == "green"
        and kept(0.6, 0.9) == "amber"
        and kept(0.1, 0.4) == "red"
        and kept(0.2, 0.9) == "grey"
    )
    assert (
        kept(0.8, 0.9, strangers=0.6)
        == "grey"
        == kept(0.8, 0.9, strangers=None)
        == kept(0.8, 0.9, edits=4)
    )
    assert kept(0.1, 0.4, strangers=0.6) == "red"  # what strangers pass, and edits fail


def test_edits_are_not_judged_without_held_out_patients(
    tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    assert check(request_of(tiny_cohort_folder, edits=tmp_path, split="train")) == [NO_CARD]
    assert check(request_of(tiny_cohort_folder, edits=tmp_path, split="test")) == []
    assert check(request_of(tiny_cohort_folder, split="train")) == []
    unasked = request_of(tiny_cohort_folder, edits=tmp_path, split="train", card=False)
    assert check(unasked) == [] and cost(unasked) == NO_COST


def test_without_edits_there_is_no_card(tiny_cohort_folder: Path, tmp_path: Path) -> None:
    request = request_of(tiny_cohort_folder)
    assert compute(inputs_of(textures(4, 0), request=request)) is None
    empty = CounterfactualResult(warnings=["No card."])
    assert lights(Results([empty])) == []
    assert rendered(COUNTERFACTUALS, empty, tmp_path) == ""
