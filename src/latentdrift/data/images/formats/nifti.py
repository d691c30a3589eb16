"""NIfTI -> Images, and back into the source's own voxel grid; see `volume.py` for how slices are
displayed.

A file without orientation (qform and sform codes 0, or neither usable) is shown as its voxels are
stored, first axis to the right and second axis up, with affine None: which side is the patient's
left is then not known.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from nibabel.volumeutils import array_from_file
from nibabel.wrapstruct import WrapStructError

from latentdrift.data.images.formats import compression
from latentdrift.data.images.image import Image, ImageError, Plane, Source
from latentdrift.data.images.intensity import (
    Range,
    Window,
    as_dtype,
    choose_range,
    is_range,
    parse_window,
    without_gaps,
)
from latentdrift.data.images.volume import (
    MIDDLE,
    PLANES,
    Grid,
    check_volume_size,
    downright,
    mean_slab,
    picture_affine,
    slice_index,
)
from latentdrift.errors import InputError, unknown

HEADERS: dict[bytes, type] = {
    b"n+1\0": Nifti1Header,
    b"ni1\0": Nifti1PairHeader,
    b"n+2\0": Nifti2Header,
    b"ni2\0": Nifti2PairHeader,
}
"""Magic string -> how the header lies on disk; in a pair (`ni`), the voxels are a file of their
own."""

MAGIC_AT = {348: 344, 540: 4}
"""Header size, which a NIfTI file begins with in either byte order -> where its magic string
lies."""

DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    ArithmeticError,
    MemoryError,
    HeaderDataError,
    HeaderTypeError,
    WrapStructError,
    *compression.DAMAGE,
)
"""Errors of nibabel on a damaged file."""

CUT_SHORT = ("Expected", "greater than file size")
"""Parts of nibabel's messages for a file that ends too early."""

GZIP_LIMIT = 1032
"""Bytes that one byte of gzip can stand for at most (zlib.net, "Maximum Compression Factor")."""

UNSCALED = (1.0, 0.0)

UNITS = {"meter": 1000.0, "micron": 0.001}
"""mm per unit of a header that does not count in mm."""

ROUNDING = 1e-3
"""How far the squared length of a quaternion may lie above 1: a writer's rounding, which is taken
off."""

HALF_TURN = 1 + 1e-7
"""Length of a quaternion whose fourth component is 0 in single precision: nibabel takes up to
1.8e-7 more than 1 for 1."""

_SILENT = logging.Logger("nibabel's remarks, which are gathered into one sentence")
_SILENT.disabled = True


@dataclass(frozen=True)
class Volume:
    """A NIfTI file: its grid, its mended header, and where its voxels lie."""

    grid: Grid
    header: Nifti1Header
    voxels: Path
    notes: tuple[str, ...]

    @property
    def scaling(self) -> tuple[float, float]:
        """Slope and intercept from stored to real values (NIfTI-1, `scl_slope`).

        They are 1 and 0 where the slope is 0 or not finite.
        """
        slope = float(self.header["scl_slope"])
        inter = float(self.header["scl_inter"])
        if slope == 0 or not np.isfinite(slope):
            return UNSCALED
        return slope, inter if np.isfinite(inter) else 0.0

    def stored(self) -> np.ndarray:
        """Read all voxels [x, y, z] as they are stored."""
        shape = self.header.get_data_shape()
        kind = self.header.get_data_dtype()
        begin = self.header.get_data_offset()
        if self.header.is_single:
            begin = max(begin, self.header.single_vox_offset)  # some writers leave it at 0
        with compression.open_unpacked(self.voxels) as file:
            return array_from_file(shape, kind, file, begin).reshape(self.grid.shape)


