"""NIfTI -> Images, and back into the source's own voxel grid.

Display convention: RADIOLOGICAL, as DICOM does it. The patient's right is on the picture's left; anterior is up in an axial
slice, superior is up in the others, and anterior is left in a sagittal one. So rows and columns always run from + to - of a
RAS axis.

A file without orientation (qform and sform codes 0) is shown as its voxels are stored, first axis to the right and second axis
up, with affine None: which side is the patient's left is then not known.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError

from latentdrift.data.image import Image, ImageError, Plane, Source
from latentdrift.data.intensity import Range, Window, as_dtype, choose_range, is_range, parse_window, without_gaps
from latentdrift.errors import InputError, OptionError, unknown

CONVENTION = "radiological"

PLANES: dict[Plane, tuple[int, int, int]] = {
    "axial": (2, 1, 0),
    "coronal": (1, 2, 0),
    "sagittal": (0, 2, 1),
}
"""RAS axis along the slice's normal, and those along which rows and columns run, both from + to -."""

DAMAGE = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, ArithmeticError, MemoryError, zlib.error,
          ImageFileError, HeaderDataError, HeaderTypeError)  # fmt: skip
"""What nibabel raises on a damaged file."""

CUT_SHORT = ("Expected", "greater than file size")
"""What it says when the file ends too early."""

GZIP_LIMIT = 1032
"""Bytes that one byte of gzip can stand for at most (zlib.net, "Maximum Compression Factor")."""

UNSCALED = (1.0, 0.0)

UNITS = {"meter": 1000.0, "micron": 0.001}
"""mm per unit of a header that does not count in mm."""

_POSITION = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(%|mm)?\s*")


