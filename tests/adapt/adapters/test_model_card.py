"""README.md of an adapter says what it takes to judge it, and nothing of any patient."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from specs import spec_of

from latentdrift.adapt.adapters import adapter_files, model_card
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.adapter_info import AdapterFile


def test_it_says_what_was_learned_from_what(made: Path) -> None:
    text = (made / "README.md").read_text()
    for part in (
        "Pictures of: brain MRI. Images: 8 train, 2 validation, 2 test. Patients: 6; splits are by "
        "patient.",
        "age (of the training images): 60 to 70 years",
        "diagnosis (of the training images): dementia fewer than 5, no dementia fewer than 5",
        "sex (of the training images): F fewer than 5, M fewer than 5",
        "train: 0.1, 0.1, 0.1, 0.1 (per latent channel, in standard deviations of unit noise)",
        "- steps: 2\n",
        "- rank: 8\n",
        "- loss, held out: ",
        "Licence of the base: unknown.",
        "For research",
        "Every generated image is synthetic",
        'pipe.load_lora_weights("ADAPTER")',
        "docs/export.md",
        "latentdrift generate ADAPTER",
    ):
        assert part in text


def test_no_patient_stands_in_it(
    made: Path, tiny_cohort_folder: Path, tiny_base_folder: Path
) -> None:
    text = (made / "README.md").read_text() + (made / "adapter.json").read_text()
    cohort = Cohort.load(tiny_cohort_folder)
    for row in cohort.rows().to_dict("records"):
        for field in ("patient", "file_name", "sha256"):
            assert str(row[field]) not in text
    page = (made / "README.md").read_text()
    assert not re.search(r"P\d{4}|\d{4}\.png", page)
    assert str(tiny_cohort_folder) not in text
    assert str(tiny_base_folder.parent) not in page  # of the base's place only its name


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ([61.0, 72.0, 88.0], "years", "60 to 90 years"),
        ([61.0, 97.0], "years", "60 to 90 or more years"),
        ([93.0, 97.0], "years", "90 or more years"),
        ([71.0], "years", "70 to 80 years"),
        ([18.0, 30.0], None, "10 to 40"),
        ([0.712, 0.84], "ml", "0.7 to 0.9 ml"),
        ([0.0], None, "0 to 1"),
        ([], "years", None),
    ],
)
def test_numbers_are_ranges_and_nobodys_own(
    values: list[float], unit: str | None, expected: str | None
) -> None:
    rows = pd.DataFrame({"x": values})
    spec = {"x": {"type": "number", "unit": unit}}
    assert model_card.summary(rows, spec_of(spec)) == {"x": expected}


def test_values_of_few_images_are_not_counted_out() -> None:
    rows = pd.DataFrame(
        {"findings": ["effusion|nodule"] * 5 + ["effusion", None], "sex": ["F"] * 7}
    )
    spec = {
        "findings": {"type": "findings", "vocabulary": ["effusion", "nodule", "cardiomegaly"]},
        "sex": {"type": "category", "vocabulary": ["F", "M"]},
    }
    assert model_card.summary(rows, spec_of(spec)) == {
        "findings": {"effusion": "6", "nodule": "5", "cardiomegaly": "0"},
        "sex": {"F": "7", "M": "0"},
    }
    assert model_card.summary(rows.head(4), spec_of(spec))["sex"] == {"F": "fewer than 5", "M": "0"}


@pytest.mark.parametrize(
    ("name", "licence", "identifier"),
    [
        ("pocket", "Apache-2.0", "apache-2.0"),
        ("sd15", "CreativeML Open RAIL-M", "other"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "CreativeML Open RAIL-M", "other"),
        ("/somewhere/else", "unknown", "unknown"),
    ],
)
def test_the_licence_of_the_base_where_it_is_known(
    name: str, licence: str, identifier: str, made: Path
) -> None:
    info = adapter_files.read(made)
    base = info.base.model_copy(update={"name": name})
    text = model_card.card(info.model_copy(update={"base": base}))
    assert f"Licence of the base: {licence}." in text
    assert f"\nlicense: {identifier}\n" in text


def test_older_and_adopted_adapters_have_one_too(made: Path) -> None:
    info: dict[str, Any] = adapter_files.read(made).to_dict()
    del info["cohort"]["attributes"]
    assert "8 train" in model_card.card(AdapterFile.model_validate(info))
    del info["cohort"], info["losses"]
    info["drift"] |= {"train": [], "infer": []}
    info["adopted"] = {"format": "kohya LoRA", "file": "a.safetensors", "sha256": "0"}
    text = model_card.card(AdapterFile.model_validate(info))
    assert "made with another tool (kohya LoRA)" in text
    assert "## Drift\n\n- None.\n" in text
