"""Attributes: words have a vocabulary, names from later versions pass, and the order of the keys
of cohort.json."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from specs import spec_of

from latentdrift.attributes.specification import Attribute, as_number, words_of


def test_the_keys_keep_the_order_of_cohort_json():
    texts = (
        '{"type": "number", "low": 60.0, "high": 90.0, "unit": "years"}',
        '{"type": "category", "vocabulary": ["F", "M"]}',
        '{"type": "number", "from_a_later_version": [1]}',
    )
    for text in texts:
        attribute = Attribute.model_validate_json(text)
        assert json.dumps(attribute.model_dump(exclude_unset=True)) == text


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ({"type": "category"}, "a category has a vocabulary"),
        ({"type": "findings"}, "a findings has a vocabulary"),
        ({"type": "date"}, "type"),
        ({}, "type"),
        ({"type": "number", "low": "60"}, "low"),
        ({"type": "category", "vocabulary": [1, 2]}, "vocabulary"),
    ],
)
def test_a_wrong_row_is_refused(row, place):
    with pytest.raises(ValidationError, match=place):
        Attribute.model_validate(row)


def test_an_attribute_does_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Attribute(type="number").unit = "years"


def test_words_of_an_attribute():
    spec = spec_of(
        {"age": {"type": "number"}, "sex": {"type": "category", "vocabulary": ["F", "M"]}}
    )
    assert spec["age"].is_number and not spec["sex"].is_number
    assert words_of(spec, "sex") == ["F", "M"]
    assert words_of(spec, "age") == words_of(spec, "findings") == []


def test_a_number_is_a_number():
    assert as_number(70) == as_number(70.0) == as_number("70") == 70.0
    for value, error in ((None, TypeError), (["70"], TypeError), ("old", ValueError)):
        with pytest.raises(error):
            as_number(value)
