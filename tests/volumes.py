"""A small volume that is stored in any order of its axes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from latentdrift.data.images.image import Plane

SHAPE = (7, 9, 5)  # to the right, anterior, superior
ZOOMS = np.array([1.0, 2.0, 3.0])
ORIGIN = np.array([-3.0, 10.0, -20.0])
VOLUME = np.fromfunction(lambda x, y, z: 100 * x + 10 * y + z, SHAPE).astype(np.int16)


def stored(order: str = "RAS", volume: np.ndarray = VOLUME) -> tuple[np.ndarray, np.ndarray]:
    """The RAS volume as it is stored under axis codes, with its affine."""
    ras = nib.Nifti1Image(
        volume, np.vstack([np.column_stack([np.diag(ZOOMS), ORIGIN]), [0, 0, 0, 1]])
    )
    codes = nib.orientations.axcodes2ornt
    turned = ras.as_reoriented(nib.orientations.ornt_transform(codes("RAS"), codes(order)))
    return np.asarray(turned.dataobj), turned.affine


def saved(path: Path, order: str = "RAS", volume: np.ndarray = VOLUME, **header: float) -> Path:
    data, affine = stored(order, volume)
    image = nib.Nifti1Image(data, affine)
    for name, value in header.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def expected(plane: Plane, index: int) -> np.ndarray:
    """By hand: radiological, so every picture axis runs from + to -."""
    if plane == "axial":
        return VOLUME[::-1, ::-1, index].T  # rows from anterior, columns from the right
    if plane == "coronal":
        return VOLUME[::-1, index, ::-1].T  # rows from superior, columns from the right
    return VOLUME[index, ::-1, ::-1].T  # rows from superior, columns from anterior


def assert_lies_in(written: nib.Nifti1Image, voxels: np.ndarray, affine: np.ndarray) -> None:
    """Every voxel of a written slice has, at its place in mm, the value of the source volume."""
    to_source = np.linalg.inv(affine) @ written.affine
    for at in np.ndindex(written.shape):
        source = np.rint((to_source @ [*at, 1])[:3]).astype(int)
        assert voxels[tuple(source)] == written.dataobj[at]