@dataclass(frozen=True)
class Grid:
    """The voxels of a file, and how its three axes lie in the patient."""

    path: Path
    image: nib.Nifti1Image
    shape: tuple[int, int, int]
    affine: np.ndarray
    """Voxel to RAS mm; where the file has none, nibabel's stand-in, whose first axis runs to the left."""
    oriented: bool

    @property
    def axes(self) -> np.ndarray:
        """[3, 2]: the RAS axis that each stored axis is closest to, and 1 or -1 for its direction."""
        return nib.io_orientation(self.affine).astype(int)

    @property
    def zooms(self) -> np.ndarray:
        """[3] mm per voxel along the stored axes."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def scaling(self) -> tuple[float, float]:
        """Slope and intercept from stored to real values."""
        proxy: Any = self.image.dataobj
        return float(proxy.slope), float(proxy.inter)

    def stored_axis(self, ras: int) -> int:
        """The stored axis that runs along a RAS axis."""
        return int(np.flatnonzero(self.axes[:, 0] == ras)[0])

    def stored_index(self, axis: int, index: float) -> float:
        """From an index that counts along + of the RAS axis to the stored one, or back."""
        return index if self.axes[axis, 1] > 0 else self.shape[axis] - 1 - index


def read_nifti(
    path: Path | str,
    plane: Plane | None = None,
    position: str = "50%",
    slab: float = 0.0,
    window: str | Window | None = None,
) -> list[Image]:
    """The picture of a 2-D file, or a slice or slab of a volume.

    Args:
        plane: of a volume: axial, coronal or sagittal. A 2-D file is taken as it is, unless it is known to lie in another plane.
        position: of a volume: percent of its extent, `mm` in RAS along the plane's normal (at the middle of the slice), or a
            voxel index. Percent and index count from left, posterior and inferior, whichever way the file is stored.
        slab: mm over which slices are averaged, each by the share of its thickness inside; 0 for one slice.
        window: see `parse_window`; the header's window is cal_min to cal_max.

    Raises:
        ImageError: 4-D, no plane, other plane, outside, no orientation, truncated, damaged, unsupported.
        OptionError: the plane, position or window is not understood.
    """
    path, window = Path(path), parse_window(window)
    if plane is not None and plane not in PLANES:
        raise unknown("plane", plane, PLANES)
    grid = open_grid(path)
    own, normal = _own_plane(grid, plane)
    index = 0.0 if own else _index(grid, PLANES[normal], position)
    try:
        pixels = _slab(grid, normal, index, 0.0 if own else slab)
    except DAMAGE as error:
        reason = "truncated" if isinstance(error, EOFError) or any(words in str(error) for words in CUT_SHORT) else "damaged"
        raise ImageError(reason, path, f"the voxels cannot be read: {error}") from error
    thickness = 0.0 if own else slab
    zooms = grid.zooms[[grid.stored_axis(ras) for ras in PLANES[normal]]]
    known = normal if grid.oriented or not own else None
    source = Source(path, "nifti", frame=None if own else round(index), plane=known, slab=thickness)
    full = (0.0, 255.0) if grid.image.get_data_dtype() == np.uint8 and grid.scaling == UNSCALED else None
    return [
        Image(
            pixels=pixels,
            range=choose_range(window, pixels, header=_header_range(grid), full=full, path=path),
            spacing=(float(zooms[1]), float(zooms[2])),
            affine=_picture_affine(grid, normal, index, max(thickness, float(zooms[0]))) if grid.oriented else None,
            source=source,
            notes=() if grid.oriented else ("no orientation in the header: left and right are not known",),
        )
    ]


def open_grid(path: Path) -> Grid:
    """The header of a NIfTI file with at most three dimensions longer than one.

    Raises:
        ImageError: 4-D, damaged, truncated, unsupported.
    """
    try:
        return _grid(path, nib.load(path))
    except DAMAGE as error:
        raise ImageError("damaged", path, f"the NIfTI header cannot be read: {error}") from error


def _grid(path: Path, image: Any) -> Grid:
    if not isinstance(image, nib.Nifti1Image | nib.Nifti1Pair):
        raise ImageError("not an image", path, f"the content is {type(image).__name__}, not NIfTI")
    shape = tuple(image.shape)
    if any(size > 1 for size in shape[3:]):
        size = " x ".join(str(n) for n in shape)
        raise ImageError("4-D", path, f"a series of volumes ({size} voxels) came where one is wanted; extract one first")
    if len(shape) < 2 or 0 in shape or sum(size > 1 for size in shape) < 2:
        raise ImageError("not an image", path, f"the voxel grid {shape} has no rows and columns")
    stored = Path(str(image.file_map["image"].filename)).stat().st_size
    if np.prod([float(n) for n in shape]) * image.get_data_dtype().itemsize > GZIP_LIMIT * stored:
        raise ImageError("truncated", path, f"{stored} bytes cannot hold the voxel grid {shape}")
    affine = np.diag([*[UNITS.get(image.header.get_xyzt_units()[0], 1.0)] * 3, 1.0]) @ image.affine
    coded = int(image.header["qform_code"]) > 0 or int(image.header["sform_code"]) > 0
    usable = bool(np.isfinite(affine).all()) and not np.isnan(nib.io_orientation(affine)).any()
    if not usable:
        zooms = np.resize(np.abs([*image.header.get_zooms()[:3], 1.0, 1.0])[:3], 3)
        affine = np.diag([*(np.where(np.isfinite(zooms) & (zooms > 0), zooms, 1.0) * (-1, 1, 1)), 1.0])
    return Grid(path, image, (*shape[:3], 1)[:3], affine, coded and usable)  # type: ignore[arg-type]


def _own_plane(grid: Grid, plane: Plane | None) -> tuple[bool, Plane]:
    """Whether the file is one slice by itself, and the plane to show."""
    single = [axis for axis in range(3) if grid.shape[axis] == 1]
    if single:
        own = next(name for name, (normal, *_) in PLANES.items() if normal == grid.axes[single[0], 0])
        if plane is not None and plane != own and grid.oriented:
            raise ImageError("other plane", grid.path, f"the file holds one {own} slice, and {plane} was asked for")
        return True, own
    if plane is None:
        size = " x ".join(str(n) for n in grid.shape)
        raise ImageError("no plane", grid.path, f"a volume of {size} voxels: say which plane: axial, coronal or sagittal")
    return False, plane


def _index(grid: Grid, axes: tuple[int, int, int], position: str) -> float:
    """The slice at a position, counted along + of the normal's RAS axis."""
    match = _POSITION.fullmatch(position)
    if not match:
        raise OptionError(f"the position '{position}' is none of: a percentage (50%), millimetres (-12.5mm), a voxel index (80)")
    value, unit = float(match[1]), match[2]
    ras, axis = axes[0], grid.stored_axis(axes[0])
    last = grid.shape[axis] - 1
    if unit == "%":
        allowed, index = (0.0, 100.0), value / 100 * last
    elif unit == "mm":
        if not grid.oriented:
            finding = f"{position} has no meaning where the header has no orientation; give a percentage or a voxel index"
            raise ImageError("no orientation", grid.path, finding)
        ends = [_middle(grid, axis, float(grid.stored_index(axis, end)))[ras] for end in (0, last)]
        step = (ends[1] - ends[0]) / max(last, 1)
        allowed, index = (ends[0] - step / 2, ends[1] + step / 2), (value - ends[0]) / step
    else:
        allowed, index = (0.0, float(last)), value
    if not allowed[0] <= value <= allowed[1]:
        finding = f"the position {position} was asked for, and the volume goes from {allowed[0]:g} to {allowed[1]:g} {unit or ''}"
        raise ImageError("outside", grid.path, finding.strip())
    return float(np.clip(np.floor(index + 0.5), 0, last))