def read_nifti(
    path: Path | str,
    plane: Plane | None = None,
    position: str = MIDDLE,
    slab: float = 0.0,
    window: str | Window | None = None,
) -> list[Image]:
    """The picture of a 2-D file, or a slice or slab of a volume.

    Args:
        path: NIfTI file.
        plane: Plane of a volume's slice: axial, coronal or sagittal. A 2-D file is
            not resliced; one that is known to lie in another plane is refused.
        position: Place in a volume: percent of its extent, `mm` in RAS along the plane's normal
            (at the middle of the slice), or a voxel index. Percent and index count from
            left, posterior and inferior, whichever way the file is stored.
        slab: Thickness in mm over which slices are averaged, each by the share of its thickness
            inside; 0: one slice.
        window: See `parse_window`; the header's window is cal_min to cal_max.

    Raises:
        ImageError: 4-D, no plane, other plane, outside, no orientation, truncated, damaged,
            unsupported.
        OptionError: The plane, position or window cannot be parsed.
    """
    path = Path(path)
    window = parse_window(window)
    if plane is not None and plane not in PLANES:
        raise unknown("plane", plane, PLANES)
    volume = open_volume(path)
    grid = volume.grid
    own, normal = _own_plane(grid, plane)
    index = 0.0 if own else slice_index(grid, PLANES[normal], position)
    thickness = 0.0 if own else slab
    pixels = _pixels(volume, normal, index, thickness)
    zooms = grid.zooms[[grid.stored_axis(ras) for ras in PLANES[normal]]]
    known = normal if grid.oriented or not own else None
    source = Source(path, "nifti", frame=None if own else round(index), plane=known, slab=thickness)
    full = (
        (0.0, 255.0)
        if volume.header.get_data_dtype() == np.uint8 and volume.scaling == UNSCALED
        else None
    )
    unoriented = (
        () if grid.oriented else ("no orientation in the header: left and right are not known",)
    )
    return [
        Image(
            pixels=pixels,
            range=choose_range(window, pixels, header=_header_range(volume), full=full, path=path),
            spacing=(float(zooms[1]), float(zooms[2])),
            affine=picture_affine(grid, normal, index, max(thickness, float(zooms[0])))
            if grid.oriented
            else None,
            source=source,
            notes=(*unoriented, *volume.notes),
        )
    ]


def header_class(head: bytes) -> type | None:
    """Class of a NIfTI header; None for other files.

    Args:
        head: First 352 bytes of the file, decompressed.
    """
    for order in ("little", "big"):
        offset = MAGIC_AT.get(int.from_bytes(head[:4], order), len(head))
        if head[offset : offset + 4] in HEADERS:
            return HEADERS[head[offset : offset + 4]]
    return None


def open_volume(path: Path) -> Volume:
    """Read the header of a NIfTI file; at most three of its axes may be longer than one.

    Raises:
        ImageError: 4-D, damaged, truncated, missing, unsupported, or not an image.
    """
    try:
        with compression.open_unpacked(path) as file:
            head = file.read(max(MAGIC_AT) + 4)
        kind = header_class(head)
        if kind is None:
            raise ImageError("not an image", path, "the content is not NIfTI")
        return _volume(path, kind, head[: kind.template_dtype.itemsize])  # type: ignore[attr-defined]
    except DAMAGE as error:
        raise ImageError("damaged", path, f"the NIfTI header cannot be read: {error}") from error


def _volume(path: Path, kind: Any, block: bytes) -> Volume:
    header = kind(block, check=False)
    remarks = kind.diagnose_binaryblock(block)
    header.check_fix(_SILENT)
    shape = tuple(int(size) for size in header.get_data_shape())
    if any(size > 1 for size in shape[3:]):
        size = " x ".join(str(n) for n in shape)
        raise ImageError(
            "4-D",
            path,
            f"a series of volumes ({size} voxels) came where one is wanted; extract one first",
        )
    if len(shape) < 2 or 0 in shape or sum(size > 1 for size in shape) < 2:
        raise ImageError("not an image", path, f"the voxel grid {shape} has no rows and columns")
    voxels = path if kind.is_single else _other_half(path)
    _check_bytes(path, voxels, header, shape)
    notes = [f"its NIfTI header was mended ({'; '.join(remarks.splitlines())})"] if remarks else []
    notes += _mend_forms(header)
    affine, oriented = _affine(header)
    mm = np.diag([*[UNITS.get(_spatial_unit(header), 1.0)] * 3, 1.0])
    grid = Grid(path, (*shape[:3], 1)[:3], mm @ affine, oriented)  # type: ignore[arg-type]
    return Volume(grid, header, voxels, tuple(notes))


