"""DICOM: the grey-scale pipeline by its formulas, the header by its allow-list, and what we write
by reading it back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import places
import pydicom
import pydicom.data
import pytest
from dicoms import STORED, dicom_errors, saved
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from latentdrift.data.images.dicom import lookup, read_dicom
from latentdrift.data.images.dicom_objects import OBJECTS
from latentdrift.data.images.dicom_write import age_string, write_dicom
from latentdrift.data.images.image import Image, ImageError
from latentdrift.data.images.intensity import from_unit, to_unit
from latentdrift.data.images.quiet import quiet
from latentdrift.data.images.uids import Uids
from latentdrift.errors import InputError, OptionError

SHARED = places.SHARED / "data" / "ct-dicom"
ALONG = [1, 0, 0, 0, 1, 0]
ALLOWED = {"age", "sex", "view", "modality", "body_part"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.dcm"


def one(path: Path, **options: Any) -> Image:
    (image,) = read_dicom(path, **options)
    return image


def shown(image: Image) -> np.ndarray:
    return to_unit(image.pixels, image.range)


# --- modality and VOI -----------------------------------------------------------------------------


def test_rescale_gives_the_modality_unit(path: Path) -> None:
    image = one(saved(path, Modality="CT", RescaleSlope="2", RescaleIntercept="-1000"))
    np.testing.assert_array_equal(image.pixels, STORED * 2.0 - 1000)
    assert image.pixels.dtype == np.float32 and image.unit == "HU" and image.modality == "CT"


def test_without_rescale_integers_stay_integers(path: Path) -> None:
    image = one(saved(path, RescaleSlope="1", RescaleIntercept="0"))
    assert (
        image.pixels.dtype == np.uint16
        and np.array_equal(image.pixels, STORED)
        and image.unit == "intensity"
    )
    assert image.range == (float(STORED.min()), float(STORED.max()))


def test_a_slope_of_zero_does_not_erase_the_picture(path: Path) -> None:
    assert np.array_equal(one(saved(path, RescaleSlope="0", RescaleIntercept="0")).pixels, STORED)


def table(values: list[int], first: int, bits: int, *, packed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(values), first, bits])
    item.add_new("LUTData", "OW", np.array(values, "u1" if packed else "<u2").tobytes())
    return item


@pytest.mark.parametrize(("bits", "packed"), [(8, False), (8, True), (12, False), (16, False)])
@pytest.mark.parametrize("first", [-2, 0, 3])
def test_tables_are_held_at_their_ends(first: int, bits: int, packed: bool) -> None:
    """PS3.3 C.11.1.1.1."""
    entries = [5, 200, 7, 90]
    values = np.array([first - 9, first, first + 1, first + 2, first + 3, first + 50])
    found = lookup(table(entries, first, bits, packed=packed), values)
    np.testing.assert_array_equal(found, [5, 5, 200, 7, 90, 90])


def test_the_modality_table_replaces_the_rescale(path: Path) -> None:
    stored = np.array([[0, 1], [2, 3]], np.uint16)
    image = one(
        saved(
            path,
            stored,
            ModalityLUTSequence=Sequence([table([10, 20, 30, 4000], 0, 16)]),
            RescaleSlope="9",
        )
    )
    np.testing.assert_array_equal(image.pixels, [[10, 20], [30, 4000]])


@pytest.mark.parametrize(("centre", "width"), [(40, 400), (-600, 1500), (300.5, 2), (127.5, 256)])
@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT"])
def test_linear_windows_follow_the_standard(
    path: Path, centre: float, width: float, function: str | None
) -> None:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3.2, with output -1 to 1."""
    x = np.arange(-1200, 1200, dtype=np.int16).reshape(40, 60)
    image = one(
        saved(path, x, WindowCenter=str(centre), WindowWidth=str(width), VOILUTFunction=function)
    )
    if function == "LINEAR_EXACT":
        expected = (x - centre) / width * 2
        expected[x <= centre - width / 2], expected[x > centre + width / 2] = -1, 1
    else:
        expected = ((x - (centre - 0.5)) / (width - 1) + 0.5) * 2 - 1
        (
            expected[x <= centre - 0.5 - (width - 1) / 2],
            expected[x > centre - 0.5 + (width - 1) / 2],
        ) = -1, 1
    np.testing.assert_allclose(shown(image), expected, atol=1e-6)
    assert np.array_equal(image.pixels, x)  # the window is the range; the pixels keep their unit


