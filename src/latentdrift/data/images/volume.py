"""A volume's voxels in the patient, and its slices as they are displayed.

Display convention: RADIOLOGICAL, as DICOM does it. The patient's right is on the picture's left;
anterior is up in an axial slice, superior is up in the others, and anterior is left in a sagittal
one. So rows and columns always run from + to - of a RAS axis.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from latentdrift.data.images.image import ImageError, Plane
from latentdrift.errors import OptionError

PLANES: dict[Plane, tuple[int, int, int]] = {
    "axial": (2, 1, 0),
    "coronal": (1, 2, 0),
    "sagittal": (0, 2, 1),
}
"""RAS axis along the slice's normal, and those along which rows and columns run, both from + to
-."""

MIDDLE = "50%"
"""Position of a slice where none is given."""

MAX_BYTES = 1 << 31
"""Bytes of a whole volume in memory (1024 cubed at 16 bits)."""

_POSITION = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(%|mm)?\s*")

Slices = Callable[[int, int, int], np.ndarray]
"""Stored axis, first and last stored index -> [n, ., .] or [n, ., ., 3], the stored slices across
that axis."""


@dataclass(frozen=True)
class Grid:
    """How a volume's three stored axes lie in the patient."""

    path: Path
    shape: tuple[int, int, int]
    affine: np.ndarray
    """Voxel to RAS mm; where the file has none, a stand-in whose first axis runs to the left."""
    oriented: bool

    @property
    def axes(self) -> np.ndarray:
        """Orientation [3, 2]: the nearest RAS axis (0 to 2) of each stored axis, and its sign 1 or
        -1.

        Both are -1 where a stored axis has no RAS axis.
        """
        result: np.ndarray = np.nan_to_num(nib.io_orientation(self.affine), nan=-1).astype(int)
        return result

    @property
    def zooms(self) -> np.ndarray:
        """Voxel size in mm along the stored axes, [3]."""
        result: np.ndarray = np.linalg.norm(self.affine[:3, :3], axis=0)
        return result

    def stored_axis(self, ras: int) -> int:
        """Stored axis (0 to 2) that runs along an RAS axis.

        Args:
            ras: RAS axis: 0 left-right, 1 posterior-anterior, 2 inferior-superior.

        Raises:
            ImageError: There is none ("damaged").
        """
        matches = np.flatnonzero(self.axes[:, 0] == ras)
        if not len(matches):
            size = " x ".join(f"{zoom:g}" for zoom in self.zooms)
            raise ImageError(
                "damaged",
                self.path,
                f"the header has voxels of {size} mm, from which no plane is known",
            )
        return int(matches[0])

    def stored_index(self, axis: int, index: float) -> float:
        """Convert an index between the direction of an RAS axis and that of the stored axis.

        The conversion is its own inverse.

        Args:
            axis: Stored axis.
            index: Index along the axis, from 0.
        """
        return index if self.axes[axis, 1] > 0 else self.shape[axis] - 1 - index


def check_volume_size(path: Path, n_bytes: float) -> None:
    """Refuse a volume that is too large, before memory is allocated.

    Args:
        path: Its file, for messages.
        n_bytes: Bytes that it takes in memory.

    Raises:
        ImageError: More than MAX_BYTES ("unsupported").
    """
    if n_bytes > MAX_BYTES:
        finding = (
            f"a volume of {n_bytes / 2**30:.1f} GiB; up to {MAX_BYTES >> 30} GiB are read: cut it "
            "into parts first"
        )
        raise ImageError("unsupported", path, finding)


def slice_index(grid: Grid, axes: tuple[int, int, int], position: str) -> float:
    """Index of the slice at a position, counted along + of the normal's RAS axis.

    Args:
        grid: The volume's grid.
        axes: RAS axes of the normal, the rows and the columns: a row of PLANES.
        position: Percentage (`50%`), RAS millimetres (`-12.5mm`) or voxel index (`80`).

    Raises:
        OptionError: The position cannot be parsed.
        ImageError: It lies outside, or millimetres have no meaning ("no orientation").
    """
    match = _POSITION.fullmatch(position)
    if not match:
        raise OptionError(
            f"the position '{position}' is none of: a percentage (50%), millimetres (-12.5mm), a "
            "voxel index (80)"
        )
    value = float(match[1])
    unit = match[2]
    ras = axes[0]
    axis = grid.stored_axis(axes[0])
    last = grid.shape[axis] - 1
    if unit == "%":
        allowed = (0.0, 100.0)
        index = value / 100 * last
    elif unit == "mm":
        if not grid.oriented:
            finding = (
                f"{position} has no meaning where the header has no orientation; give a percentage "
                "or a voxel index"
            )
            raise ImageError("no orientation", grid.path, finding)
        ends = [_middle(grid, axis, float(grid.stored_index(axis, end)))[ras] for end in (0, last)]
        step = (ends[1] - ends[0]) / max(last, 1)
        allowed = (ends[0] - step / 2, ends[1] + step / 2)
        index = (value - ends[0]) / step
    else:
        allowed = (0.0, float(last))
        index = value
    if not allowed[0] <= value <= allowed[1]:
        finding = (
            f"the position {position} was asked for, and the volume goes from {allowed[0]:g} to "
            f"{allowed[1]:g} {unit or ''}"
        )
        raise ImageError("outside", grid.path, finding.strip())
    return float(np.clip(np.floor(index + 0.5), 0, last))


