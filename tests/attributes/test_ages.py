"""Ages as people write them: what is an age, what is none, and the same rule for headers, tables
and the command line."""

from __future__ import annotations

import pytest

from latentdrift.attributes.ages import AgeError, parse_age


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("45", 45),
        ("070", 70),
        ("58,5", 58.5),
        ("0", 0),
        ("67y", 67),
        ("067Y", 67),
        ("67 yrs", 67),
        ("58 y/o", 58),
        ("58 y.o.", 58),
        ("58 years old", 58),
        ("aged 58 years", 58),
        ("6 months", 0.5),
        ("018M", 1.5),
        ("2y6m", 2.5),
        ("2 years, 6 months", 2.5),
        ("1y 3 mo", 1.25),
        ("52.17857 weeks", 1),
        ("731 days", 731 / 365.25),
        ("90+", 90),
        ("９０＋", 90),
        ("89+", 89),
        ("85 +", 85),
        ("90Y+", 90),
        (">89", 90),
        ("> 89", 90),
        ("over 89", 90),
        (">=90", 90),
        ("≥ 90", 90),
        ("90 or older", 90),
        ("90 years and over", 90),
        ("unknown", None),
        ("N/A", None),
        ("", None),
    ],
)
def test_an_age_is_read_however_it_is_written(text: str, years: float | None) -> None:
    assert parse_age(text) == (pytest.approx(years, abs=5e-4) if years is not None else None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("45-50", "age is a range"),
        ("45 – 50 years", "age is a range"),
        ("45 to 50", "age is a range"),
        ("<1", "age is a range"),
        ("18+", "age is a range"),
        ("over 65", "age is a range"),
        ("-1", "negative age"),
        ("−3 months", "negative age"),
        ("300", "age out of range"),
        ("238Y", "age out of range"),
        (">" + "9" * 50, "age out of range"),
        ("1500 months", "age out of range"),
        ("old", "age is not a number"),
        ("inf", "age is not a number"),
        ("2yellow", "age is not a number"),
        ("6m2y", "age is not a number"),
        ("1940-03-01", "age is not a number"),
        ("9" * 5000, "age is not a number"),
    ],
)
def test_what_is_no_age_says_why_and_never_at_length(text: str, reason: str) -> None:
    with pytest.raises(AgeError) as caught:
        parse_age(text)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("045Y", 45),
        ("018M", 1.5),
        ("065 Y", 65),
        ("90+", 90),
        ("42", None),
        ("-05Y", None),
        ("238Y", None),
        ("999Y", None),
    ],
)
def test_in_a_header_a_bare_number_is_no_age(text: str, years: float | None) -> None:
    if years is not None:
        assert parse_age(text, unit=None) == years
        return
    with pytest.raises(AgeError):
        parse_age(text, unit=None)


def test_a_unit_of_the_column_counts_where_the_cell_has_none() -> None:
    assert parse_age("18", "months") == 1.5
    assert parse_age("18y", "months") == 18
    assert parse_age("1,500", "days", ".") == pytest.approx(1500 / 365.25, abs=5e-4)
    assert parse_age("1,500", "days", ",") == pytest.approx(1.5 / 365.25, abs=5e-4)