def test_the_sigmoid_window_follows_the_standard(path: Path) -> None:
    """PS3.3 C.11.2.1.3.1."""
    x = np.arange(0, 4000, 10, dtype=np.uint16).reshape(20, 20)
    image = one(saved(path, x, WindowCenter="2048", WindowWidth="1000", VOILUTFunction="SIGMOID"))
    np.testing.assert_allclose(
        (shown(image) + 1) / 2, 1 / (1 + np.exp(-4 * (x - 2048.0) / 1000)), atol=1e-6
    )
    np.testing.assert_array_equal(one(path, window="0,4000").pixels, x)


def test_the_voi_table_is_what_is_seen_unless_a_window_is_given(path: Path) -> None:
    stored = np.array([[0, 1], [2, 3]], np.uint16)
    voi = Sequence([table([0, 1000, 1500, 4095], 0, 12)])
    image = one(saved(path, stored, VOILUTSequence=voi))
    np.testing.assert_allclose(
        shown(image), np.array([[0, 1000], [1500, 4095]]) / 4095 * 2 - 1, atol=1e-6
    )
    np.testing.assert_array_equal(one(path, window="full").pixels, stored)
    assert one(
        saved(path, stored, VOILUTSequence=voi, WindowCenter="2", WindowWidth="3")
    ).range == (0.5, 2.5)


def test_the_first_of_several_windows_counts(path: Path) -> None:
    assert one(saved(path, WindowCenter=["40", "-600"], WindowWidth=["401", "1501"])).range == (
        -160.5 + 0,
        239.5,
    )


@pytest.mark.parametrize("width", ["0", "-5"])
def test_an_impossible_window_is_left_out_and_said(path: Path, width: str) -> None:
    image = one(saved(path, WindowCenter="40", WindowWidth=width))
    assert image.range == (float(STORED.min()), float(STORED.max()))
    assert image.notes == (f"the header's window has width {width} and is left out",)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("100,900", (100.0, 900.0)),
        ("full", (STORED.min(), STORED.max())),
        ("p10,p90", tuple(np.percentile(STORED, (10, 90)))),
    ],
)
def test_a_given_window_replaces_the_headers(path: Path, window: str, expected: tuple) -> None:
    assert one(
        saved(path, WindowCenter="40", WindowWidth="400"), window=window
    ).range == pytest.approx(expected)


def test_a_header_window_asked_for_must_be_there(path: Path) -> None:
    with pytest.raises(ImageError) as error:
        read_dicom(saved(path), window="voi")
    assert error.value.reason == "no window"


@pytest.mark.parametrize("window", [None, "full", "500,3000", "p5,p95"])
def test_monochrome1_is_the_negative_of_monochrome2(path: Path, window: str | None) -> None:
    values = {
        "WindowCenter": "1500",
        "WindowWidth": "2000",
        "RescaleSlope": "2",
        "RescaleIntercept": "-100",
    }
    positive = one(saved(path, **values), window=window)
    negative = one(saved(path, **values, PhotometricInterpretation="MONOCHROME1"), window=window)
    assert positive.range == negative.range
    np.testing.assert_allclose(shown(negative), -shown(positive), atol=1e-6)


def test_eight_bit_monochrome1_stays_eight_bit(path: Path) -> None:
    stored = np.arange(48, dtype=np.uint8).reshape(6, 8)
    image = one(saved(path, stored, PhotometricInterpretation="MONOCHROME1"))
    assert image.pixels.dtype == np.uint8 and image.range == (0.0, 255.0)
    np.testing.assert_array_equal(image.pixels, 255 - stored)


# --- padding and bits -----------------------------------------------------------------------------

HU = np.array(
    [[-1000, -500, 0, 40], [300, 1200, -2000, -2000]], np.int16
)  # the last two are no tissue


