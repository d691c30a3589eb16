"""Headers by their allow-list, and values that some writers leave on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicoms import ALLOWED, IDENTITY, STORED, one, saved

from latentdrift.data.images.dicom.reader import read_dicom
from latentdrift.data.images.image import ImageError
from latentdrift.errors import OptionError


def test_the_affine_follows_the_standard(path: Path) -> None:
    """PS3.3 equation C.7.6.2.1-1, with L and P reversed to R and A."""
    along_row = np.array([0.8, 0.6, 0.0])
    along_column = np.array([0.0, 0.0, -1.0])
    position, (row_mm, column_mm) = np.array([-10.0, 20.0, 30.0]), (2.0, 0.5)
    image = one(
        saved(
            path,
            ImagePositionPatient=list(position),
            ImageOrientationPatient=[*along_row, *along_column],
            PixelSpacing=[row_mm, column_mm],
            SliceThickness="3",
        )
    )
    assert image.affine is not None and image.spacing == (2.0, 0.5)
    for row, column in ((0, 0), (3, 0), (0, 5), (4, 7)):
        lps = position + along_row * column_mm * column + along_column * row_mm * row
        np.testing.assert_allclose((image.affine @ [row, column, 0, 1])[:3], lps * [-1, -1, 1])
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, 2]), 3)


@pytest.mark.parametrize(
    ("values", "spacing"),
    [
        ({"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.4, 0.5]}, (0.2, 0.3)),
        ({"ImagerPixelSpacing": [0.4, 0.5]}, (0.4, 0.5)),
        ({"NominalScannedPixelSpacing": [0.6, 0.6]}, (0.6, 0.6)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.4, 0.5]}, (0.4, 0.5)),
        ({}, None),
    ],
)
def test_spacing_in_the_patient_counts_before_that_at_the_detector(
    path: Path, values: dict, spacing: tuple | None
) -> None:
    image = one(saved(path, **values))
    assert image.spacing == spacing and image.affine is None


@pytest.mark.parametrize(
    ("values", "age"),
    [
        ({"PatientAge": "065Y"}, 65.0),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "026W"}, 0.498),
        ({"PatientAge": "010D"}, 0.027),
        ({"PatientAge": "095Y"}, 95.0),
        ({"PatientBirthDate": "19500615", "StudyDate": "20150614"}, 64.0),
        ({"PatientBirthDate": "19500615", "StudyDate": "20150615"}, 65.0),
        ({"PatientBirthDate": "20140101", "StudyDate": "20150201"}, 1.083),
        ({"PatientAge": "", "PatientBirthDate": "19500615", "AcquisitionDate": "20150615"}, 65.0),
        ({"PatientAge": "unkn", "PatientBirthDate": "19500615", "StudyDate": "20150615"}, 65.0),
        ({"PatientBirthDate": "19500615"}, None),
        ({"PatientBirthDate": "20200615", "StudyDate": "20150615"}, None),
        ({"PatientAge": "65"}, None),
        ({"PatientAge": "238Y"}, None),
        ({"PatientAge": "999Y"}, None),
        ({"PatientAge": "-05Y"}, None),
        ({"PatientAge": "000Y"}, None),
        ({"PatientAge": "000D"}, 0.0),
        ({"PatientAge": "065 Y"}, 65.0),
        ({"PatientAge": "238Y", "PatientBirthDate": "19500615", "StudyDate": "20150615"}, 65.0),
        ({"PatientBirthDate": "18900101", "StudyDate": "20150615"}, None),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ages_are_in_years(path: Path, values: dict, age: float | None) -> None:
    assert one(saved(path, **values)).attributes.get("age") == age


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("sex", "found"), [("M", "M"), ("F", "F"), ("f ", "F"), ("O", None), ("", None), ("male", None)]
)
def test_sex_is_m_or_f_or_missing(path: Path, sex: str, found: str | None) -> None:
    assert one(saved(path, PatientSex=sex)).attributes.get("sex") == found


def test_only_allow_listed_attributes_leave_the_header(path: Path) -> None:
    codes = {
        "PatientSex": "F",
        "PatientAge": "065Y",
        "ViewPosition": "PA",
        "BodyPartExamined": "CHEST",
    }
    image = one(saved(path, **IDENTITY, **codes))
    assert dict(image.attributes) == {
        "age": 65.0,
        "sex": "F",
        "view": "PA",
        "modality": "MR",
        "body_part": "CHEST",
    }
    assert (image.patient, image.date) == ("MRN-0042", "20150615")


# Values as some writers leave them on disk, which pydicom would not write: {what to write: what
# lies there then}
COMMA = {
    "-1024.0": "-1024,0",
    "2.50": "2,50",
    "40.0": "40,0",
    "400.0": "400,0",
    "0.75\\0.50": "0,75\\0,50",
}


DECIMALS = {
    "RescaleIntercept": "-1024.0",
    "RescaleSlope": "2.50",
    "WindowCenter": "40.0",
    "WindowWidth": "400.0",
}


def rewritten(path: Path, changes: dict[str, str]) -> Path:
    content = path.read_bytes()
    for old, new in changes.items():
        assert len(old) == len(new) and content.count(old.encode()) == 1
        content = content.replace(old.encode(), new.encode())
    path.write_bytes(content)
    return path


def test_a_decimal_comma_is_a_decimal_point(tmp_path: Path) -> None:
    values = DECIMALS | {"PixelSpacing": ["0.75", "0.50"], "Modality": "CT"}
    point = one(saved(tmp_path / "point.dcm", **values))
    comma = one(rewritten(saved(tmp_path / "comma.dcm", **values), COMMA), keep=("WindowCenter",))
    np.testing.assert_array_equal(comma.pixels, STORED * 2.5 - 1024)
    assert (comma.unit, comma.range, comma.spacing, comma.notes) == (
        "HU",
        point.range,
        (0.75, 0.5),
        (),
    )
    assert comma.attributes["WindowCenter"] == 40.0


@pytest.mark.parametrize("keyword", ["RescaleIntercept", "RescaleSlope"])
def test_what_decides_the_unit_and_cannot_be_read_is_a_refusal(path: Path, keyword: str) -> None:
    rewritten(
        saved(path, Modality="CT", **DECIMALS), {DECIMALS[keyword]: "x" * len(DECIMALS[keyword])}
    )
    with pytest.raises(
        ImageError,
        match=f"{keyword} is there and cannot be read, so the unit of the pixels is not known",
    ) as error:
        read_dicom(path)
    assert error.value.reason == "damaged"


@pytest.mark.parametrize("keyword", ["WindowCenter", "WindowWidth"])
def test_what_cannot_be_read_otherwise_is_a_note_that_does_not_quote_it(
    path: Path, keyword: str
) -> None:
    rewritten(
        saved(path, Modality="CT", **DECIMALS),
        {DECIMALS[keyword]: "JANE DOE"[: len(DECIMALS[keyword])]},
    )
    image = one(path)
    assert f"its {keyword} cannot be read and is left out" in image.notes and "JANE" not in str(
        image.notes
    )
    assert image.unit == "HU" and image.range == (image.pixels.min(), image.pixels.max())


def test_a_spacing_of_zero_and_a_slope_of_zero_are_noted(path: Path) -> None:
    image = one(saved(path, PixelSpacing=[0, 0], RescaleSlope="0", RescaleIntercept="0"))
    assert image.spacing is None
    assert image.notes == (
        "its PixelSpacing is not above 0 mm and is left out",
        "its RescaleSlope is 0 and is left out",
    )


def test_fields_are_kept_by_keyword_or_tag(path: Path) -> None:
    saved(path, StudyDescription="CT CHEST", KVP="120", ImageType=["ORIGINAL", "PRIMARY"])
    image = one(path, keep=("StudyDescription", "0018,0060", "(0008,0008)", "00181050"))
    assert {k: v for k, v in image.attributes.items() if k not in ALLOWED} == {
        "StudyDescription": "CT CHEST",
        "KVP": 120.0,
        "ImageType": "ORIGINAL\\PRIMARY",
    }


def test_an_unknown_field_is_refused_before_reading(tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"'StudyDescripton' is no DICOM field: .* did you mean StudyDescription"
    ):
        read_dicom(tmp_path / "not-there.dcm", keep=("StudyDescripton",))
