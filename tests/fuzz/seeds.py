"""Whole files of every format that is read, which the fuzzers damage; all of them are made here."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import nibabel
import numpy as np
import openpyxl
import pydicom
import tifffile
import torch
from PIL import Image as Pillow
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)
from safetensors.torch import save

PIXELS = (np.add.outer(np.arange(24), np.arange(20)) * 70 % 4096).astype(np.uint16)


def rasters() -> dict[str, bytes]:
    """PNG, JPEG and TIFF."""
    eight = (PIXELS >> 4).astype(np.uint8)
    colour = np.stack([PIXELS >> 4] * 3, -1).astype(np.uint8)
    made = {}
    for name, pixels, form in (
        ("g8", eight, "PNG"),
        ("g16", PIXELS, "PNG"),
        ("rgb", colour, "PNG"),
        ("j", eight, "JPEG"),
    ):
        buffer = io.BytesIO()
        Pillow.fromarray(pixels).save(buffer, form)
        made[f"{name}.{form.lower()}"] = buffer.getvalue()
    buffer = io.BytesIO()
    Pillow.fromarray(eight).convert("P").save(buffer, "PNG", transparency=3)
    made["palette.png"] = buffer.getvalue()
    for name, how in (
        ("plain", {}),
        ("deflate", {"compression": "zlib", "predictor": 2}),
        ("lzma", {"compression": "lzma"}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, np.stack([PIXELS] * 2), photometric="minisblack", **how)
        made[f"{name}.tif"] = buffer.getvalue()
    buffer = io.BytesIO()
    Pillow.fromarray(eight).save(buffer, "TIFF", compression="packbits")
    made["packbits.tif"] = buffer.getvalue()
    return made


def volumes() -> dict[str, bytes]:
    """NIfTI-1 and -2, plain and gzipped."""
    data = np.random.default_rng(0).integers(0, 1000, (8, 9, 7)).astype(np.int16)
    made = {}
    for name, kind in (("one", nibabel.Nifti1Image), ("two", nibabel.Nifti2Image)):
        image = kind(data, np.diag([2.0, 2.0, 3.0, 1.0]))
        made[f"{name}.nii"] = image.to_bytes()
        made[f"{name}.nii.gz"] = gzip.compress(image.to_bytes(), mtime=0)
    return made


def dicoms() -> dict[str, bytes]:
    """CT of several transfer syntaxes, and a multi-frame object."""
    made = {}
    for name, syntax, frames in (
        ("explicit", ExplicitVRLittleEndian, 1),
        ("implicit", ImplicitVRLittleEndian, 1),
        ("rle", RLELossless, 1),
        ("deflated", DeflatedExplicitVRLittleEndian, 1),
        ("frames", ExplicitVRLittleEndian, 3),
    ):
        made[f"{name}.dcm"] = dicom(syntax, frames)
    return made


def dicom(syntax: str, frames: int) -> bytes:
    """One object."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["f"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID = meta.MediaStorageSOPClassUID
    one.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    one.Modality = "CT"
    one.PatientID = "FUZZ"
    one.PatientSex = "F"
    one.PatientAge = "045Y"
    one.StudyDate = "20200101"
    one.Rows, one.Columns = PIXELS.shape
    one.SamplesPerPixel = 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.PixelRepresentation = 0
    one.BitsAllocated = 16
    one.BitsStored = 12
    one.HighBit = 11
    one.RescaleSlope = "1"
    one.RescaleIntercept = "-1024"
    one.WindowCenter = "40"
    one.WindowWidth = "400"
    one.PixelSpacing = ["0.75", "0.75"]
    one.ImagePositionPatient = ["0", "0", "0"]
    one.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    if frames > 1:
        one.NumberOfFrames = frames
    one.PixelData = PIXELS.tobytes() * frames
    if syntax == RLELossless:
        one.compress(RLELossless)
    buffer = io.BytesIO()
    one.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def tables() -> dict[str, bytes]:
    """CSV of several dialects, and a workbook."""
    rows = [["Image", "Patient ID", "Age", "Sex", "Findings", "Date"]]
    for i in range(12):
        findings = "Effusion|Nodule" if i % 3 else ""
        rows.append(
            [f"{i}.png", f"P{i:03d}", str(40 + i), "FM"[i % 2], findings, f"2020-01-{i + 1:02d}"]
        )
    text = "\n".join(",".join(row) for row in rows) + "\n"
    made = {
        "comma.csv": text.encode(),
        "semicolon.csv": text.replace(",", ";").replace("\n", "\r").encode("utf-16"),
    }
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    made["book.xlsx"] = buffer.getvalue()
    plain = io.BytesIO()  # parts that are not packed, so that mutations reach the XML
    with (
        zipfile.ZipFile(buffer) as packed,
        zipfile.ZipFile(plain, "w", zipfile.ZIP_STORED) as stored,
    ):
        for name in packed.namelist():
            stored.writestr(name, packed.read(name))
    return made | {"stored.xlsx": plain.getvalue()}


