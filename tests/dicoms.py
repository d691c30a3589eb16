"""Small DICOM files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

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
        "SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "Modality": "MR", "Rows": shape[0], "Columns": shape[1], "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": int(signed),
    }  # fmt: skip
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