def _spatial_unit(header: Nifti1Header) -> str:
    try:
        return str(header.get_xyzt_units()[0])
    except KeyError:
        return "unknown"


def _other_half(path: Path) -> Path:
    """The voxels of a pair, compressed or not, in either case."""
    stem = path.name.lower().removesuffix(".gz").removesuffix(".bz2").removesuffix(".hdr")
    names = {f"{stem}.img", f"{stem}.img.gz", f"{stem}.img.bz2"}
    candidates = sorted(other for other in path.parent.iterdir() if other.name.lower() in names)
    if not candidates:
        raise ImageError(
            "missing", path, f"the voxels of this header, {stem}.img, do not lie beside it"
        )
    return candidates[0]


def _check_bytes(path: Path, voxels: Path, header: Nifti1Header, shape: tuple[int, ...]) -> None:
    """The file can hold its voxels, and memory can."""
    promised = float(np.prod([float(n) for n in shape])) * header.get_data_dtype().itemsize
    stored = voxels.stat().st_size
    if promised > GZIP_LIMIT * stored:
        raise ImageError("truncated", path, f"{stored} bytes cannot hold the voxel grid {shape}")
    check_volume_size(path, promised)


def _mend_forms(header: Nifti1Header) -> list[str]:
    """Take off rounding, and the code of a form that is no orientation; what a person should know
    of it."""
    quaternion = np.array([header[f"quatern_{axis}"] for axis in "bcd"], dtype=np.float64)
    squared = float(quaternion @ quaternion)
    if (
        1 < squared <= 1 + ROUNDING
    ):  # the fourth component is the root of 1 - squared (NIfTI-1, METHOD 2)
        for axis, value in zip("bcd", quaternion * (HALF_TURN / np.sqrt(squared)), strict=True):
            header[f"quatern_{axis}"] = value
    usable = {
        "qform": squared <= 1 + ROUNDING and _places(header.get_qform()),
        "sform": _places(header.get_sform()),
    }
    unusable = [
        form for form, places in usable.items() if int(header[f"{form}_code"]) > 0 and not places
    ]
    for form in unusable:
        header[f"{form}_code"] = 0
    return [f"its header's {form} is no orientation and is left out" for form in unusable]


def _places(affine: np.ndarray) -> bool:
    """Whether an affine gives every voxel a place of its own."""
    return bool(np.isfinite(affine).all()) and not np.isnan(nib.io_orientation(affine)).any()


def _affine(header: Nifti1Header) -> tuple[np.ndarray, bool]:
    """Voxel to RAS in the header's unit, and whether the header says so; else mm in steps of its
    voxel size."""
    if int(header["qform_code"]) > 0 or int(header["sform_code"]) > 0:
        return header.get_best_affine(), True
    zooms = np.resize(np.abs([*header.get_zooms()[:3], 1.0, 1.0])[:3], 3)
    return np.diag(
        [*(np.where(np.isfinite(zooms) & (zooms > 0), zooms, 1.0) * (-1, 1, 1)), 1.0]
    ), False


def _own_plane(grid: Grid, plane: Plane | None) -> tuple[bool, Plane]:
    """Whether the file is one slice by itself, and the plane to show."""
    single = [axis for axis in range(3) if grid.shape[axis] == 1]
    if single:
        own = next(
            name for name, (normal, *_) in PLANES.items() if normal == grid.axes[single[0], 0]
        )
        if plane is not None and plane != own and grid.oriented:
            raise ImageError(
                "other plane",
                grid.path,
                f"the file holds one {own} slice, and {plane} was asked for",
            )
        return True, own
    if plane is None:
        size = " x ".join(str(n) for n in grid.shape)
        raise ImageError(
            "no plane",
            grid.path,
            f"a volume of {size} voxels: say which plane: axial, coronal or sagittal",
        )
    return False, plane


