"""DICOM series as volumes: voxels that say where they are, stacked from shuffled files, are sliced
as a NIfTI of them is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicoms import saved

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images.dicom.series import SliceHeader, group, read_series, slice_header
from latentdrift.data.images.formats.nifti import read_nifti
from latentdrift.data.images.image import Image, ImageError, Plane
from latentdrift.data.importing.importer import import_cohort

SHAPE = (7, 9, 6)  # to the right, anterior, superior
ZOOMS = np.array([2.0, 1.5, 4.0])
ORIGIN = np.array([-5.0, 20.0, -30.0])
VOLUME = np.fromfunction(lambda x, y, z: 100 * x + 10 * y + z, SHAPE).astype(np.int16)
HU = {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-100"}


def write_axial(folder: Path, places: Sequence[int] = range(SHAPE[2]), **values: Any) -> list[str]:
    """Axial slices of VOLUME: rows run to the patient's left, columns to the back; names and
    numbers lead astray."""
    folder.mkdir(exist_ok=True)
    shuffled = np.random.default_rng(1).permutation(len(places))
    for number, at in zip(shuffled, places, strict=True):
        right, front = ORIGIN[:2] + ZOOMS[:2] * (
            np.array(SHAPE[:2]) - 1
        )  # RAS of the voxel at the picture's top left
        lps = [-right, -front, ORIGIN[2] + ZOOMS[2] * at]
        place = {
            "ImagePositionPatient": lps,
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [ZOOMS[1], ZOOMS[0]],
        }
        more = {
            "SliceThickness": "4",
            "SeriesInstanceUID": "1.2.3",
            "PatientID": "A",
            "InstanceNumber": int(number),
        }
        saved(
            folder / f"IM{number:03d}",
            np.ascontiguousarray(VOLUME[::-1, ::-1, at].T),
            **{**HU, **place, **more, **values},
        )
    return [path.name for path in sorted(folder.iterdir())]


def stacked(
    folder: Path, names: Sequence[str], plane: Plane | None, position: str = "50%", **options: Any
) -> Image:
    headers = [found for name in names if (found := slice_header(folder, (), name))]
    (series,) = group(headers)
    (image,) = read_series(folder, series, plane=plane, position=position, **options)
    return image


@pytest.fixture
def nifti(tmp_path: Path) -> Path:
    affine = np.vstack([np.column_stack([np.diag(ZOOMS), ORIGIN]), [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(VOLUME - np.int16(100), affine), tmp_path / "volume.nii")
    return tmp_path / "volume.nii"


@pytest.mark.parametrize("slab", [0.0, 10.0])
@pytest.mark.parametrize("position", ["50%", "0%", "100%", "2"])
@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_series_is_sliced_as_a_nifti_of_the_same_voxels(
    tmp_path: Path, nifti: Path, plane: Plane, position: str, slab: float
) -> None:
    image = stacked(tmp_path / "a", write_axial(tmp_path / "a"), plane, position, slab=slab)
    (same,) = read_nifti(nifti, plane, position, slab)
    np.testing.assert_allclose(image.pixels, same.pixels, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(image.affine, same.affine, atol=1e-9)  # type: ignore[arg-type]
    assert image.spacing == pytest.approx(same.spacing) and image.range == pytest.approx(same.range)
    assert (image.unit, image.notes) == ("HU", ())


def test_millimetres_are_those_of_the_patient(tmp_path: Path) -> None:
    image = stacked(
        tmp_path / "a", write_axial(tmp_path / "a"), "axial", "-18mm"
    )  # z = -30 + 4 * 3
    np.testing.assert_array_equal(image.pixels, VOLUME[::-1, ::-1, 3].T - 100)
    with pytest.raises(ImageError, match="from -32 to -8 mm") as error:
        stacked(
            tmp_path / "a", sorted(path.name for path in (tmp_path / "a").iterdir()), "axial", "0mm"
        )
    assert error.value.reason == "outside"


def test_the_window_of_the_header_counts(tmp_path: Path) -> None:
    names = write_axial(tmp_path / "a", WindowCenter="40", WindowWidth="400")
    assert stacked(tmp_path / "a", names, "sagittal").range == (-160.0, 239.0)
    assert stacked(tmp_path / "a", names, "sagittal", window="0,999").range == (0.0, 999.0)


def test_a_gap_is_named_and_nothing_is_drawn_over_it(tmp_path: Path) -> None:
    """Without slice 3 of 0 to 5, which lies 12 mm from the first: its neighbours keep their
    places."""
    names = write_axial(tmp_path / "a", [0, 1, 2, 4, 5])
    image = stacked(tmp_path / "a", names, "axial", "4")
    np.testing.assert_array_equal(image.pixels, VOLUME[::-1, ::-1, 4].T - 100)
    assert image.notes == ("slices of its series are missing",)
    with pytest.raises(
        ImageError, match=r"1 slices of its series are missing or lie unevenly, at -18\.0 mm"
    ) as error:
        stacked(tmp_path / "a", names, "coronal")
    assert error.value.reason == "gaps"


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    names = write_axial(tmp_path / "a")
    with pytest.raises(ImageError, match="say which plane") as error:
        stacked(tmp_path / "a", names, None)
    assert error.value.reason == "no plane"
    write_axial(tmp_path / "twice")
    for path in list((tmp_path / "twice").iterdir()):
        path.with_name(f"again-{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(ImageError, match="several slices of its series lie in one place") as error:
        stacked(
            tmp_path / "twice",
            sorted(path.name for path in (tmp_path / "twice").iterdir()),
            "axial",
        )
    assert error.value.reason == "4-D"


def test_echoes_scouts_and_other_patients_are_series_of_their_own(tmp_path: Path) -> None:
    headers = []
    for name, values in {
        "first": {"EchoNumbers": 1},
        "second": {"EchoNumbers": 2},
        "other": {"PatientID": "B"},
        "scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    }.items():
        for file in write_axial(tmp_path / name, **values):
            headers.append(slice_header(tmp_path / name, ("localizer",), file))
    found = group(header for header in headers if header)
    assert [len(series.slices) for series in found] == [6, 6, 6]


def test_a_header_survives_the_way_to_another_process(tmp_path: Path) -> None:
    for name in write_axial(tmp_path / "series"):
        header = slice_header(tmp_path / "series", (), name)
        assert header is not None
        there = SliceHeader.from_dict(json.loads(json.dumps(header.to_dict())))
        assert there == header and there.key == header.key
        assert np.array_equal(there.slice().position, header.position)


def imported(tmp_path: Path, **options: Any) -> Cohort:
    return import_cohort(
        ImportOptions(
            source=tmp_path / "in", out=tmp_path / "cohort", salt="s", workers=1, **options
        )
    )


def test_an_import_takes_one_picture_of_each_series(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, patient in enumerate("ABC"):  # every value of the next differs by 1
        more = {
            "PatientID": patient,
            "SeriesInstanceUID": f"1.2.{number}",
            "RescaleIntercept": str(-100 + number),
        }
        write_axial(tmp_path / "in" / patient, **more)
    saved(tmp_path / "in" / "x-ray", Modality="CR", PatientID="D")
    cohort = imported(tmp_path, plane="coronal", position="25%")
    assert len(cohort.table) == 4 and cohort.table["patient"].nunique() == 4
    assert cohort.info.rejected_by_reason == {"slice of a volume": 15}
    ct = cohort.table[cohort.table["modality"] == "CT"].iloc[0].to_dict()
    low = ct["window_low"]
    high = ct["window_high"]
    np.testing.assert_allclose(
        (cohort.pixels(ct) + 1) / 2 * (high - low) + low, VOLUME[::-1, 2, ::-1].T - 100, atol=0.01
    )
    assert len(set(cohort.table["sha256"])) == 2  # and yet nobody is dropped as another's copy
    assert ct["view"] == "coronal" and (ct["row_mm"], ct["col_mm"]) == (4.0, 2.0)


def test_without_a_position_every_slice_of_the_plane_is_taken(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_axial(tmp_path / "in" / "A")
    assert len(imported(tmp_path, plane="axial").table) == 6
