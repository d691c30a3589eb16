"""Lights of utility, alignment and the card: every colour from numbers that call for it, and green
only from a whole interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapes
from card_edits import edits, judged
from partial_results import training_lights

from latentdrift.evaluate.attributes.agreement_metrics import align
from latentdrift.evaluate.downstream.augmentation_experiment import ENOUGH
from latentdrift.evaluate.evaluations.counterfactuals import MAX_SHARE
from latentdrift.evaluate.evaluations.light_rules import GREEN_FROM, MAX_WIDTH, RED_BELOW
from latentdrift.evaluate.evaluations.utility import VISIBLE_DIFFERENCE
from latentdrift.resampling import Resampling

Ends = tuple[float, float]


def colour(answers: dict[str, Any], title: str) -> str:
    return next(found for label, found, _ in training_lights(answers) if label.startswith(title))


def utility(
    real: Ends | None,
    augmented: Ends | None,
    *,
    patients: int = ENOUGH,
    floor: float = 0.7,
    gan: Ends | None = None,
) -> str:
    arm: dict[str, Any] = {"gan_difference": 0.0, "gan_difference_ci": list(gan)} if gan else {}
    arm |= {
        name: ends and sum(ends) / 2
        for name, ends in (("difference", real), ("augmented_difference", augmented))
    }
    arm |= {
        "difference_ci": real and list(real),
        "augmented_difference_ci": augmented and list(augmented),
    }
    arms = {"real": {"value": 0.8, "ci": [floor, 0.9]}, "real + synthetic": arm}
    told = {
        "classes": "x=y",
        "measure": "AUC",
        "chance": 0.5,
        "tested": {"patients": [patients, 99]},
        "arms": arms,
    }
    return colour({"utility": told}, "Of use?")


@pytest.mark.parametrize(
    ("real", "augmented", "expected"),
    [
        ((0.01, 0.2), (0.01, 0.1), "green"),
        ((0.01, 0.2), (0.0, 0.1), "amber"),  # an interval that includes 0 is never green
        ((0.0, 0.1), (0.01, 0.1), "amber"),
        ((-VISIBLE_DIFFERENCE / 2, VISIBLE_DIFFERENCE / 2), (-0.05, 0.05), "amber"),
        (
            (-VISIBLE_DIFFERENCE, 2 * VISIBLE_DIFFERENCE),
            (0.01, 0.1),
            "grey",
        ),  # a difference could have been missed
        ((-0.3, -0.01), (0.01, 0.1), "red"),
        (
            (-VISIBLE_DIFFERENCE, 2 * VISIBLE_DIFFERENCE),
            (-0.060, -0.046),
            "red",
        ),  # too wide to say is no excuse for what is worse than augmentation
        (None, None, "grey"),
    ],
)
def test_synthetic_images_are_of_use_where_they_beat_both_rivals(
    real: Ends | None, augmented: Ends | None, expected: str
) -> None:
    assert utility(real, augmented) == expected


def test_nothing_is_concluded_of_few_patients_or_from_learners_that_learned_nothing() -> None:
    good: tuple[Ends, Ends] = ((0.1, 0.2), (0.1, 0.2))
    assert utility(*good) == "green"
    assert utility(*good, gan=(0.0, 0.1)) == "amber" and utility(*good, gan=(0.01, 0.1)) == "green"
    assert utility(*good, patients=ENOUGH - 1) == "grey" == utility(*good, floor=0.5)
    bad: tuple[Ends, Ends] = ((-0.060, -0.046), (-0.1, 0.1))
    assert utility(*bad, patients=ENOUGH - 1) == "red" == utility(*bad, floor=0.5)


def alignment(*metrics: dict[str, Any]) -> str:
    told = {f"a{i}": {"metrics": {"auc": one}} for i, one in enumerate(metrics)}
    return colour({"alignment": {"judged": told}}, "Shows what was asked?")


def area(value: float, half: float = 0.0) -> dict[str, Any]:
    """An AUC whose ceiling is known to be 0.9 and whose floor is 0.5: shares are 2.5 times the
    distance from 0.5."""
    known = {"ceiling": 0.9, "ceiling_ci": [0.9, 0.9], "floor": 0.5, "floor_range": [0.45, 0.55]}
    return {"value": value, "ci": [value - half, value + half], **known}


def test_a_set_shows_what_was_asked_as_far_as_the_judges_see_it_in_real_images() -> None:
    at = {share: 0.5 + 0.4 * share for share in (GREEN_FROM, RED_BELOW, 1.0)}
    assert alignment(area(at[1.0])) == "green"
    assert (
        alignment(area(at[GREEN_FROM] + 0.001)) == "green"
        and alignment(area(at[GREEN_FROM] - 0.001)) == "amber"
    )
    assert (
        alignment(area(at[RED_BELOW] - 0.001)) == "red"
        and alignment(area(at[GREEN_FROM] + 0.05, 0.06)) == "amber"
    )
    assert (
        alignment(area(at[GREEN_FROM], 0.21 * MAX_WIDTH)) == "grey"
    )  # 0.42 * MAX_WIDTH of the 0.4 between floor and ceiling
    assert (
        alignment(area(0.9), area(0.5)) == "red" and alignment(area(0.9), area(0.7, 0.2)) == "grey"
    )
    unseen = area(0.9) | {"ceiling_ci": [0.5, 1.0]}
    assert alignment(unseen) == "grey" == alignment(area(0.9) | {"ci": None}) == alignment()


def test_a_set_that_shows_each_attribute_and_does_not_find_its_prompts_is_not_green() -> None:
    told: dict[str, Any] = {"judged": {"a": {"metrics": {"auc": area(0.9)}}}}
    lights = [
        colour({"alignment": told | {"retrieval": retrieval}}, "Shows what was asked?")
        for retrieval in (
            None,
            {"metrics": {"first": area(0.9)}},
            {"metrics": {"first": area(0.55)}},
        )
    ]
    assert lights == ["green", "green", "red"]


def test_a_ceiling_that_is_not_well_known_widens_the_share() -> None:
    """For independent normal numbers the interval of a difference is the root of the sum of
    squares."""
    metric = area(0.9, 0.03) | {"ceiling_ci": [0.86, 0.94]}
    (words,) = (
        words
        for _, _, words in training_lights(
            {"alignment": {"judged": {"a": {"metrics": {"auc": metric}}}}}
        )
    )
    assert f"a {1 - 0.05 / 0.4:.0%} to {1 + 0.05 / 0.4:.0%}" in words


@pytest.mark.slow
def test_judges_of_shapes_give_the_light_that_the_pictures_deserve() -> None:
    right = shapes.shapes(shapes.table(60, 5), 5)
    shuffled = shapes.shapes(shapes.table(60, 6), 5)
    wrong = type(right)(shuffled.images, right.patients, attributes=right.attributes)
    found = [
        align(shapes.judges(), shapes.held_out(), made, resampling=Resampling(50))
        for made in (right, wrong)
    ]
    assert [colour({"alignment": one}, "Shows") for one in found] == ["green", "red"]


@pytest.fixture(scope="module")
def right() -> dict[str, Any]:
    return judged(edits(changes={"age": 82}, age=82.0))


def test_an_edit_that_does_what_was_asked_and_one_that_changes_the_sex_too(
    right: dict[str, Any],
) -> None:
    wrong = judged(edits(changes={"age": 82}, age=82.0, sex="M"))
    assert (
        colour({"card": right}, "Edits do what")
        == "green"
        == colour({"card": right}, "And nothing else")
    )
    assert colour({"card": wrong}, "And nothing else") == "red"
    words = next(
        words
        for label, _, words in training_lights({"card": wrong})
        if label == "And nothing else?"
    )
    assert "Changed although not asked for: sex: F (edits: age increased)." in words
    nothing = judged(edits(changes={"age": 82}))
    assert colour({"card": nothing}, "Edits do what") == "red"
    too_far = judged(edits(changes={"age": 70}, age=84.0))
    assert colour({"card": too_far}, "Edits do what") == "amber"


def test_what_the_judges_see_of_real_ages_is_the_slope_of_their_judgement(
    right: dict[str, Any],
) -> None:
    real = shapes.held_out()
    judges = shapes.judges()
    slope = np.polyfit(real.attributes["age"], judges(real)[:, 0], 1)[0]
    assert right["effectiveness"][0]["share_ceiling"] == pytest.approx(slope)


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