def maps() -> dict[str, bytes]:
    """A map with every key."""
    text = (
        'describe: chest X-ray\nfile: "{Image}"\npatient: Patient ID\nage: {column: Age, unit: '
        "years}\n"
        "sex: {column: Sex, values: {F: F, M: M}}\ndate: Date\nfindings: {column: Findings, none: "
        "No Finding}\n"
        "modality: {value: CR}\nkeep: [Date]\nwindow: full\n"
    )
    return {"map.yaml": text.encode()}


def documents() -> dict[str, bytes]:
    """cohort.json, adapter.json and record.json."""
    attributes = {
        "age": {"type": "number", "unit": "years"},
        "sex": {"type": "category", "vocabulary": ["F", "M"]},
    }
    cohort = {
        "format": 1,
        "describe": "brain MRI",
        "attributes": attributes,
        "kept": {},
        "splits": {"train": 2},
        "rejected": [],
    }
    adapter = {
        "format": 1,
        "method": "lora",
        "options": {"rank": 2, "alpha": None},
        "base": {"name": "pocket", "hash": "0" * 64},
        "drift": {
            "mode": "both",
            "form": "noise_mean",
            "start": "shift",
            "train": [0.1] * 4,
            "infer": [0.1] * 4,
        },
        "tokens": [],
        "describe": "brain MRI",
        "pictures": "brain MRI",
        "prompt": {"style": "simple"},
        "attributes": attributes,
        "resolution": 32,
        "colour": False,
        "start": [],
        "schedule": {"prediction_type": "epsilon", "zero_snr": False},
    }
    record = {
        "schema": 1,
        "verb": "fit",
        "options": {"cohort": "c", "out": "o"},
        "results": {"outputs": {"a.png": "0"}},
    }
    return {
        f"{name}.json": json.dumps(value).encode()
        for name, value in (("cohort", cohort), ("adapter", adapter), ("record", record))
    }


def weights() -> dict[str, bytes]:
    """A LoRA and words of other tools, as safetensors and as torch writes them."""
    down = torch.ones(2, 8) / 8
    up = torch.ones(8, 2) / 8
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    lora = {
        f"{name}.lora_down.weight": down,
        f"{name}.lora_up.weight": up,
        f"{name}.alpha": torch.tensor(2.0),
    }
    words = {"<word>": torch.ones(2, 8)}
    buffer = io.BytesIO()
    torch.save({"string_to_param": {"*": torch.ones(2, 8)}, "name": "word", "step": 5}, buffer)
    plain = io.BytesIO()
    torch.save(words, plain)
    numbers = {"lora.safetensors": save(lora), "words.safetensors": save(words)}
    return numbers | {"a1111.pt": buffer.getvalue(), "words.bin": plain.getvalue()}
