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
