"""Attribute agreement: the light, as far as real images allow it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import shapes
from evaluation_inputs import inputs_of, rendered, request_of, textures
from light_colours import colour
from partial_results import training_lights

from latentdrift.errors import OptionError
from latentdrift.evaluate.attributes.agreement_metrics import AgreementMetric, align
from latentdrift.evaluate.evaluations.attribute_agreement import (
    ATTRIBUTE_AGREEMENT,
    AgreementResult,
    check,
    compute,
    cost,
    share_of_ceiling,
)
from latentdrift.evaluate.evaluations.evaluation import NO_COST, Results
from latentdrift.evaluate.evaluations.light_rules import GREEN_FROM, MAX_WIDTH, RED_BELOW
from latentdrift.resampling import Resampling


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
        align(shapes.judges(), shapes.held_out(), made, resampling=Resampling(50)).to_dict()
        for made in (right, wrong)
    ]
    assert [colour({"alignment": one}, "Shows") for one in found] == ["green", "red"]


@pytest.mark.parametrize(
    ("split", "error", "message"),
    [
        ("train", OptionError, "`alignment` learns from the train split and judges by other"),
        ("test", None, ""),
    ],
)
def test_predictors_need_patients_of_their_own(
    split: str, error: type[Exception] | None, message: str, tiny_cohort_folder: Path
) -> None:
    request = request_of(tiny_cohort_folder, alignment=True, split=split)
    if error is None:
        assert check(request) == []
        return
    with pytest.raises(error, match=message):
        check(request)


def test_nothing_is_trained_without_alignment(tiny_cohort_folder: Path) -> None:
    request = request_of(tiny_cohort_folder)
    assert check(request) == [] and cost(request) == NO_COST
    assert compute(inputs_of(textures(4, 0), request=request)) is None


def test_the_share_of_the_ceiling_in_closed_form() -> None:
    """Without an interval of the ceiling, the share is (value - floor) / (ceiling - floor)."""
    metric = AgreementMetric.model_validate(area(0.7, 0.1))
    assert share_of_ceiling(metric) == pytest.approx((0.25, 0.75))
    unseen = metric.model_copy(update={"ceiling_ci": [0.5, 0.9]})
    assert share_of_ceiling(unseen) is None


def test_the_section_has_a_row_for_each_measure(tmp_path: Path) -> None:
    judged = {
        "sex=M": {
            "attribute": "sex",
            "unit": "",
            "metrics": {"auc": area(0.7, 0.1)},
            "n": {"synthetic": 24, "real": 12},
            "verdict": "shown in part",
        }
    }
    contents = {"alignment": {"judged": judged, "left_out": ["view=PA"]}}
    page = rendered(ATTRIBUTE_AGREEMENT, AgreementResult.model_validate(contents), tmp_path)
    for part in ("shown in part", "24 synthetic, 12 real", "too few training images: view"):
        assert part in page
    assert rendered(ATTRIBUTE_AGREEMENT, Results([]), tmp_path) == ""
