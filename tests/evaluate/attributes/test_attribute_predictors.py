"""Judges of attributes see what is there, in held-out pictures; what cannot be learned is left
out."""

from __future__ import annotations

import numpy as np
import pytest
import shapes
from specs import spec_of

from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.attribute_predictors import MIN_IMAGES, Judges, Output, outputs
from latentdrift.evaluate.images.image_sets import EvaluationImages


def test_two_values_are_one_question_and_rare_ones_none() -> None:
    rows = shapes.table(40, 3).assign(
        site=["A"] * 15 + ["B"] * 15 + ["C"] * (MIN_IMAGES - 1) + [None]
    )
    site = spec_of({"site": {"type": "category", "vocabulary": ["A", "B", "C"]}})
    found, left_out = outputs(shapes.SPEC | site, rows)
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