@pytest.mark.parametrize(
    ("stored", "values"),
    [
        (HU, {"PixelPaddingValue": -2000}),
        (HU, {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1500}),
        (HU, {"PixelPaddingValue": -1500, "PixelPaddingRangeLimit": -2500}),
        (HU, {"PixelPaddingValue": 65536 - 2000}),  # the sign was lost on the way
        (HU, {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "0"}),  # not declared
        (HU + 1024, {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024"}),
        (
            np.where(HU == -2000, -2000, HU + 1024).astype(np.int16),
            {
                "Modality": "CT",
                "RescaleSlope": "1",
                "RescaleIntercept": "-1024",
                "RescaleType": "Houndsfield Unit",
            },
        ),
    ],
)
@pytest.mark.parametrize("window", ["full", "p0,p100"])
def test_padding_does_not_set_the_range_and_is_dark(
    path: Path, stored: np.ndarray, values: dict, window: str
) -> None:
    written = {k: v for k, v in values.items() if not k.startswith("PixelPadding")}
    saved(path, stored, **written)
    dataset = pydicom.dcmread(path)
    for keyword in (
        values.keys() - written.keys()
    ):  # with the sign it is written with, whatever the pixels' is
        dataset.add_new(keyword, "US" if values[keyword] > 0 else "SS", values[keyword])
    dataset.save_as(path)
    image = one(path, window=window)
    assert image.range == (-1000.0, 1200.0)
    np.testing.assert_allclose(shown(image), np.clip((HU + 1000) / 1100 - 1, -1, 1), atol=1e-6)


def test_padding_of_a_negative_is_dark_too(path: Path) -> None:
    stored = np.where(HU == -2000, 4095, HU + 1000).astype(np.uint16)
    image = one(
        saved(path, stored, PixelPaddingValue=4095, PhotometricInterpretation="MONOCHROME1")
    )
    np.testing.assert_allclose(shown(image)[1, 2:], -1)
    np.testing.assert_allclose(shown(image)[0, 0], 1)


@pytest.mark.parametrize("pad", [63536, 0])
def test_padding_is_found_outside_the_bits_in_use_and_under_an_overlay(
    path: Path, pad: int
) -> None:
    stored = np.array([[100, 200], [300, pad]], np.uint16) | (0 if pad else 1 << 13)
    image = one(saved(path, stored, BitsStored=12, HighBit=11, PixelPaddingValue=pad))
    assert image.range == (100.0, 300.0)
    np.testing.assert_allclose(shown(image), [[-1, 0], [1, -1]], atol=1e-6)


def test_a_picture_of_nothing_but_padding_is_still_a_picture(path: Path) -> None:
    image = one(saved(path, np.full((4, 4), -2000, np.int16), PixelPaddingValue=-2000))
    assert np.array_equal(shown(image), np.full((4, 4), -1.0))


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


# --- colour and frames ----------------------------------------------------------------------------

RGB = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)


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


def test_each_frame_is_an_image_with_its_own_place(path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 99, (3, 6, 8)).astype(np.uint16)

    def group(**inner: Dataset) -> Dataset:
        item = Dataset()
        for keyword, value in inner.items():
            setattr(item, keyword, Sequence([value]))
        return item

    def values(**attributes: Any) -> Dataset:
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        return item

    per_frame = [
        group(
            PlanePositionSequence=values(ImagePositionPatient=[0, 0, 5 * i]),
            PixelValueTransformationSequence=values(RescaleSlope=str(i + 1), RescaleIntercept="0"),
            FrameVOILUTSequence=values(WindowCenter=str(50 * (i + 1)), WindowWidth="101"),
        )
        for i in range(3)
    ]
    shared = group(
        PixelMeasuresSequence=values(PixelSpacing=[0.5, 0.7], SliceThickness="4"),
        PlaneOrientationSequence=values(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
    )
    groups = {
        "PerFrameFunctionalGroupsSequence": Sequence(per_frame),
        "SharedFunctionalGroupsSequence": Sequence([shared]),
    }
    images = read_dicom(saved(path, stored, frames=3, **groups))
    for i, image in enumerate(images):
        np.testing.assert_array_equal(image.pixels, stored[i] * (i + 1.0))
        assert image.source is not None and image.source.frame == i and image.spacing == (0.5, 0.7)
        assert image.range == (50 * (i + 1) - 50.5, 50 * (i + 1) + 49.5)
        assert image.affine is not None
        np.testing.assert_allclose(
            image.affine, [[0, -0.7, 0, 0], [-0.5, 0, 0, 0], [0, 0, 4, 5 * i], [0, 0, 0, 1]]
        )


# --- geometry -------------------------------------------------------------------------------------


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


# --- the header -----------------------------------------------------------------------------------


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


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_free_text_in_a_code_does_not_pass(path: Path) -> None:
    image = one(saved(path, BodyPartExamined="Chest of J. Doe, born 1950", ViewPosition="x" * 40))
    assert "body_part" not in image.attributes and "view" not in image.attributes


@pytest.mark.parametrize(
    ("values", "free"),
    [
        ({"ViewPosition": "JANE DOE"}, "view"),
        ({"BodyPartExamined": "DOE 1950"}, "body_part"),
        ({"Modality": "DOE"}, "modality"),
    ],
)
def test_only_defined_terms_pass_as_codes(path: Path, values: dict, free: str) -> None:
    image = one(
        saved(
            path, **{"ViewPosition": "PA", "BodyPartExamined": "CHEST", "Modality": "DX"} | values
        )
    )
    assert set(image.attributes) == {"view", "body_part", "modality"} - {free}
    assert image.notes == (f"its {next(iter(values))} is no defined term and is left out",)


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


def test_no_warning_passes_until_the_last_reader_is_done() -> None:
    """Two threads that read: the first is done, the second meets an odd value. Then all is as it
    was."""
    first = quiet()
    second = quiet()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        warnings.warn("Invalid value for VR DA: 'DOE-JANE'", stacklevel=1)
        second.__exit__(None, None, None)
        assert not shown
        warnings.warn("after", stacklevel=1)
        assert [str(warning.message) for warning in shown] == ["after"]


# --- objects that are no scans --------------------------------------------------------------------

SCREEN = {"SOPClassUID": SecondaryCaptureImageStorage}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}, "segmentation"),
        ({"Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen-save"),
        (
            {"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]},
            "screen-save",
        ),
        ({"Modality": "MR", **SCREEN}, "screen-save"),
        ({"Modality": "CT", **SCREEN, "SyntheticData": "YES"}, None),
        ({"Modality": "CR", **SCREEN}, None),
        ({"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "PROTON_DENSITY"]}, None),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}, None),
    ],
)
def test_objects_that_are_no_scans_are_told_by_class_and_image_type(
    path: Path, values: dict, kind: str | None
) -> None:
    saved(path, **values)
    assert len(read_dicom(path)) == 1
    others = set(OBJECTS) - {kind}
    assert len(read_dicom(path, leave_out=others)) == 1
    if kind is not None:
        with pytest.raises(ImageError, match=f"and no scan; `include={kind}` takes it") as error:
            read_dicom(path, leave_out={kind})
        assert error.value.reason == kind


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


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned-in text, which may identify the patient"),
        ({"SyntheticData": "YES"}, "synthetic"),
        ({"BurnedInAnnotation": "NO"}, None),
    ],
)
def test_what_a_person_should_know_is_noted(path: Path, values: dict, note: str | None) -> None:
    assert one(saved(path, **values)).notes == ((note,) if note else ())


