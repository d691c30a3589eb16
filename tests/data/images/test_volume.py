"""Volumes: positions, planes and slabs of a slice, and sizes that are refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from volumes import ORIGIN, SHAPE, ZOOMS, expected, saved, stored

from latentdrift.data.images.formats.nifti import read_nifti, write_nifti
from latentdrift.data.images.image import ImageError, Plane
from latentdrift.data.images.image_readers import read
from latentdrift.data.images.volume import (
    PLANES,
    Grid,
    downright,
    mean_slab,
    picture_affine,
    upright,
)
from latentdrift.errors import OptionError


@pytest.mark.parametrize(
    ("position", "index"),
    [
        ("0%", 0),
        ("50%", 4),
        ("100%", 8),
        ("3", 3),
        ("10mm", 0),
        ("26mm", 8),
        ("13.1mm", 2),
        ("12.9mm", 1),
        ("9.5mm", 0),
    ],
)
@pytest.mark.parametrize("order", ["RAS", "LPI", "SPL"])
def test_positions_in_percent_millimetres_and_voxels(
    tmp_path: Path, order: str, position: str, index: int
) -> None:
    """Coronal slices lie 2 mm apart, from y = 10 mm."""
    (image,) = read_nifti(saved(tmp_path / "a.nii", order), "coronal", position)
    np.testing.assert_array_equal(image.pixels, expected("coronal", index))
    assert image.source is not None and image.source.frame == index


@pytest.mark.parametrize(
    ("position", "limits"),
    [("9", "from 0 to 8"), ("-1", "from 0 to 8"), ("30mm", "from 9 to 27 mm"), ("101%", "100 %")],
)
def test_positions_outside_the_volume_are_refused(
    tmp_path: Path, position: str, limits: str
) -> None:
    with pytest.raises(ImageError, match=limits) as error:
        read_nifti(saved(tmp_path / "a.nii"), "coronal", position)
    assert error.value.reason == "outside"


def test_positions_and_planes_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="none of: a percentage"):
        read_nifti(saved(tmp_path / "a.nii"), "coronal", "middle")
    with pytest.raises(OptionError, match="unknown plane 'axail'; known: axial, coronal, sagittal"):
        read_nifti(saved(tmp_path / "a.nii"), "axail")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slab", "shares"),
    [
        (2.0, {4: 1}),
        (0.5, {4: 1}),
        (6.0, {3: 1, 4: 1, 5: 1}),
        (4.0, {3: 0.5, 4: 1, 5: 0.5}),
        (100.0, dict.fromkeys(range(9), 1)),
    ],
)
@pytest.mark.parametrize("order", ["RAS", "SPL"])
def test_a_slab_is_the_mean_over_its_thickness(
    tmp_path: Path, order: str, slab: float, shares: dict[int, float]
) -> None:
    volume = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)
    (image,) = read_nifti(saved(tmp_path / "a.nii", order, volume), "coronal", "4", slab)
    mean = sum(share * volume[:, at].astype(float) for at, share in shares.items()) / sum(
        shares.values()
    )
    np.testing.assert_allclose(image.pixels, mean[::-1, ::-1].T, rtol=1e-6)
    write_nifti(tmp_path / "w.nii", image, image.pixels)
    (back,) = read_nifti(tmp_path / "w.nii")
    np.testing.assert_array_equal(back.pixels, image.pixels)
    assert image.affine is not None and back.affine is not None
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)
    assert (
        nib.load(tmp_path / "w.nii").header.get_zooms()[
            nib.io_orientation(back.affine)[:, 0].tolist().index(1)
        ]
        >= 1
    )


def test_a_volume_too_large_for_memory_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((1024, 1024, 1024))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    path = tmp_path / "a.nii"
    with open(path, "wb") as file:  # sparse: the bytes are promised, and take no room
        file.write(header.binaryblock)
        file.truncate(352 + (1 << 33))
    with pytest.raises(ImageError, match=r"8\.0 GiB; up to 2 GiB are read") as error:
        read_nifti(path, "axial")
    assert error.value.reason == "unsupported"


def test_voxels_without_extent_are_damaged(tmp_path: Path) -> None:
    image = nib.Nifti2Image(np.zeros((4, 5, 6), np.int16), None)
    image.header["pixdim"][1:4] = [1, 1e-300, 1e-300]
    nib.save(image, tmp_path / "flat.nii")
    with pytest.raises(
        ImageError, match=r"voxels of 1 x .* mm, from which no plane is known"
    ) as error:
        read(tmp_path / "flat.nii", plane="axial")
    assert error.value.reason == "damaged"


@pytest.mark.parametrize("order", ["RAS", "LPS", "PIR", "SAL", "ILA"])
@pytest.mark.parametrize("plane", PLANES)
def test_a_picture_lies_where_its_affine_says_and_goes_back(plane: Plane, order: str) -> None:
    """The voxels hold 100 x + 10 y + z of their RAS index, so a pixel tells its place."""
    voxels, affine = stored(order)
    grid = Grid(Path("a.nii"), voxels.shape, affine, True)
    normal = PLANES[plane][0]
    picture = mean_slab(
        grid,
        plane,
        2.0,
        0.0,
        lambda axis, first, last: np.moveaxis(voxels, axis, 0)[first : last + 1],
    )
    to_ras = picture_affine(grid, plane, 2.0, 1.0)
    for row, column in ((0, 0), (0, 3), (2, 1)):
        index = (to_ras @ [row, column, 0, 1])[:3]
        index = np.rint((index - ORIGIN) / ZOOMS).astype(int)
        assert index[normal] == 2
        assert picture[row, column] == index @ [100, 10, 1]
    axis = grid.stored_axis(normal)
    across = np.moveaxis(voxels, axis, 0)[int(grid.stored_index(axis, 2.0))]
    np.testing.assert_array_equal(upright(grid, plane, across), picture)
    np.testing.assert_array_equal(downright(grid, plane, picture), across)
