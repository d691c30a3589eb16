"""DICOM objects that we write: pixels and geometry come back, identity stays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest
from dicoms import IDENTITY, RGB, STORED, dicom_errors, one, saved, shown
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from latentdrift.data.images.dicom.writer import age_string, write_dicom
from latentdrift.data.images.intensity import from_unit
from latentdrift.errors import InputError

ALONG = [1, 0, 0, 0, 1, 0]
CHANGES = [
    lambda x: x,
    lambda x: x * 0.731 + 3.3,
    lambda x: np.full_like(x, 12.5),
    lambda x: x / 1e6,
    lambda x: x * 1e4,
]


@pytest.mark.parametrize("change", CHANGES)
def test_written_pixels_come_back_within_half_a_step(
    source: Path, tmp_path: Path, change: Any
) -> None:
    before = one(source)
    pixels = change(before.pixels.astype(np.float64))
    write_dicom(tmp_path / "w.dcm", source, pixels, description="age 65 -> 85", range=before.range)
    after = one(tmp_path / "w.dcm")
    if np.array_equal(pixels, np.rint(pixels)) and np.ptp(pixels) <= 65535:
        np.testing.assert_array_equal(after.pixels, pixels)
    kept = pixels >= -1024  # below it, a CT is padding
    np.testing.assert_allclose(
        after.pixels[kept],
        pixels[kept],
        atol=np.ptp(pixels) / 65535 * 0.51 + 1e-6 * np.abs(pixels).max(),
    )
    assert after.range == pytest.approx(before.range) and after.unit == before.unit == "HU"


def test_the_whole_way_through_the_model_range(source: Path, tmp_path: Path) -> None:
    before = one(source)
    x = np.random.default_rng(0).uniform(-1, 1, STORED.shape).astype(np.float32)
    write_dicom(
        tmp_path / "w.dcm",
        source,
        from_unit(x, before.range),
        description="noise",
        range=before.range,
    )
    np.testing.assert_allclose(shown(one(tmp_path / "w.dcm")), x, atol=2 / 65535)


def test_what_is_written_says_what_it_is_and_of_whom_it_is_not(
    source: Path, tmp_path: Path
) -> None:
    shows = {"age": 85.0, "sex": "F"}
    write_dicom(
        tmp_path / "w.dcm",
        source,
        one(source).pixels,
        description="DDIM inversion; age 65 -> 85",
        attributes=shows,
    )
    made = pydicom.dcmread(tmp_path / "w.dcm")
    of = pydicom.dcmread(source)
    assert (
        list(made.ImageType) == ["DERIVED", "SECONDARY"]
        and made.SOPClassUID == SecondaryCaptureImageStorage
    )
    assert (
        made.SyntheticData == "YES"
        and made[0x0008001C].value == "YES"
        and made.ConversionType == "SYN"
    )
    assert (
        made.DerivationDescription == "DDIM inversion; age 65 -> 85"
        and made.PatientIdentityRemoved == "YES"
    )
    assert made.BurnedInAnnotation == "NO" and made.DeidentificationMethod and made.Modality == "CT"
    assert (made.PatientAge, made.PatientSex) == ("085Y", "F") and "BodyPartExamined" not in made
    assert made.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian and made.BitsStored == 16
    (reference,) = made.SourceImageSequence
    assert reference.ReferencedSOPClassUID == of.SOPClassUID
    for keyword in (
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
    ):
        assert made[keyword].value and made[keyword].value != of[keyword].value
    text = str(made)
    assert of.SOPInstanceUID not in text
    for keyword, value in IDENTITY.items():
        assert value not in text, keyword
    np.testing.assert_allclose(one(tmp_path / "w.dcm").affine, one(source).affine)  # type: ignore[arg-type]
    assert one(tmp_path / "w.dcm").spacing == (0.7, 0.6) and one(tmp_path / "w.dcm").notes == (
        "synthetic",
    )


def test_pictures_made_from_one_study_stay_together_and_are_still_different_objects(
    source: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        write_dicom(tmp_path / name, source, one(source).pixels, description="nothing")
    first = pydicom.dcmread(tmp_path / "a")
    second = pydicom.dcmread(tmp_path / "b")
    assert (
        first.StudyInstanceUID == second.StudyInstanceUID
        and first.SOPInstanceUID != second.SOPInstanceUID
    )
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID  # viewers lay one over the other


@pytest.mark.parametrize(
    "uid", ["1.2.3.0045.60.006789.1", "9.9." + "123456789." * 7 + "1", "not a uid"]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_uids_that_are_none_are_read_and_not_written(tmp_path: Path, uid: str) -> None:
    """One UID for the instance, its series and its study, as some anonymisers write; dciodvfy finds
    no error in what is made."""
    uids = dict.fromkeys(
        ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"), uid
    )
    odd = saved(
        tmp_path / "s.dcm",
        PixelSpacing=[1, 1],
        ImagePositionPatient=[0, 0, 0],
        ImageOrientationPatient=ALONG,
        **uids,
    )
    write_dicom(tmp_path / "w.dcm", odd, one(odd).pixels, description="nothing")
    made = pydicom.dcmread(tmp_path / "w.dcm")
    written = [made[keyword].value for keyword in uids] + [
        made.SourceImageSequence[0].ReferencedSOPInstanceUID
    ]
    assert all(UID(one).is_valid for one in written) and len(set(written)) == len(written)
    assert dicom_errors(tmp_path / "w.dcm") == []


@pytest.mark.parametrize(
    ("said", "modality", "written"),
    [("YES", "CT", "YES"), ("NO", "US", "NO"), (None, "MR", "NO"), (None, "US", None)],
)
def test_burned_in_text_is_not_hidden_or_made_up(
    tmp_path: Path, said: str | None, modality: str, written: str | None
) -> None:
    source = saved(tmp_path / "s.dcm", Modality=modality, BurnedInAnnotation=said)
    write_dicom(tmp_path / "w.dcm", source, STORED, description="nothing")
    assert pydicom.dcmread(tmp_path / "w.dcm").get("BurnedInAnnotation") == written


def test_without_a_source_and_in_colour(tmp_path: Path) -> None:
    write_dicom(
        tmp_path / "g.dcm",
        None,
        STORED * 0.1,
        description="a chest X-ray",
        spacing=(0.5, 0.7),
        range=(0, 300),
    )
    image = one(tmp_path / "g.dcm")
    np.testing.assert_allclose(image.pixels, STORED * 0.1, atol=0.004)
    assert (
        image.spacing == (0.5, 0.7)
        and image.range == pytest.approx((0, 300))
        and image.unit == "intensity"
    )
    write_dicom(tmp_path / "c.dcm", None, RGB[:5, :7], description="a photograph")
    assert np.array_equal(one(tmp_path / "c.dcm").pixels, RGB[:5, :7])


@pytest.mark.parametrize(
    ("pixels", "description", "message"),
    [
        (RGB.astype(np.float32), "x", "write .H, W., or uint8"),
        (np.array([[np.nan, 1.0]]), "x", "finite values only"),
        (STORED, "x" * 1025, "DICOM allows 1 to 1024"),
    ],
)
def test_what_dicom_cannot_hold_is_refused(
    tmp_path: Path, pixels: np.ndarray, description: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_dicom(tmp_path / "w.dcm", None, pixels, description=description)
    assert not (tmp_path / "w.dcm").exists()


@pytest.mark.parametrize(
    ("years", "text"),
    [(65.0, "065Y"), (1.5, "018M"), (0.0, "000M"), (85.9, "085Y"), (101.0, "101Y")],
)
def test_age_strings(years: float, text: str) -> None:
    assert age_string(years) == text


def test_a_validator_finds_no_error(source: Path, tmp_path: Path) -> None:
    """dciodvfy of dicom3tools; a dictionary older than Synthetic Data (0008,001C) is forgiven
    that."""
    write_dicom(tmp_path / "derived.dcm", source, one(source).pixels, description="age 65 -> 85")
    write_dicom(tmp_path / "new.dcm", None, STORED, description="a brain MRI")
    write_dicom(tmp_path / "colour.dcm", None, RGB, description="a photograph")
    for name in ("derived", "new", "colour"):
        assert dicom_errors(tmp_path / f"{name}.dcm") == []