# --- files that cannot be taken -------------------------------------------------------------------


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
    monkeypatch.setattr("latentdrift.data.images.dicom_decode.MAX_INFLATED", 1 << 18)
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


def pydicom_files() -> Iterator[Path]:
    for name in pydicom.data.get_testdata_files():
        if Path(name).is_file():
            yield Path(name)


@pytest.mark.filterwarnings("error::UserWarning")
def test_every_file_of_pydicom_is_read_or_refused_with_a_sentence() -> None:
    reasons: dict[str, int] = {}
    for path in pydicom_files():
        try:
            images = read_dicom(path)
        except ImageError as error:
            reasons[error.reason] = reasons.get(error.reason, 0) + 1
            continue
        assert images, path
        for image in images:
            assert np.isfinite(shown(image)).all() and set(image.attributes) <= ALLOWED, path
    assert reasons.get("damaged", 0) <= 5 and set(reasons) <= {
        "damaged",
        "no pixels",
        "not an image",
        "truncated",
    }


@pytest.mark.parametrize(
    ("coded", "plain"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("rtdose_rle.dcm", "rtdose.dcm"),
        ("rtdose_expb.dcm", "rtdose.dcm"),
        ("liver_expb_1frame.dcm", "liver_1frame.dcm"),
        ("SC_rgb_rle.dcm", "SC_rgb_gdcm_KY.dcm"),
    ],
)
def test_the_coding_does_not_change_the_picture(coded: str, plain: str) -> None:
    first, second = (
        read_dicom(str(pydicom.data.get_testdata_file(name, download=False)))
        for name in (coded, plain)
    )
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.pixels, b.pixels) and a.range == b.range


