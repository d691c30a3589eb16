"""Results for people: four digits, and no dictionaries."""

from __future__ import annotations

import pytest

from latentdrift.cli.show import duration, show, size


def test_a_result_for_people_has_four_digits_and_no_dictionaries() -> None:
    drift = {"train": [], "infer": [0.012345678901234567, -0.1], "start": "shift"}
    shown = show(
        {
            "cohort": "o",
            "drift": drift,
            "seconds": 12.3456789,
            "same": True,
            "gate": None,
            "files": ["a", "b"],
        }
    )
    assert shown.splitlines() == [
        "cohort: o",
        "drift:",
        "  train: none",
        "  infer: 0.01235, -0.1",
        "  start: shift",
        "seconds: 12.35",
        "same: True",
        "gate: none",
        "files: a, b",
    ]


NO_DRIFT = {"mode": "both", "form": "noise_mean", "start": "shift", "train": [], "infer": []}


def test_no_drift_is_one_word() -> None:
    assert show({"drift": {**NO_DRIFT, "source": "none"}}) == "drift: none"


@pytest.mark.parametrize(
    "other",
    [{"start": "pin"}, {"infer": [0.1]}, {"train": [0.1]}, {"groups": [{"phrase": "dementia"}]}],
)
def test_a_drift_or_another_start_has_its_values(other: dict[str, object]) -> None:
    assert "mode: both" in show({"drift": {**NO_DRIFT, **other}})


def test_sentences_stand_on_lines_of_their_own() -> None:
    assert show({"warnings": ["Few, and small.", "One split."], "names": ["a", "b"]}) == (
        "warnings:\n  Few, and small.\n  One split.\nnames: a, b"
    )


def test_findings_are_shown_as_their_sentences() -> None:
    flags = [{"name": "edge", "sentence": "the best delta is an end of the grid"}]
    assert show({"flags": flags, "none": []}).splitlines() == [
        "flags:",
        "  the best delta is an end of the grid",
        "none: none",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [(900, "1 kB"), (320_400_000, "320 MB"), (5_432_000_000, "5.4 GB"), (0, "0 kB")],
)
def test_bytes_have_a_unit(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.123, "0.12 s"), (42, "42 s"), (720, "12 min"), (12_600, "3.5 h")],
)
def test_seconds_have_a_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
