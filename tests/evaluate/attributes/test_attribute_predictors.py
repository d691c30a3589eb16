"""Judges of attributes see what is there, in held-out pictures; what cannot be learned is left
out."""

from __future__ import annotations

import numpy as np
import pytest
import shapes

from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.agreement_metrics import align, verdict
from latentdrift.evaluate.attributes.attribute_predictors import MIN_IMAGES, Judges, Output, outputs
from latentdrift.evaluate.attributes.impossible_combinations import EXPECTED, rules
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling


def aligned(synthetic: EvaluationImages) -> dict:
    return align(shapes.judges(), shapes.held_out(), synthetic, resampling=Resampling(40))


@pytest.fixture(scope="module")
def right() -> dict:
    return aligned(shapes.shapes(shapes.table(60, 2), 2))


def test_what_was_asked_for_and_drawn_is_found_to_be_there(right: dict) -> None:
    found = right["judged"]
    assert list(found) == ["age", "sex=F", "findings=Effusion", "findings=No Finding"]
    for name in ("sex=F", "findings=Effusion"):
        auc = found[name]["metrics"]["auc"]
        assert auc["value"] > 0.95 and auc["ceiling"] > 0.95 and abs(auc["floor"] - 0.5) < 0.1
        assert found[name]["verdict"] == "shown as in real images"
    age = found["age"]["metrics"]
    assert age["r"]["value"] > 0.8 and age["mae"]["value"] < 0.7 * age["mae"]["floor"]
    assert age["bias"]["floor"] is None and abs(age["bias"]["value"]) < 2
    assert found["age"]["n"] == {"synthetic": 60, "real": 80}


def test_pictures_of_another_age_than_their_table_says_show(right: dict) -> None:
    """All of them ten years younger: as well ordered, and ten years off."""
    rows = shapes.table(60, 2)
    younger = shapes.shapes(rows.assign(age=rows["age"] - 10), 2)
    age = aligned(EvaluationImages(younger.images, attributes=rows))["judged"]["age"]["metrics"]
    assert -14 < age["bias"]["value"] < -6 and age["bias"]["ci"][1] < -3
    assert age["mae"]["value"] > 2 * right["judged"]["age"]["metrics"]["mae"]["value"]
    assert age["mae"]["ci"][0] > age["mae"]["ceiling_ci"][1]


def test_labels_that_the_pictures_ignore_show_as_shuffled_ones() -> None:
    found = aligned(
        EvaluationImages(
            shapes.shapes(shapes.table(60, 2), 2).images, attributes=shapes.table(60, 9)
        )
    )["judged"]
    for name, metric in (("age", "r"), ("sex=F", "auc")):
        assert found[name]["verdict"] == "not shown: as with shuffled labels"
        assert (
            found[name]["metrics"][metric]["value"]
            < found[name]["metrics"][metric]["ceiling_ci"][0]
        )


def test_swapped_labels_get_an_auc_of_nought() -> None:
    rows = shapes.table(60, 2)
    swapped = rows.assign(sex=rows["sex"].map({"F": "M", "M": "F"}))
    found = aligned(EvaluationImages(shapes.shapes(rows, 2).images, attributes=swapped))["judged"]
    assert (
        found["sex=F"]["metrics"]["auc"]["value"] < 0.05
        and found["sex=F"]["metrics"]["accuracy"]["value"] < 0.1
    )


def test_what_the_judges_cannot_see_says_nothing_of_the_images() -> None:
    blind = {"ci": [0.4, 0.6], "floor_range": [0.4, 0.6], "ceiling_ci": [0.45, 0.6]}
    assert verdict(blind) == "not recognised in held-out real images either: no result"
    less = {"ci": [0.7, 0.8], "floor_range": [0.4, 0.6], "ceiling_ci": [0.9, 1.0]}
    assert verdict(less) == "shown, less than in real images"


def test_a_combination_that_no_real_image_has_is_reported() -> None:
    rows = shapes.table(60, 2)
    both = rows.assign(
        findings=np.where(np.arange(60) < 7, "Effusion|No Finding", rows["findings"])
    )
    synthetic = shapes.shapes(both, 2)
    judges = shapes.judges()
    real = shapes.held_out()
    train = shapes.train()
    (rule,) = rules(judges, train, real, synthetic, judges(real), judges(synthetic))
    assert rule["values"] == ["findings=Effusion", "findings=No Finding"] and rule["asked"] == 7
    assert rule["expected"] > EXPECTED and 0 <= rule["seen"] <= 60 and rule["seen_real"] < 0.1
    few = train.take(np.arange(8)), real.take(np.arange(2))
    assert (
        rules(judges, *few, synthetic, judges(real), judges(synthetic)) == []
    )  # absent, and by chance


def test_two_values_are_one_question_and_rare_ones_none() -> None:
    rows = shapes.table(40, 3).assign(
        site=["A"] * 15 + ["B"] * 15 + ["C"] * (MIN_IMAGES - 1) + [None]
    )
    found, left_out = outputs(
        {**shapes.SPEC, "site": {"type": "category", "vocabulary": ["A", "B", "C"]}}, rows
    )
    assert [output.name for output in found if output.attribute in ("sex", "site")] == [
        "sex=F",
        "site=A",
        "site=B",
    ]
    assert left_out == ["site=C"]
    assert found[1] == Output("sex", "F", other="M")
    assert np.array_equal(
        Output("site", "A").truths(rows)[[0, 20, 39]], [1, 0, np.nan], equal_nan=True
    )


def test_nothing_to_learn_is_a_sentence() -> None:
    few = shapes.shapes(shapes.table(MIN_IMAGES - 1, 0), 0)
    with pytest.raises(
        InputError, match="none of the attributes age, sex, findings has 10 training images"
    ):
        Judges.learn(few, shapes.SPEC)
    with pytest.raises(InputError, match="with a table"):
        Judges.learn(EvaluationImages(few.images), shapes.SPEC)


def test_judges_are_the_same_for_the_same_seed() -> None:
    one, same, other = (
        Judges.learn(shapes.train(), shapes.SPEC, steps=2, repeats=1, seed=seed)
        for seed in (3, 3, 4)
    )
    some = shapes.held_out().take(np.arange(3))
    assert np.array_equal(one(some), same(some)) and not np.array_equal(one(some), other(some))
