"""Assignments and findings on the command line, in the words of the cohort."""

from __future__ import annotations

import pytest
from prompt_examples import SPEC
from specs import spec_of

from latentdrift.attributes.ages import OLDEST
from latentdrift.errors import OptionError
from latentdrift.prompts import parse_assignment, parse_finding


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age=85", ("age", 85.0)),
        (" Age = 85.5 ", ("age", 85.5)),
        ("sex=male", ("sex", "M")),
        ("sex=f", ("sex", "F")),
        ("diagnosis=No Dementia", ("diagnosis", "no dementia")),
        ("findings=Mass|effusion", ("findings", "mass|effusion")),
    ],
)
def test_assignments(text: str, expected: tuple) -> None:
    assert parse_assignment(text, SPEC) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age=-5", "age=-5: an age lies between 0 and 120 years"),
        ("age=old", "'old' is not a number; give it in years"),
        ("age=inf", "'inf' is not a number"),
        ("age", "'age' is not an assignment; write name=value"),
        ("weight=70", "unknown attribute 'weight'; known: age, diagnosis, findings, sex"),
        (
            "diagnosis=demenita",
            r"unknown diagnosis 'demenita'; known: dementia, no dementia \(did you mean "
            r"'dementia'\?\)",
        ),
        (
            "findings=mass|no finding",
            "'no finding' says that there are no findings, and others are named",
        ),
        ("findings=oedema", "unknown finding 'oedema'; known: effusion, mass, no finding"),
    ],
)
def test_bad_assignments_get_a_sentence(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_assignment(text, SPEC)


def test_findings_need_a_cohort_with_findings() -> None:
    with pytest.raises(OptionError, match="unknown attribute 'findings'; known: age"):
        parse_finding("mass", {"age": SPEC["age"]})


@pytest.mark.parametrize("text", ["90+", "> 89", "90", "90 or older", "1080 months"])
def test_the_command_line_reads_ages_as_tables_do(text: str) -> None:
    assert parse_assignment(f"age={text}", spec_of({"age": {"type": "number"}})) == ("age", 90.0)


@pytest.mark.parametrize("text", ["129", "45-50", "unknown", "-1"])
def test_the_command_line_refuses_what_is_no_age(text: str) -> None:
    with pytest.raises(OptionError, match=f"age={text}: "):
        parse_assignment(f"age={text}", spec_of({"age": {"type": "number"}}))
    assert OLDEST == 120