# --- writing --------------------------------------------------------------------------------------


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


def test_uids_are_mapped_under_a_secret_that_leads_back(source: Path, tmp_path: Path) -> None:
    """The same private folder gives the same UIDs in another process; another secret gives others;
    the map leads back."""
    made = []
    for opened in (
        partial(Uids.open, tmp_path / "secret"),
        partial(Uids.open, tmp_path / "secret"),
        partial(Uids, "other"),
    ):
        uids = opened()
        write_dicom(
            tmp_path / "w.dcm", source, one(source).pixels, description="nothing", uids=uids
        )
        uids.save()
        made.append(pydicom.dcmread(tmp_path / "w.dcm"))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        first, again, other = (dataset[keyword].value for dataset in made)
        assert first == again
        assert again != other
    kept = (tmp_path / "secret" / "uids.csv").read_text().splitlines()
    back = {row.split(",")[2]: row.split(",")[1] for row in kept[1:]}
    reference = made[0].SourceImageSequence[0].ReferencedSOPInstanceUID
    assert back[reference] == pydicom.dcmread(source).SOPInstanceUID
    assert all(
        (tmp_path / "secret" / name).stat().st_mode & 0o077 == 0
        for name in ("salt.txt", "uids.csv", ".")
    )


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


# --- real scans
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
# --------------------------------------------------------------------------------------------------


def test_real_ct_is_in_hu_with_its_padding_out_of_the_way(tmp_path: Path) -> None:
    files = sorted(SHARED.rglob("*.dcm"))
    if not files:
        pytest.skip(f"the real scans are not here: {SHARED}")
    for path in files:
        image = one(path)
        full = one(path, window="full")
        assert (
            image.unit == "HU"
            and set(image.attributes) <= ALLOWED
            and 0 < float(image.attributes["age"]) < 100
        )
        assert image.affine is not None and image.spacing is not None
        assert (
            full.range[0] >= -1024
            and image.pixels[image.pixels < image.range[0]].size < image.pixels.size
        )
        raw = pydicom.dcmread(path)
        tissue = (raw.pixel_array + float(raw.RescaleIntercept)) >= -1024
        np.testing.assert_array_equal(
            full.pixels[tissue], (raw.pixel_array * raw.RescaleSlope + raw.RescaleIntercept)[tissue]
        )
    write_dicom(
        tmp_path / "w.dcm",
        files[0],
        one(files[0]).pixels,
        description="nothing",
        range=one(files[0]).range,
    )
    assert np.array_equal(one(tmp_path / "w.dcm").pixels, one(files[0]).pixels)
    assert raw.PatientID not in str(pydicom.dcmread(tmp_path / "w.dcm"))


@pytest.mark.parametrize(
    "name", ["badVR.dcm", "JPEG-lossy.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"]
)
def test_what_is_odd_in_a_file_is_not_logged(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ImageError):
        read_dicom(pydicom.data.get_testdata_file(name))  # type: ignore[arg-type]
    assert not caplog.records, "pydicom quotes values and traces back"
