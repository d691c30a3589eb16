"""DICOM: the grey-scale pipeline by its formulas, the header by its allow-list, and what we write
by reading it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import places
import pydicom
import pydicom.data
import pytest
from dicoms import ALLOWED, STORED, one, saved, shown
from pydicom import Dataset
from pydicom.sequence import Sequence

from latentdrift.data.images.dicom.reader import lookup, read_dicom
from latentdrift.data.images.dicom.writer import write_dicom
from latentdrift.data.images.image import ImageError

SHARED = places.SHARED / "data" / "ct-dicom"


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


# --- colour and frames ----------------------------------------------------------------------------


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


# --- objects that are no scans --------------------------------------------------------------------


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


# --- real scans


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
