"""Images: how they lie in the patient, why files are refused, and sizes that no memory holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from latentdrift.data.images.image import (
    MAX_VALUES,
    REASONS,
    Image,
    ImageError,
    Source,
    check_size,
    check_values,
    plane_of,
)


def test_a_reason_is_a_row_of_the_table() -> None:
    assert all(len(reason) <= 20 for reason in REASONS)
    with pytest.raises(AssertionError):
        ImageError("because", "x.png", "of nothing")


def test_sizes_are_checked_before_memory_is_taken() -> None:
    check_size("x.png", 16384, 16384)
    for sizes in ((16384, 16385), (0, 10), (MAX_VALUES, MAX_VALUES, MAX_VALUES)):
        with pytest.raises(ImageError, match="cut it into tiles"):
            check_size("x.png", *sizes)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_a_plane_is_known_from_the_picture_s_place(plane: str) -> None:
    across = {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}[plane]
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, [across[1], across[0], 3 - sum(across)]]
    assert plane_of(affine) == plane
    image = Image(np.zeros((4, 4)), (0.0, 1.0), affine=affine)
    assert image.plane == plane
    stated = Source(Path("a.nii"), "nifti", plane="axial")
    assert Image(np.zeros((4, 4)), (0.0, 1.0), affine=affine, source=stated).plane == "axial"


def test_an_oblique_picture_has_no_plane() -> None:
    turn = np.deg2rad(45)
    affine = np.eye(4)
    affine[:3, 1] = [0, np.cos(turn), np.sin(turn)]
    assert plane_of(affine) is None and plane_of(None) is None


def test_a_file_of_too_many_pictures_is_refused() -> None:
    check_values("x.tif", 2 * MAX_VALUES)
    with pytest.raises(ImageError, match="split the file first") as error:
        check_values("x.tif", 2 * MAX_VALUES + 1)
    assert error.value.reason == "unsupported"
