"""Defined terms: codes that pass from a header, and free text that does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicoms import one, saved


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_free_text_in_a_code_does_not_pass(path: Path) -> None:
    image = one(saved(path, BodyPartExamined="Chest of J. Doe, born 1950", ViewPosition="x" * 40))
    assert "body_part" not in image.attributes and "view" not in image.attributes


@pytest.mark.parametrize(
    ("values", "free"),
    [
        ({"ViewPosition": "JANE DOE"}, "view"),
        ({"BodyPartExamined": "DOE 1950"}, "body_part"),
        ({"Modality": "DOE"}, "modality"),
    ],
)
def test_only_defined_terms_pass_as_codes(path: Path, values: dict, free: str) -> None:
    image = one(
        saved(
            path, **{"ViewPosition": "PA", "BodyPartExamined": "CHEST", "Modality": "DX"} | values
        )
    )
    assert set(image.attributes) == {"view", "body_part", "modality"} - {free}
    assert image.notes == (f"its {next(iter(values))} is no defined term and is left out",)
