"""The end of an import: warnings about windows and number formats, with the cure."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import dicoms
import numpy as np
import pytest
from PIL import Image

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.finalize import summary
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.inspection.statistics import inspect


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def taken_from(tmp_path: Path, **options) -> Cohort:
    return import_cohort(
        ImportOptions(source=tmp_path / "in", out=tmp_path / "cohort", workers=1, **options)
    )


NIH_TITLES = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
)


def test_images_of_no_known_modality_are_to_be_described(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [NIH_TITLES]
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16)).astype(np.uint8)
        save(tmp_path / "in" / f"{number}.png", pixels)
        rows.append(f"{number}.png,Mass,0,{number},60,F,PA")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    with caplog.at_level(logging.INFO):
        taken_from(tmp_path, table=tmp_path / "table.csv")
    assert "Prompts say 'medical image'" in caplog.text
    assert "with `describe='chest X-ray'`" in caplog.text
    assert "The titles of the table fit `preset=nih-chestxray14`." in caplog.text
    caplog.clear()
    shutil.rmtree(tmp_path / "cohort")
    shutil.rmtree(tmp_path / "cohort-private")
    with caplog.at_level(logging.INFO):
        taken_from(tmp_path, table=tmp_path / "table.csv", describe="chest X-ray")
    assert "medical image" not in caplog.text


@pytest.mark.parametrize(("bits", "window"), [(12, "0,4095"), (1, "0,1")])
def test_pictures_that_use_little_of_their_number_format_are_named_with_the_cure(
    tmp_path, bits, window
):
    depth = np.uint16 if bits > 8 else np.uint8
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 2**bits, (16, 16)).astype(depth)
        pixels[0, 0] = 2**bits - 1
        save(tmp_path / "in" / f"{number}.png", pixels)
    cohort = taken_from(tmp_path)
    (warning,) = cohort.warnings
    assert (
        f"values up to {2**bits - 1} of" in warning
        and f"nearly black; import them with `window={window}`" in warning
    )
    assert warning in summary(cohort.info, []) and warning in inspect(cohort).warnings
    shutil.rmtree(tmp_path / "cohort")
    assert taken_from(tmp_path, window=window).info.warnings == []


def test_a_cohort_of_several_ct_windows_is_named_with_the_cure(tmp_path):
    (tmp_path / "in").mkdir()
    windows = {"lung": ("-600", "1500"), "soft": ("40", "400"), "soft2": ("40", "400")}
    for number, (name, (centre, width)) in enumerate(windows.items()):
        values = {
            "WindowCenter": centre,
            "WindowWidth": width,
            "RescaleSlope": "1",
            "RescaleIntercept": "-1024",
        }
        stored = np.random.default_rng(number).integers(0, 2000, (6, 8)).astype(np.uint16)
        dicoms.saved(
            tmp_path / "in" / f"{name}.dcm", stored, Modality="CT", PatientID=name, **values
        )
    (warning,) = taken_from(tmp_path).info.warnings
    assert "The 3 CT images have 2 different windows" in warning and "`window=-160,239`" in warning
    shutil.rmtree(tmp_path / "cohort")
    assert taken_from(tmp_path, window="-160,239").info.warnings == []