def _middle(grid: Grid, axis: int, index: float) -> np.ndarray:
    """RAS mm of the middle of a stored slice."""
    voxel = (np.array(grid.shape) - 1) / 2
    voxel[axis] = index
    result: np.ndarray = grid.affine[:3, :3] @ voxel + grid.affine[:3, 3]
    return result


def mean_slab(grid: Grid, plane: Plane, index: float, slab: float, slices: Slices) -> np.ndarray:
    """Slice, or mean over a slab, as it is displayed.

    Args:
        grid: The volume's grid.
        plane: Plane of the picture.
        index: From `slice_index`.
        slab: Thickness in mm around the slice, cut at the volume's ends.
        slices: (stored axis, first, last) -> these slices, both ends included.

    Returns:
        [H, W] or [H, W, 3].
    """
    axis = grid.stored_axis(PLANES[plane][0])
    centre = int(grid.stored_index(axis, index))
    half = slab / grid.zooms[axis] / 2  # in slices
    if half <= 0.5:
        return upright(grid, plane, slices(axis, centre, centre)[0])
    near = np.arange(
        max(0, int(np.floor(centre - half))),
        min(grid.shape[axis] - 1, int(np.ceil(centre + half))) + 1,
    )
    share = np.clip(
        np.minimum(near + 0.5, centre + half) - np.maximum(near - 0.5, centre - half), 0, 1
    )
    mean = np.tensordot(
        share / share.sum(), slices(axis, near[0], near[-1]).astype(np.float64), axes=1
    )
    return upright(grid, plane, mean.astype(np.float32))


def _flips(grid: Grid, plane: Plane) -> tuple[bool, tuple[int, ...]]:
    """Whether the two axes of a stored slice are swapped for display, and which are then
    reversed."""
    _, rows, columns = PLANES[plane]
    row = grid.stored_axis(rows)
    column = grid.stored_axis(columns)
    return row > column, tuple(
        at for at, axis in enumerate((row, column)) if grid.axes[axis, 1] > 0
    )


def upright(grid: Grid, plane: Plane, stored: np.ndarray) -> np.ndarray:
    """Flip and transpose a stored slice to the way it is displayed.

    Args:
        grid: The volume's grid.
        plane: Plane of the slice.
        stored: The slice along the two other stored axes, [., .] or [., ., 3].

    Returns:
        [H, W] or [H, W, 3], row 0 at the top.
    """
    swapped, reversed_axes = _flips(grid, plane)
    return np.ascontiguousarray(
        np.flip(stored.swapaxes(0, 1) if swapped else stored, reversed_axes)
    )


def downright(grid: Grid, plane: Plane, pixels: np.ndarray) -> np.ndarray:
    """Flip and transpose a displayed slice back to the way it is stored; undoes `upright`.

    Args:
        grid: The volume's grid.
        plane: Plane of the slice.
        pixels: [H, W] or [H, W, 3].
    """
    swapped, reversed_axes = _flips(grid, plane)
    stored = np.flip(pixels, reversed_axes)
    return np.ascontiguousarray(stored.swapaxes(0, 1) if swapped else stored)


def picture_affine(grid: Grid, plane: Plane, index: float, thickness: float) -> np.ndarray:
    """Affine [4, 4] from (row, column, slice) of the displayed picture to RAS mm.

    Args:
        grid: The volume's grid.
        plane: Plane of the picture.
        index: From `slice_index`.
        thickness: Thickness of the slice in mm.
    """
    normal, rows, columns = (grid.stored_axis(ras) for ras in PLANES[plane])
    to_voxel = np.zeros((4, 4))
    to_voxel[3, 3] = 1.0
    to_voxel[normal, 2] = grid.axes[normal, 1] * thickness / grid.zooms[normal]
    to_voxel[normal, 3] = grid.stored_index(normal, index)
    for at, axis in enumerate((rows, columns)):
        step = -grid.axes[axis, 1]
        to_voxel[axis, at], to_voxel[axis, 3] = step, 0 if step > 0 else grid.shape[axis] - 1
    return grid.affine @ to_voxel
