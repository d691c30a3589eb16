"""Utility: the light is green only from a whole interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluation_inputs import inputs_of, rendered, request_of, textures
from light_colours import colour

from latentdrift.errors import OptionError
from latentdrift.evaluate.downstream.augmentation_experiment import ARMS, CURVES, ENOUGH
from latentdrift.evaluate.evaluations.evaluation import NO_COST, Results
from latentdrift.evaluate.evaluations.utility import (
    JUDGED_ARM,
    UTILITY,
    VISIBLE_DIFFERENCE,
    UtilityResult,
    check,
    compute,
    cost,
    mask_column,
)

Ends = tuple[float, float]


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"utility": "diagnosis", "split": "train"}, "`utility` learns from the train split"),
        ({"gan_steps": 5}, "`gan_steps` trains a GAN whose images classifiers learn from"),
        ({"utility": "diagnosis=flu"}, "unknown diagnosis 'flu'"),
        ({"utility": "mask=roi", "classifier": "other"}, "`classifier` has no part in"),
    ],
)
def test_options_without_a_part_are_refused(
    options: dict[str, Any], message: str, tiny_cohort_folder: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        check(request_of(tiny_cohort_folder, **options))


def test_nothing_is_trained_without_utility(tiny_cohort_folder: Path) -> None:
    request = request_of(tiny_cohort_folder)
    assert check(request) == [] and cost(request) == NO_COST
    assert compute(inputs_of(textures(4, 0), train=textures(4, 1), request=request)) is None


def test_a_class_is_a_column_unless_it_names_masks(tiny_cohort_folder: Path) -> None:
    assert mask_column(request_of(tiny_cohort_folder, utility="mask=roi")) == "roi"
    assert mask_column(request_of(tiny_cohort_folder, utility="diagnosis=dementia")) is None


def test_the_section_has_every_arm(tmp_path: Path) -> None:
    arm = {"value": 0.8, "ci": [0.7, 0.9], "sd": 0.01, "trained": [[4, 4]]}
    better = arm | {"value": 0.85, "difference": 0.05, "difference_ci": [0.01, 0.1]}
    contents = {
        "classes": "diagnosis=dementia",
        "groups": ["no dementia", "dementia"],
        "network": "small",
        "measure": "AUC",
        "steps": 2,
        "repeats": 1,
        "tested": {"images": [9, 9], "patients": [8, 8]},
        "arms": {name: arm for name in ARMS} | {JUDGED_ARM: better},
        "by": None,
        "chance": 0.5,
        "curves": {name: [{"n": 8, "value": 0.8, "ci": None, "sd": None}] for name in CURVES},
        "warnings": [],
    }
    page = rendered(UTILITY, UtilityResult.model_validate({"utility": contents}), tmp_path)
    for name in ARMS:
        assert name in page
    assert "AUC without looking at the images: 0.50" in page
    assert rendered(UTILITY, Results([]), tmp_path) == ""
