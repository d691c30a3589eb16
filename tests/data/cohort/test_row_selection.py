"""Rows of a small cohort by patient and split, and its one category."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latentdrift.data.cohort.cohort import Cohort, write_cohort
from latentdrift.data.cohort.row_selection import check_category, rows_of_patients
from latentdrift.errors import OptionError

ROWS = (
    {"patient": "P01", "sex": "female", "age": 60.0, "split": "train"},
    {"patient": "P02", "sex": "male", "age": 70.0, "split": "train"},
    {"patient": "P01", "sex": "female", "age": 61.0, "split": "train"},
    {"patient": "P03", "sex": "male", "age": 80.0, "split": "test"},
    {"patient": None, "sex": "male", "age": 90.0, "split": "test"},
)


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    """Five images of three patients and of nobody who is named."""
    pixels = np.zeros((16, 16), np.uint8)
    return write_cohort(tmp_path / "cohort", [(pixels, row) for row in ROWS], {"describe": "MRI"})


@pytest.mark.parametrize(
    ("split", "patients", "expected"),
    [
        (None, (), [0, 1, 2, 3, 4]),
        ("test", (), [3, 4]),
        (None, ("P01",), [0, 2]),
        ("train", ("P02", "P01"), [0, 1, 2]),  # in the order of the table
        (None, ("P03", "P02"), [1, 3]),
    ],
)
def test_rows_of_patients(
    cohort: Cohort, split: str | None, patients: tuple[str, ...], expected: list[int]
) -> None:
    assert rows_of_patients(cohort, split, patients)["age"].tolist() == [
        ROWS[position]["age"] for position in expected
    ]


def test_a_patient_of_another_split_is_refused(cohort: Cohort) -> None:
    with pytest.raises(OptionError, match=r"`patient=P03` is not in the train split .* 2 patients"):
        rows_of_patients(cohort, "train", ["P01", "P03"])


def test_an_unknown_patient_is_refused_with_the_nearest_ones(cohort: Cohort) -> None:
    with pytest.raises(OptionError, match=r"`patient=P0` is not in this cohort, .*such as P0\d, "):
        rows_of_patients(cohort, None, ["P0"])


def test_a_category_passes_and_a_number_is_refused(cohort: Cohort) -> None:
    check_category(cohort, "sex", "by")
    for name in ("age", "sexx"):
        with pytest.raises(OptionError, match=f"unknown category for `by` '{name}'; known: .*sex"):
            check_category(cohort, name, "by")