def _pixels(volume: Volume, plane: Plane, index: float, slab: float) -> np.ndarray:
    """A slice or slab, upright.

    Raises:
        ImageError: Truncated, damaged, unsupported.
    """

    def slices(axis: int, first: int, last: int) -> np.ndarray:
        return _values(volume, np.moveaxis(volume.stored(), axis, 0)[first : last + 1])

    try:
        return mean_slab(volume.grid, plane, index, slab, slices)
    except DAMAGE as error:
        reason = (
            "truncated"
            if isinstance(error, EOFError) or any(words in str(error) for words in CUT_SHORT)
            else "damaged"
        )
        raise ImageError(reason, volume.grid.path, f"the voxels cannot be read: {error}") from error


def _values(volume: Volume, stored: np.ndarray) -> np.ndarray:
    """Stored voxels as integers where the header has no scaling, else float32; colours [..., 3].

    Values that are not finite take the smallest that is.
    """
    slope, inter = volume.scaling
    if stored.dtype.names:  # NIfTI-1 datatypes RGB24 and RGBA32
        colours = np.stack([stored[name] for name in stored.dtype.names[:3]], axis=-1)
        return colours[..., 0] if (colours == colours[..., :1]).all() else colours
    if stored.dtype.kind not in "iuf":
        finding = f"voxels of type {stored.dtype} are no intensities; save their magnitude"
        raise ImageError("unsupported", volume.grid.path, finding)
    if volume.scaling == UNSCALED and stored.dtype.kind != "f":
        return stored.astype(stored.dtype.newbyteorder("="))
    return without_gaps(stored.astype(np.float64) * slope + inter)


def _header_range(volume: Volume) -> Range | None:
    low = float(volume.header["cal_min"])
    high = float(volume.header["cal_max"])
    return (low, high) if is_range(low, high) else None


def write_nifti(path: Path | str, image: Image, pixels: np.ndarray) -> None:
    """Write changed pixels of an image as NIfTI.

    An image that came from NIfTI goes back into its own voxel grid: axes, affine, codes, data type
    and scaling are the source's; a slice of a volume becomes a volume one voxel thick in its place
    (a slab, as thick as it was, in float32). Any other image is written as float32 with its own
    affine. Nothing else of the source's header is copied; its description says "synthetic".

    Args:
        path: File to write.
        image: Source image.
        pixels: [H, W] in the unit of `image.pixels`.
    """
    if pixels.shape != image.pixels.shape[:2]:
        problem = (
            f"pixels of shape {pixels.shape} do not fit the picture of {image.pixels.shape[:2]}"
        )
        raise InputError(
            f"{problem}; NIfTI is written in grey only: save a coloured source as PNG first"
        )
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
    volume = open_volume(source.path)
    grid = volume.grid
    old = volume.header
    own, plane = _own_plane(grid, source.plane)
    axis = grid.stored_axis(PLANES[plane][0])
    values = np.expand_dims(downright(grid, plane, pixels), axis).astype(np.float64)
    thick = source.slab > grid.zooms[axis]
    kind = np.dtype(np.float32) if thick else old.get_data_dtype().newbyteorder("=")
    slope, inter = UNSCALED if thick else volume.scaling
    values = (values - inter) / slope
    stored = as_dtype(values.reshape(old.get_data_shape()) if own else values, kind)
    make: Any = (
        nib.Nifti2Image if isinstance(old, Nifti2Header | Nifti2PairHeader) else nib.Nifti1Image
    )
    written: nib.Nifti1Image = make(stored, None)
    written.header.set_data_dtype(kind)
    written.header.set_xyzt_units(_spatial_unit(old))
    written.header.set_zooms(old.get_zooms()[: stored.ndim])
    if (slope, inter) != UNSCALED:
        written.header.set_slope_inter(slope, inter)  # stored values then go in as they are
    here = np.eye(4)  # from the voxels written to those of the source
    if not own:
        here[axis, axis] = max(source.slab / grid.zooms[axis], 1.0)
        here[axis, 3] = grid.stored_index(axis, source.frame or 0)
    if int(old["qform_code"]) > 0:
        written.set_qform(old.get_qform() @ here, int(old["qform_code"]))
    if int(old["sform_code"]) > 0:
        written.set_sform(old.get_sform() @ here, int(old["sform_code"]))
    written.header["cal_min"], written.header["cal_max"] = old["cal_min"], old["cal_max"]
    return written
