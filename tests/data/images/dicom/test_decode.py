"""Stored pixels: padding, bits, codings, and files that cannot be decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from dicoms import RGB, STORED, one, saved
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from latentdrift.data.images.dicom.reader import read_dicom
from latentdrift.data.images.image import ImageError


def test_overlays_in_the_unused_bits_are_left_out(path: Path) -> None:
    overlay = (np.arange(48).reshape(6, 8) % 2).astype(np.uint16) << 12
    image = one(saved(path, STORED | overlay, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(image.pixels, STORED)


@pytest.mark.parametrize("signed", [False, True])
def test_pixels_that_do_not_lie_in_the_lowest_bits(path: Path, signed: bool) -> None:
    values = STORED.astype(np.int16) - 2048 * signed
    stored = (values << 4).astype(np.int16 if signed else np.uint16)
    np.testing.assert_array_equal(
        one(saved(path, stored, BitsStored=12, HighBit=15)).pixels, values
    )


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_every_integer_type(path: Path, kind: str) -> None:
    stored = np.random.default_rng(0).integers(
        np.iinfo(kind).min, np.iinfo(kind).max, (5, 4), dtype=kind, endpoint=True
    )
    image = one(saved(path, stored))
    assert image.pixels.dtype == kind and np.array_equal(image.pixels, stored)
    assert image.range == (
        (0.0, 255.0) if kind == "u1" else (float(stored.min()), float(stored.max()))
    )


def test_float_pixels_with_gaps(path: Path) -> None:
    values = np.array([[1.5, np.nan], [-2.5, 4.0]], np.float32)
    saved(path, values.view(np.uint32), BitsStored=None, HighBit=None)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.FloatPixelData = values.tobytes()
    dataset.BitsStored = 32
    dataset.save_as(path)
    image = one(path)
    np.testing.assert_array_equal(image.pixels, [[1.5, -2.5], [-2.5, 4.0]])
    assert image.range == (-2.5, 4.0)


@pytest.mark.parametrize("planar", [0, 1])
def test_colour_by_pixel_and_by_plane(path: Path, planar: int) -> None:
    data = (np.moveaxis(RGB, -1, 0) if planar else RGB).tobytes()
    values = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": planar,
        "PixelData": data,
    }
    image = one(saved(path, RGB[..., 0], **values))
    assert np.array_equal(image.pixels, RGB) and image.range == (0.0, 255.0)


def test_ybr_becomes_rgb(path: Path) -> None:
    """PS3.3 C.7.6.3.1.2, YBR_FULL: the inverse of its equations."""
    y, b, r = (RGB[..., i].astype(float) for i in range(3))
    expected = np.stack(
        [
            y + 1.402 * (r - 128),
            y - 0.344136 * (b - 128) - 0.714136 * (r - 128),
            y + 1.772 * (b - 128),
        ],
        axis=-1,
    )
    values = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "YBR_FULL",
        "PlanarConfiguration": 0,
        "PixelData": RGB.tobytes(),
    }
    np.testing.assert_allclose(
        one(saved(path, RGB[..., 0], **values)).pixels, np.clip(expected, 0, 255), atol=1
    )


def test_a_palette_is_resolved(path: Path) -> None:
    index = np.arange(4, dtype=np.uint8).reshape(2, 2)
    luts = {"Red": [0, 255, 9, 7], "Green": [3, 2, 1, 0], "Blue": [5, 5, 5, 80]}
    values: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, entries in luts.items():
        values[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        values[f"{name}PaletteColorLookupTableData"] = bytes(entries)
    np.testing.assert_array_equal(
        one(saved(path, index, **values)).pixels, np.stack([*luts.values()], -1)[index]
    )


def test_grey_stored_as_colour_is_grey(path: Path) -> None:
    grey = np.dstack([RGB[..., 0]] * 3)
    values = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "PixelData": grey.tobytes(),
    }
    assert np.array_equal(one(saved(path, RGB[..., 0], **values)).pixels, RGB[..., 0])


def refused(path: Path, reason: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as error:
        read_dicom(path)
    assert error.value.reason == reason


def test_objects_of_endless_frames_are_refused_before_memory_is_taken(path: Path) -> None:
    saved(path, np.zeros((2, 4, 4), np.uint8), frames=2, NumberOfFrames=100_000)
    with pytest.raises(
        ImageError, match="100000 frames; up to 8192 are read: split it first"
    ) as error:
        read_dicom(path)
    assert error.value.reason == "unsupported"
    saved(
        path,
        np.zeros((2, 4, 4), np.uint8),
        frames=2,
        NumberOfFrames=8000,
        Rows=16000,
        Columns=16000,
    )
    with pytest.raises(ImageError, match=r"values in all; up to \d+ are read|promises"):
        read_dicom(path)


def test_a_deflated_object_is_inflated_no_further_than_memory_goes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(path, np.zeros((512, 512), np.uint16), syntax=DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 4096 and one(path).pixels.shape == (512, 512)
    monkeypatch.setattr("latentdrift.data.images.dicom.decode.MAX_INFLATED", 1 << 18)
    with pytest.raises(ImageError, match="inflates to more than") as error:
        read_dicom(path)
    assert error.value.reason == "unsupported"


def test_missing_pixels_missing_rows_and_cut_pixels_are_told_apart(path: Path) -> None:
    whole = saved(path).read_bytes()
    path.write_bytes(whole[:-10])
    refused(path, "truncated", "86 bytes where its header promises 96")
    for keyword, reason, words in (
        ("PixelData", "no pixels", "CT Image Storage has no pixel data"),
        ("Rows", "damaged", "has pixels but lacks Rows"),
    ):
        dataset = pydicom.dcmread(saved(path))
        del dataset[keyword]
        dataset.save_as(path)
        refused(path, reason, words)
    path.write_bytes(b"patient,age")
    refused(path, "not an image", "not DICOM")
    path.unlink()
    refused(path, "missing", "no such file")


def test_encapsulated_pixels_that_are_cut_are_not_taken_for_a_header_without_pixels(
    path: Path,
) -> None:
    whole = Path(
        str(pydicom.data.get_testdata_file("MR_small_jp2klossless.dcm", download=False))
    ).read_bytes()
    path.write_bytes(whole[:-1000])
    refused(path, "truncated", "ends inside its pixel data")


YBR_420 = {
    "PhotometricInterpretation": "YBR_PARTIAL_420",
    "SamplesPerPixel": 3,
    "PlanarConfiguration": 0,
}


@pytest.mark.parametrize(
    ("values", "reason", "words"),
    [
        (
            {"syntax": MPEG2MPML, "PixelData": encapsulate([bytes(64)])},
            "unreadable codec",
            "MPEG2 Main Profile",
        ),
        (
            {"syntax": JPEG2000Lossless, "PixelData": encapsulate([b"\xff\x4f" + bytes(64)])},
            "damaged",
            "cannot be decoded",
        ),
        (
            {"syntax": RLELossless, "PixelData": encapsulate([bytes(64)])},
            "damaged",
            "cannot be decoded",
        ),
        (
            YBR_420 | {"PixelData": bytes(144), "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
            "unsupported",
            "PARTIAL_420",
        ),
        ({"Rows": 65535, "Columns": 65535}, "unsupported", "cut it into tiles"),
    ],
)
def test_what_cannot_be_decoded_says_why(path: Path, values: dict, reason: str, words: str) -> None:
    refused(saved(path, **values), reason, words)