def _middle(grid: Grid, axis: int, index: float) -> np.ndarray:
    """RAS mm of the middle of a stored slice."""
    voxel = (np.array(grid.shape) - 1) / 2
    voxel[axis] = index
    return grid.affine[:3, :3] @ voxel + grid.affine[:3, 3]


def _slab(grid: Grid, plane: Plane, index: float, slab: float) -> np.ndarray:
    """[H, W] or [H, W, 3], upright: one slice, or the mean over `slab` mm around it, cut at the volume's ends."""
    axis = grid.stored_axis(PLANES[plane][0])
    centre, half = int(grid.stored_index(axis, index)), slab / grid.zooms[axis] / 2  # in slices
    if half <= 0.5:
        return _upright(grid, plane, _slices(grid, axis, centre, centre)[0])
    near = np.arange(max(0, int(np.floor(centre - half))), min(grid.shape[axis] - 1, int(np.ceil(centre + half))) + 1)
    share = np.clip(np.minimum(near + 0.5, centre + half) - np.maximum(near - 0.5, centre - half), 0, 1)
    mean = np.tensordot(share / share.sum(), _slices(grid, axis, near[0], near[-1]).astype(np.float64), axes=1)
    return _upright(grid, plane, mean.astype(np.float32))


def _slices(grid: Grid, axis: int, first: int, last: int) -> np.ndarray:
    """[n, ., .] or [n, ., ., 3]: stored slices, integers where the header has no scaling, else float32.

    Values that are not finite take the smallest that is.
    """
    stored, (slope, inter) = grid.image.dataobj.get_unscaled(), grid.scaling  # type: ignore[attr-defined]
    values = np.moveaxis(stored.reshape(grid.shape), axis, 0)[first : last + 1]
    if values.dtype.names:  # NIfTI-1 datatypes RGB24 and RGBA32
        values = np.stack([values[name] for name in values.dtype.names[:3]], axis=-1)
        return values[..., 0] if (values == values[..., :1]).all() else values
    if values.dtype.kind not in "iuf":
        raise ImageError("unsupported", grid.path, f"voxels of type {values.dtype} are no intensities; save their magnitude")
    if grid.scaling == UNSCALED and values.dtype.kind != "f":
        return values.astype(values.dtype.newbyteorder("="))
    return without_gaps(values.astype(np.float64) * slope + inter)


def _flips(grid: Grid, plane: Plane) -> tuple[bool, tuple[int, ...]]:
    """What takes a stored slice to the display: whether its two axes are swapped, and then which are reversed."""
    _, rows, columns = PLANES[plane]
    row, column = grid.stored_axis(rows), grid.stored_axis(columns)
    return row > column, tuple(at for at, axis in enumerate((row, column)) if grid.axes[axis, 1] > 0)


def _upright(grid: Grid, plane: Plane, stored: np.ndarray) -> np.ndarray:
    swapped, reversed_axes = _flips(grid, plane)
    return np.ascontiguousarray(np.flip(stored.swapaxes(0, 1) if swapped else stored, reversed_axes))


