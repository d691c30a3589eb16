"""Phrases of single attributes: ages in words, what is absent, and what a row says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_examples import CHEST, KNOWN, SPEC

from latentdrift.prompts import absent, attributes_of, negated, sentence
from latentdrift.prompts.phrases import NEGATIONS, in_words


def test_attributes_of_a_row_drops_what_is_missing_or_not_an_attribute() -> None:
    assert attributes_of(
        {"age": float("nan"), "sex": "F", "patient": "p1", "findings": ""}, SPEC
    ) == {"sex": "F"}


def test_ages_in_words_count() -> None:
    words = [in_words(number) for number in range(131)]
    assert len(set(words)) == 131 and words[119] == "one hundred nineteen"
    for tens, name in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    ):
        assert words[10 * tens : 10 * tens + 10] == [name] + [
            f"{name}-{words[ones]}" for ones in range(1, 10)
        ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", []),
        (None, []),
        (float("nan"), []),
        ([], []),
        ("No Finding", ["Effusion", "Hernia", "Mass", "Nodule"]),
        ("mass|Effusion", ["Hernia", "Nodule"]),
        (["Hernia"], ["Effusion", "Mass", "Nodule"]),
        ("no mass", ["Effusion", "Hernia", "Nodule"]),
    ],
)
def test_absent_is_what_a_cell_that_says_something_does_not_name(
    cell: object, expected: list[str]
) -> None:
    assert absent(cell, CHEST) == expected


def test_negations_are_few_true_and_the_same_every_time() -> None:
    drawn = [negated({"findings": "Mass", "sex": "F"}, CHEST, index) for index in range(60)]
    denied = [re.findall(r"no (\w+)", row["findings"]) for row in drawn]
    assert all(len(names) == NEGATIONS and "Mass" not in names for names in denied)
    assert {name for names in denied for name in names} == {"Effusion", "Hernia", "Nodule"}
    assert drawn == [negated({"findings": "Mass", "sex": "F"}, CHEST, index) for index in range(60)]
    assert sentence("chest X-ray", drawn[0]).startswith("a chest X-ray of a female with Mass, no ")


@settings(deadline=None)
@given(KNOWN, st.integers(0, 100))
def test_where_findings_are_missing_nothing_is_denied(known: dict, index: int) -> None:
    for cell in ("", None, float("nan")):
        unknown = {**known, "findings": cell}
        assert sentence("CT", negated(unknown, CHEST, index)) == sentence("CT", unknown)
    assert negated({"findings": "mass"}, {}, index) == {"findings": "mass"}
