"""Images by the values of an attribute."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from latentdrift.errors import OptionError
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.subgroups import MIN_IMAGES, check, places, shared


def images(**columns: list) -> EvaluationImages:
    n = len(next(iter(columns.values())))
    return EvaluationImages(np.zeros((n, 4, 4, 3)), attributes=pd.DataFrame(columns))


def test_categories_findings_and_decades():
    some = images(
        sex=["F", "M", None, "F"],
        findings=["Mass|Nodule", "Mass", None, "No Finding"],
        age=[70.0, 79.9, np.nan, 80.0],
    )
    found = {
        column: {v: p.tolist() for v, p in places(some, column, "real").items()}
        for column in ("sex", "findings", "age")
    }
    assert found["sex"] == {"F": [0, 3], "M": [1]}
    assert found["findings"] == {"Mass": [0, 1], "No Finding": [3], "Nodule": [0]}
    assert found["age"] == {"70 to 79": [0, 1], "80 to 89": [3]}


def test_a_value_needs_enough_images_in_both_sets():
    real = images(sex=["F"] * MIN_IMAGES + ["M"] * MIN_IMAGES + ["O"] * 2)
    made = images(sex=["F"] * MIN_IMAGES + ["M"] * (MIN_IMAGES - 1))
    enough, words = shared(real, made, "sex")
    assert list(enough) == ["F"] and [len(part) for part in enough["F"]] == [MIN_IMAGES, MIN_IMAGES]
    assert words == [
        "Not scored by themselves, fewer than 10 images of sex in one of the sets: M (10 real, 9 "
        "synthetic), O (2 real, 0 synthetic)."
    ]


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (
            "sec",
            r"unknown attribute of the real images 'sec'; known: days, sex \(did you mean 'sex'",
        ),
        ("days", "is a number"),
    ],
)
def test_a_wrong_column_gets_a_sentence(column, says):
    with pytest.raises(OptionError, match=says):
        places(images(sex=["F"], days=[3.0]), column, "real")


def test_a_folder_of_images_has_no_column():
    with pytest.raises(OptionError, match="synthetic images have no attributes"):
        places(EvaluationImages(np.zeros((1, 4, 4, 3))), "sex", "synthetic")


@pytest.mark.parametrize("empty", [np.nan, None])
def test_an_empty_column_is_called_empty(empty):
    with pytest.raises(
        OptionError, match="attribute 'sex' is empty in the table of the gen images"
    ):
        places(images(sex=[empty, empty]), "sex", "gen")


def test_every_set_is_checked_for_the_column_before_anything_is_computed():
    with_table = images(sex=["F", "M"])
    without = EvaluationImages(np.zeros((2, 4, 4, 3)))
    check(with_table, {"synthetic": with_table, "plain": without}, None)
    check(with_table, {"synthetic": with_table}, "sex")
    with pytest.raises(
        OptionError, match="the plain images have no attributes, so there is no 'sex' to go by"
    ):
        check(with_table, {"synthetic": with_table, "plain": without}, "sex")