def _downright(grid: Grid, plane: Plane, shown: np.ndarray) -> np.ndarray:
    """The inverse of `_upright`."""
    swapped, reversed_axes = _flips(grid, plane)
    stored = np.flip(shown, reversed_axes)
    return np.ascontiguousarray(stored.swapaxes(0, 1) if swapped else stored)


def _picture_affine(grid: Grid, plane: Plane, index: float, thickness: float) -> np.ndarray:
    """(row, column, slice) of the picture to RAS mm."""
    normal, rows, columns = (grid.stored_axis(ras) for ras in PLANES[plane])
    to_voxel = np.zeros((4, 4))
    to_voxel[3, 3] = 1.0
    to_voxel[normal, 2] = grid.axes[normal, 1] * thickness / grid.zooms[normal]
    to_voxel[normal, 3] = grid.stored_index(normal, index)
    for at, axis in enumerate((rows, columns)):
        step = -grid.axes[axis, 1]
        to_voxel[axis, at], to_voxel[axis, 3] = step, 0 if step > 0 else grid.shape[axis] - 1
    return grid.affine @ to_voxel


def _header_range(grid: Grid) -> Range | None:
    low, high = float(grid.image.header["cal_min"]), float(grid.image.header["cal_max"])
    return (low, high) if is_range(low, high) else None


def write_nifti(path: Path | str, image: Image, pixels: np.ndarray) -> None:
    """Write changed pixels of an image as NIfTI.

    An image that came from NIfTI goes back into its own voxel grid: axes, affine, codes, data type and scaling are the source's;
    a slice of a volume becomes a volume one voxel thick in its place (a slab, as thick as it was, in float32). Any other image is
    written as float32 with its own affine. Nothing else of the source's header is copied; its description says "synthetic".

    Args:
        pixels: [H, W] in the unit of `image.pixels`.
    """
    if pixels.shape != image.pixels.shape[:2]:
        raise InputError(f"pixels of shape {pixels.shape} do not fit the picture of {image.pixels.shape[:2]}; NIfTI is grey")
    if image.source is not None and image.source.kind == "nifti":
        written = _like_source(image, image.source, pixels)
    elif image.affine is not None:
        written = nib.Nifti1Image(pixels[..., None].astype(np.float32), image.affine)
    else:
        written = nib.Nifti1Image(pixels[::-1].T.astype(np.float32), None)
        if image.spacing is not None:
            written.header.set_zooms((image.spacing[1], image.spacing[0]))
    written.header["descrip"] = b"synthetic: made by latentdrift"
    nib.save(written, path)


def _like_source(image: Image, source: Source, pixels: np.ndarray) -> nib.Nifti1Image:
    grid = open_grid(source.path)
    own, plane = _own_plane(grid, source.plane)
    axis = grid.stored_axis(PLANES[plane][0])
    values = np.expand_dims(_downright(grid, plane, pixels), axis).astype(np.float64)
    thick = source.slab > grid.zooms[axis]
    kind = np.dtype(np.float32) if thick else grid.image.get_data_dtype().newbyteorder("=")
    slope, inter = UNSCALED if thick else grid.scaling
    values = (values - inter) / slope
    stored = as_dtype(values.reshape(grid.image.shape) if own else values, kind)
    old, make = grid.image.header, nib.Nifti2Image if isinstance(grid.image.header, nib.Nifti2Header) else nib.Nifti1Image
    written = make(stored, None)
    written.header.set_data_dtype(kind)
    written.header.set_xyzt_units(old.get_xyzt_units()[0])
    written.header.set_zooms(old.get_zooms()[: stored.ndim])
    if (slope, inter) != UNSCALED:
        written.header.set_slope_inter(slope, inter)  # stored values then go in as they are
    here = np.eye(4)  # from the voxels written to those of the source
    if not own:
        here[axis, axis] = max(source.slab / grid.zooms[axis], 1.0)
        here[axis, 3] = grid.stored_index(axis, source.frame or 0)
    if grid.oriented:
        for set_form, form, code in ((written.set_qform, old.get_qform(), old["qform_code"]),
                                     (written.set_sform, old.get_sform(), old["sform_code"])):  # fmt: skip
            if code > 0:
                set_form(form @ here, int(code))
    written.header["cal_min"], written.header["cal_max"] = old["cal_min"], old["cal_max"]
    return written
