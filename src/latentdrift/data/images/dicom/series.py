"""DICOM series -> volumes: slices stacked by their geometry, of which one slice, slab or reformat
is taken as of any volume.

Order and spacing come from Image Position and Orientation (Patient) alone (PS3.3 C.7.6.2.1.1),
never from names or numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from latentdrift.data.images.dicom import header
from latentdrift.data.images.dicom.decode import DAMAGE, is_dicom
from latentdrift.data.images.dicom.objects import check_object
from latentdrift.data.images.dicom.reader import read_dicom
from latentdrift.data.images.image import Image, ImageError, Plane, Source
from latentdrift.data.images.intensity import Range, check_seen, choose_range, parse_window
from latentdrift.data.images.quiet import quiet
from latentdrift.data.images.volume import (
    MIDDLE,
    PLANES,
    Grid,
    check_volume_size,
    mean_slab,
    picture_affine,
    slice_index,
)

SAME = (
    "PatientID",
    "SeriesInstanceUID",
    "ImageType",
    "EchoNumbers",
    "TemporalPositionIdentifier",
    "Rows",
    "Columns",
)
"""Header fields that are equal in all slices of a volume, beside orientation and spacing: a series
may hold several echoes, phases or Dixon parts."""

GEOMETRY = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}

OFF_GRID = 0.25
"""Share of the distance between slices by which one may lie beside its place in an even stack."""

ONE_PLACE = 1e-3
"""mm below which two slices lie in one place."""

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Slice:
    """A file that holds one slice, and where it lies in the patient (LPS, mm)."""

    name: str
    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray
    rows: int
    columns: int

    @property
    def normal(self) -> np.ndarray:
        """Unit vector [3] across the slice (LPS)."""
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True)
class Series:
    """Slices of one volume, in the order in which they lie along their normal."""

    slices: tuple[Slice, ...]

    @cached_property
    def along(self) -> np.ndarray:
        """Positions of the slices along the normal, [n] in mm."""
        return np.array([slice.position @ self.slices[0].normal for slice in self.slices])

    @cached_property
    def step(self) -> float:
        """Median distance of neighbouring slices in mm; gaps do not change it."""
        return float(np.median(np.diff(self.along)))

    @cached_property
    def places(self) -> np.ndarray:
        """Positions [m] in mm along the normal, evenly spaced from the first slice to the last."""
        count = (
            round((self.along[-1] - self.along[0]) / self.step) + 1
            if self.step > ONE_PLACE
            else len(self.along)
        )
        return np.linspace(self.along[0], self.along[-1], count)

    def nearest(self, place: int) -> int:
        """Index of the slice nearest to an entry of `places`."""
        return int(np.abs(self.along - self.places[place]).argmin())

    @cached_property
    def empty(self) -> list[int]:
        """Indices in `places` at which no slice lies."""
        off = [abs(self.along[self.nearest(place)] - at) for place, at in enumerate(self.places)]
        return [place for place, distance in enumerate(off) if distance > OFF_GRID * self.step]

    def grid(self, path: Path) -> Grid:
        """Voxel grid of the volume, with the axes row, column, place.

        Args:
            path: File named in messages.
        """
        first = self.slices[0]
        last = self.slices[-1]
        affine = np.eye(4)
        affine[:3, 0] = first.orientation[3:] * first.spacing[0]
        affine[:3, 1] = first.orientation[:3] * first.spacing[1]
        affine[:3, 2] = (last.position - first.position) / max(len(self.places) - 1, 1)
        affine[:3, 3] = first.position
        affine[:3] = LPS_TO_RAS @ affine[:3]
        return Grid(path, (first.rows, first.columns, len(self.places)), affine, oriented=True)


@dataclass(frozen=True)
class SliceHeader:
    """Header values of a slice by which slices are grouped into volumes."""

    name: str
    """Name of the file below the folder of the series."""
    same: tuple[str, ...]
    """Values of SAME."""
    position: tuple[float, ...]
    """Image Position (Patient), mm."""
    orientation: tuple[float, ...]
    """Image Orientation (Patient)."""
    spacing: tuple[float, ...]
    """Pixel Spacing, mm."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values, for another process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> SliceHeader:
        """Build a header from its JSON values."""
        lists = {name: tuple(values) for name, values in stored.items() if name != "name"}
        return cls(name=stored["name"], **lists)

    @property
    def key(self) -> tuple[str | float, ...]:
        """Values that are equal in all slices of a volume."""
        geometry = (*np.round(self.orientation, 3), *np.round(self.spacing, 4))
        return (*self.same, *map(float, geometry))

    def slice(self) -> Slice:
        """The slice with its place in the patient."""
        rows, columns = (int(self.same[SAME.index(name)]) for name in ("Rows", "Columns"))
        position, orientation, spacing = map(
            np.array, (self.position, self.orientation, self.spacing)
        )
        return Slice(self.name, position, orientation, spacing, rows, columns)


def slice_header(root: Path, leave_out: Sequence[str], name: str) -> SliceHeader | None:
    """Read the header values of a file that `group` needs.

    Args:
        root: Folder of the series.
        leave_out: Excluded kinds of objects, rows of OBJECTS.
        name: Name of the file in `root`.

    Returns:
        The header; None where the file is unreadable, excluded, or no slice with a position.
    """
    try:
        with open(root / name, "rb") as file, quiet():
            if not is_dicom(file.read(132)):
                return None
            dataset = pydicom.dcmread(root / name, force=True, stop_before_pixels=True)
            check_object(root / name, dataset, leave_out)
            return _header_of(name, dataset)
    except (ImageError, *DAMAGE):
        return None  # why it cannot be taken is said when it is read


