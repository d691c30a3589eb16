"""Fixtures of the tests of images."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dicoms import DICOM, IDENTITY, STORED, dicom, saved
from one_of_each import PIXELS, VOLUME
from PIL import Image as Pillow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A place for one DICOM file."""
    return tmp_path / "a.dcm"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One small file of each format."""
    for suffix in ("png", "jpg", "tif"):
        Pillow.fromarray(PIXELS).save(tmp_path / f"raster.{suffix}")
    Pillow.fromarray(PIXELS).save(tmp_path / "raster-lzw.tif", compression="tiff_lzw")
    for make, name in (
        (nib.Nifti1Image, "nifti.nii"),
        (nib.Nifti1Image, "nifti.nii.gz"),
        (nib.Nifti2Image, "nifti2.nii"),
        (nib.Nifti1Pair, "nifti.hdr"),
    ):
        nib.save(make(VOLUME, np.eye(4)), tmp_path / name)
    for name in DICOM:
        shutil.copy(dicom(name), tmp_path / f"dicom-{name}")
    return tmp_path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An axial CT slice of somebody."""
    codes = {"PatientSex": "F", "PatientAge": "065Y", "BodyPartExamined": "CHEST", "Modality": "CT"}
    place = {
        "ImagePositionPatient": [-10, 20, 30.5],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.7, 0.6],
        "SliceThickness": "2.5",
    }
    values = {
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "WindowCenter": "40",
        "WindowWidth": "400",
    }
    return saved(tmp_path / "source.dcm", STORED, **IDENTITY, **codes, **place, **values)
