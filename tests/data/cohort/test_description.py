"""Types of cohort.json: values of wrong types are refused, and names from later versions pass."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from latentdrift.attributes.specification import Attribute
from latentdrift.data.cohort.description import CohortInfo

WHOLE = {
    "format": 1,
    "describe": "brain MRI",
    "attributes": {
        "age": {"type": "number", "unit": "years", "low": 18.0, "high": 96.0},
        "sex": {"type": "category", "vocabulary": ["F", "M"]},
    },
}


def test_a_description_survives_a_round_trip():
    whole = WHOLE | {"split": {"by": "patient", "of_a_later_version": 1}, "a_later_part": [1]}
    info = CohortInfo.model_validate(whole)
    assert info.attributes["age"] == Attribute(type="number", unit="years", low=18.0, high=96.0)
    assert info.kept == {} and info.synthetic is False and info.split.by == "patient"
    assert info.model_dump(exclude_unset=True) == whole


def test_parts_that_a_file_lacks_are_empty():
    info = CohortInfo.model_validate(WHOLE)
    assert (info.source.units, info.split.notes, info.table.cells) == ({}, [], {})
    assert (info.rejected, info.warnings, info.adapters, info.gate) == ([], [], [], None)


OPTIONAL = sorted(
    name for name, field in CohortInfo.model_fields.items() if not field.is_required()
)


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_part_that_is_null_is_absent(name):
    info = CohortInfo.model_validate(WHOLE | {name: None})
    assert info == CohortInfo.model_validate(WHOLE)


@pytest.mark.parametrize("part", ["split", "source", "table", "deidentification"])
def test_an_optional_value_within_a_part_that_is_null_is_absent(part):
    fields = type(getattr(CohortInfo.model_validate(WHOLE), part)).model_fields
    info = CohortInfo.model_validate(WHOLE | {part: dict.fromkeys(fields)})
    assert getattr(info, part) == getattr(CohortInfo.model_validate(WHOLE), part)


def test_a_null_hides_no_other_value_and_that_of_a_later_version_stays():
    info = CohortInfo.model_validate(WHOLE | {"later": None, "images": None, "patients": 3})
    assert (info.images, info.patients, info.model_extra) == (0, 3, {"later": None})


def test_a_rejected_file_needs_no_reason():
    rejected = [{"file": "x"}, {"file": "y", "reason": None}, {"file": "z", "reason": "empty"}]
    info = CohortInfo.model_validate(WHOLE | {"rejected": rejected})
    assert [file.reason for file in info.rejected] == [None, None, "empty"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"format": "1"}, "format"),
        ({"format": None}, "format"),
        ({"attributes": None}, "attributes"),
        ({"rejected": [{"reason": 3}]}, "rejected.0.reason"),
        ({"describe": None}, "describe"),
        ({"attributes": {"sex": {"type": "category"}}}, "a category has a vocabulary"),
        ({"attributes": {"seen": {"type": "findings"}}}, "a findings has a vocabulary"),
        ({"attributes": {"age": {"type": "date"}}}, "attributes.age.type"),
        ({"images": 2.5}, "images"),
        ({"synthetic": "no"}, "synthetic"),
        ({"source": {"units": ["HU"]}}, "source.units"),
        ({"split": {"notes": "none"}}, "split.notes"),
    ],
)
def test_a_wrong_type_is_named(change, place):
    with pytest.raises(ValidationError, match=place):
        CohortInfo.model_validate(WHOLE | change)
