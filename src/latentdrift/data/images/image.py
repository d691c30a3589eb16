"""Image: pixels and what they mean. Nothing else crosses the boundary between a file and the rest
of latentdrift."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from latentdrift.errors import InputError

Kind = Literal["raster", "dicom", "nifti"]
Plane = Literal["axial", "coronal", "sagittal"]

REASONS = {
    "missing": "there is no such file",
    "empty": "the file holds no bytes",
    "not an image": "the content is of no format that is read here",
    "damaged": "the content contradicts its own header",
    "truncated": "the file ends before its pixels do",
    "no pixels": "a valid object without a picture in it (report, plan, index, header only)",
    "unreadable codec": "no installed decoder reads this compression",
    "unsupported": (
        "a picture of a kind that is not handled (complex numbers, unknown colour space, too large)"
    ),
    "4-D": "a series of volumes, not one",
    "no plane": "a volume, and no plane was asked for",
    "outside": "the position asked for lies outside the volume",
    "no orientation": "millimetres were asked for and the header does not say how the voxels lie",
    "other plane": "a slice of another plane than the one asked for",
    "no window": "the header's window was asked for and there is none",
    "pixel half": "the .img of a pair; its .hdr stands for both",
    "compressed": "an archive or a compressed file, which has to be unpacked first",
    "system file": "what an operating system keeps beside files",
    "localizer": "a scout image by which an examination was planned",
    "screen-save": "a saved screen, such as a dose report, and no scan",
    "segmentation": "labels that were drawn on scans, and no scan",
    "gaps": "slices of a series are missing",
    "slice of a volume": "a slice of a series of which one picture is taken",
    "blank": "a picture of one brightness under its window, although its values differ",
    "unreadable": "the system or a decoder does not let it be read",
    "link outside": "a symbolic link that leads out of the source folder",
    "too slow": "reading takes longer than a whole file of its size may",
    "too large": "reading takes more memory than a file of its size may",
    "crashed": "the decoder ended its process",
}
"""Why a file is not taken, in words short enough for a table."""


class ImageError(InputError):
    """A file that cannot be taken as an image; `reason` is a row of REASONS."""

    def __init__(self, reason: str, path: Path | str, finding: str) -> None:
        assert reason in REASONS, reason
        super().__init__(f"{path}: {' '.join(finding.split())} ({reason})")
        self.reason = reason


MAX_VALUES = 1 << 28
"""Values in one picture (16,384 squared in grey). A damaged header promises more than any memory
holds."""


def check_size(path: Path | str, *sizes: float) -> None:
    """Refuse a picture that is too large, before memory is allocated.

    Args:
        path: Its file, for messages.
        sizes: Lengths of all axes, from the header.

    Raises:
        ImageError: It has no values, or more than MAX_VALUES ("unsupported").
    """
    if not 0 < np.prod(np.array(sizes, dtype=np.float64)) <= MAX_VALUES:
        size = " x ".join(f"{n:g}" for n in sizes)
        raise ImageError(
            "unsupported",
            path,
            f"a picture of {size} values; 1 to {MAX_VALUES} are read: cut it into tiles",
        )


def check_values(path: Path | str, n_values: float) -> None:
    """Refuse a file whose pictures are too large together, before memory is allocated.

    Args:
        path: The file, for messages.
        n_values: Values of all pictures together.

    Raises:
        ImageError: More than twice MAX_VALUES ("unsupported").
    """
    if n_values > 2 * MAX_VALUES:
        finding = (
            f"its pictures hold {n_values:g} values in all; up to {2 * MAX_VALUES} are read: split "
            "the file first"
        )
        raise ImageError("unsupported", path, finding)


@dataclass(frozen=True)
class Source:
    """Place of pixels in a source file, exact enough to write an edited version back to it."""

    path: Path
    kind: Kind
    frame: int | None = None
    """Frame of a multi-frame object (from 0), or index of a slice in the RAS-oriented volume."""
    plane: Plane | None = None
    """None where the file does not say how it lies in the patient."""
    slab: float = 0.0
    """Thickness in mm over which slices were averaged; 0 for one slice."""
    uid: str | None = None
    """SOP Instance UID: kept in memory, never written to a cohort."""


@dataclass(frozen=True)
class Image:
    """One picture, as displayed: row 0 is the top, larger is brighter, and nothing is mirrored
    against the display convention."""

    pixels: np.ndarray
    """[H, W] or [H, W, 3]; integers as stored, or float32 after rescaling."""
    range: tuple[float, float]
    """The intensities that map to -1 and 1, in the unit of `pixels`."""
    unit: str = "intensity"
    spacing: tuple[float, float] | None = None
    """mm from row to row and from column to column."""
    affine: np.ndarray | None = None
    """4 x 4, from (row, column, slice) of this picture to RAS mm; None where the file does not
    say."""
    modality: str | None = None
    """DICOM defined term: MR, CT, CR, ..."""
    source: Source | None = None
    attributes: Mapping[str, str | float] = field(default_factory=dict)
    """Allow-listed header values only (age in years, sex, view, modality, body_part), and fields
    kept by name."""
    patient: str | None = None
    """Raw identity, in memory only: import turns it into a pseudonym."""
    date: str | None = None
    """Raw date YYYYMMDD, in memory only: import turns it into days since the first visit."""
    notes: tuple[str, ...] = ()
    """Notes for a person who uses the image: burned-in text, an ignored window, lost bits."""

    @property
    def plane(self) -> Plane | None:
        """Anatomical plane of the picture, from its file or its affine; None if unknown."""
        known = self.source.plane if self.source is not None else None
        return known or plane_of(self.affine)


def plane_of(affine: np.ndarray | None) -> Plane | None:
    """Anatomical plane of a picture.

    Args:
        affine: [4, 4] from (row, column, slice) to RAS mm; None: unknown.

    Returns:
        The plane whose axis lies within 37 degrees of the normal; None without one.
    """
    if affine is None:
        return None
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    along = np.abs(normal) / np.linalg.norm(normal)
    planes: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
    return planes[int(along.argmax())] if along.max() > 0.8 else None
