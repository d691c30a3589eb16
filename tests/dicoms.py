"""Small DICOM files for tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

from latentdrift.data.images.dicom.reader import read_dicom
from latentdrift.data.images.image import Image
from latentdrift.data.images.intensity import to_unit

STORED = np.random.default_rng(0).integers(0, 4096, (6, 8)).astype(np.uint16)


def saved(path: Path, stored: np.ndarray = STORED, *, frames: int = 1, **values: Any) -> Path:
    """A DICOM file; keyword arguments set attributes by keyword, None removes one."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = values.pop("syntax", ExplicitVRLittleEndian)
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    shape = stored.shape[1:] if frames > 1 else stored.shape
    bits = 8 * stored.dtype.itemsize
    signed = stored.dtype.kind == "i"
    whole = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "MR",
        "Rows": shape[0],
        "Columns": shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(signed),
    }
    if frames > 1:
        whole["NumberOfFrames"] = frames
    whole |= values
    for keyword, value in whole.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" not in values:
        data = stored.tobytes()
        dataset.add_new("PixelData", "OB" if bits == 8 else "OW", data + b"\0" * (len(data) % 2))
    dataset.save_as(path, enforce_file_format=True)
    return path


def dicom_errors(path: Path) -> list[str]:
    """What an independent validator of Secondary Capture objects finds; skips the test where there
    is none."""
    beside = Path(sys.executable).with_name("dciodvfy")  # where the package dicom3tools puts it
    validator = str(beside) if beside.is_file() else shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    report = subprocess.run([validator, path], capture_output=True, text=True, check=False)
    lines = (report.stdout + report.stderr).splitlines()
    assert any("SCImage" in line for line in lines)
    return [line for line in lines if line.startswith("Error") and "0x0008,0x001c" not in line]


ALLOWED = {"age", "sex", "view", "modality", "body_part"}


def one(path: Path, **options: Any) -> Image:
    """The only image of a file."""
    (image,) = read_dicom(path, **options)
    return image


def shown(image: Image) -> np.ndarray:
    """Pixels in the unit range of the image."""
    return to_unit(image.pixels, image.range)


RGB = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)
IDENTITY = {
    "PatientName": "DOE^JANE",
    "PatientID": "MRN-0042",
    "PatientBirthDate": "19500615",
    "OtherPatientIDs": "OTHER-7",
    "PatientAddress": "1 Main Street",
    "InstitutionName": "St Elsewhere",
    "ReferringPhysicianName": "WHO^DOCTOR",
    "OperatorsName": "TECH^NICIAN",
    "StudyDate": "20150615",
    "StudyTime": "101112",
    "AccessionNumber": "ACC99",
    "StudyID": "S-77",
    "StudyDescription": "CHEST OF JANE DOE",
    "SeriesDescription": "JANE SERIES",
    "PatientComments": "lives alone",
    "DeviceSerialNumber": "SN12345",
    "StationName": "ROOM9",
    "ProtocolName": "DOE PROTOCOL",
    "ImageComments": "JANE COMMENT",
    "StudyInstanceUID": "1.2.3.4.51",
    "SeriesInstanceUID": "1.2.3.4.52",
    "FrameOfReferenceUID": "1.2.3.4.53",
}


DICOM = (
    "CT_small.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "image_dfl.dcm",
    "examples_palette.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "liver_1frame.dcm",
    "rtdose.dcm",
    "MR_small_bigendian.dcm",
    "examples_overlay.dcm",
    "no_meta_group_length.dcm",
    "reportsi.dcm",
)


def dicom(name: str) -> Path:
    path = pydicom.data.get_testdata_file(name, download=False)
    assert path is not None
    return Path(str(path))