def _header_of(name: str, dataset: pydicom.Dataset) -> SliceHeader | None:
    geometry = [header.numbers(dataset, keyword, count) for keyword, count in GEOMETRY.items()]
    several = (header.number(dataset, "NumberOfFrames") or 1) > 1
    if several or header.text(dataset, "SeriesInstanceUID") is None:
        return None
    known = [tuple(values.tolist()) for values in geometry if values is not None]
    if len(known) < len(GEOMETRY):
        return None
    position, orientation, spacing = known
    same = tuple(str(header.find(dataset, keyword)) for keyword in SAME)
    return SliceHeader(name, same, position, orientation, spacing) if min(spacing) > 0 else None


def group(headers: Iterable[SliceHeader]) -> list[Series]:
    """Group slices into volumes by series and geometry; a single slice is no volume.

    Args:
        headers: From `slice_header`.
    """
    together: dict[tuple[str | float, ...], list[Slice]] = defaultdict(list)
    for slice_header in headers:
        together[slice_header.key].append(slice_header.slice())
    volumes = [slices for slices in together.values() if len(slices) > 1]
    return [
        Series(
            tuple(sorted(slices, key=lambda slice: (slice.position @ slices[0].normal, slice.name)))
        )
        for slices in volumes
    ]


def read_series(
    root: Path,
    series: Series,
    *,
    plane: Plane | None,
    position: str | None = None,
    slab: float = 0.0,
    window: str | None = None,
    keep: Iterable[str] = (),
    leave_out: Sequence[str] = (),
) -> list[Image]:
    """Read a slice or slab of a volume, in any plane.

    Args:
        root: Folder of the series.
        series: From `group`.
        plane: Plane of the picture; None is refused.
        position: Place along the normal, as in `read_nifti`; None: the middle.
        slab: Thickness in mm that is averaged; 0: one slice.
        window: Intensities that map to -1 and 1, see `parse_window`.
        keep: Further header fields; the header is that of the nearest slice.
        leave_out: Excluded kinds of objects, rows of OBJECTS.

    Raises:
        ImageError: No plane, outside, gaps, 4-D, or as `read_dicom`.
    """
    path = root / series.slices[0].name
    plane = _require_plane(path, series, plane)
    _refuse_repeats(path, series)
    grid = series.grid(path)
    check_volume_size(path, 4.0 * float(np.prod(grid.shape)))
    index = slice_index(grid, PLANES[plane], position or MIDDLE)
    axis = grid.stored_axis(PLANES[plane][0])
    through = axis == 2 and slab / grid.zooms[2] <= 1
    if series.empty and not through:
        _refuse_gaps(path, series)
    place = int(grid.stored_index(axis, index)) if axis == 2 else len(series.places) // 2
    (template,) = read_dicom(
        root / series.slices[series.nearest(place)].name, window, keep, leave_out
    )
    pixels = mean_slab(grid, plane, index, slab, _Stored(root, series, window))
    normal, rows, columns = (float(grid.zooms[grid.stored_axis(ras)]) for ras in PLANES[plane])
    gaps = ("slices of its series are missing",) if series.empty else ()
    affine = picture_affine(grid, plane, index, max(slab, normal))
    range = _range(template, pixels, window)
    check_seen(pixels, range, path)
    return [
        replace(
            template,
            pixels=pixels,
            range=range,
            spacing=(rows, columns),
            affine=affine,
            source=Source(path, "dicom", frame=round(index), plane=plane, slab=slab),
            notes=(*template.notes, *gaps),
        )
    ]


@dataclass(frozen=True)
class _Stored:
    """`volume.Slices` of a series: each file is read when it is needed, and only the part of it
    that is."""

    root: Path
    series: Series
    window: str | None

    def __call__(self, axis: int, first: int, last: int) -> np.ndarray:
        if axis == 2:
            return np.stack([self._pixels(place) for place in range(first, last + 1)])
        part = slice(first, last + 1)
        where = (part,) if axis == 0 else (slice(None), part)
        whole = np.stack(
            [self._pixels(place)[where] for place in range(len(self.series.places))], axis=2
        )
        return np.moveaxis(whole, axis, 0)

    def _pixels(self, place: int) -> np.ndarray:
        path = self.root / self.series.slices[self.series.nearest(place)].name
        (image,) = read_dicom(path, self.window)
        if image.pixels.ndim != 2:
            raise ImageError(
                "unsupported", path, "a coloured slice in a series; only grey slices are stacked"
            )
        return image.pixels


def _range(template: Image, pixels: np.ndarray, window: str | None) -> Range:
    """The header's window where it has one, else that of the picture itself."""
    path = template.source.path if template.source is not None else Path()
    own: Range | None = None
    with suppress(ImageError):
        own = read_dicom(path, "voi")[0].range
    return choose_range(parse_window(window), pixels, header=own, full=None, path=path)


def _require_plane(path: Path, series: Series, plane: Plane | None) -> Plane:
    """Plane that was given; None is refused."""
    if plane is None:
        finding = (
            f"a series of {len(series.slices)} slices: say which plane: axial, coronal or sagittal"
        )
        raise ImageError("no plane", path, finding)
    return plane


def _refuse_repeats(path: Path, series: Series) -> None:
    if np.diff(series.along).min() < ONE_PLACE:
        finding = (
            "several slices of its series lie in one place, as in a series over time; keep one of "
            "each place"
        )
        raise ImageError("4-D", path, finding)


def _refuse_gaps(path: Path, series: Series) -> None:
    where = ", ".join(f"{series.places[place]:.1f} mm" for place in series.empty[:3])
    finding = (
        f"{len(series.empty)} slices of its series are missing or lie unevenly, at {where} along "
        "its normal; only single slices in its own plane can be taken"
    )
    raise ImageError("gaps", path, finding)
