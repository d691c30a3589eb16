"""Any image file -> Images. The content decides what a file is, never its name alone."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from latentdrift.data.dicom import read_dicom
from latentdrift.data.dicom_decode import is_dicom
from latentdrift.data.image import Image, ImageError, Kind, Plane
from latentdrift.data.intensity import Window
from latentdrift.data.nifti import read_nifti
from latentdrift.data.raster import TIFF_MAGIC, read_raster

HEAD = 352
"""Bytes that are enough to tell every format apart (a NIfTI-1 header ends there)."""

GZIP = b"\x1f\x8b"
RASTER_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", *TIFF_MAGIC)
NIFTI_SIZES = {348: (344, (b"n+1\0", b"ni1\0")), 540: (4, (b"n+2\0", b"ni2\0"))}
"""Header size, which a NIfTI file begins with in either byte order -> where its magic string lies and what it is."""


@dataclass(frozen=True)
class Asked:
    """What is wanted of a file; each reader takes its part."""

    plane: Plane | None = None
    position: str = "50%"
    slab: float = 0.0
    window: str | Window | None = None
    keep: tuple[str, ...] = ()


def is_nifti(head: bytes) -> bool:
    """NIfTI-1 or -2, in one file or the header of a pair."""
    for order in ("little", "big"):
        offset, magics = NIFTI_SIZES.get(int.from_bytes(head[:4], order), (0, ()))  # type: ignore[arg-type]
        if head[offset : offset + 4] in magics:
            return True
    return False


def is_raster(head: bytes) -> bool:
    """PNG, JPEG or TIFF."""
    return head.startswith(RASTER_MAGIC)


READERS: dict[Kind, tuple[Callable[[bytes], bool], Callable[[Path, Asked], list[Image]]]] = {
    "dicom": (is_dicom, lambda path, asked: read_dicom(path, asked.window, asked.keep)),  # first: its preamble may look like TIFF
    "nifti": (is_nifti, lambda path, asked: read_nifti(path, asked.plane, asked.position, asked.slab, asked.window)),
    "raster": (is_raster, lambda path, asked: read_raster(path, asked.window)),
}
"""Kind -> how the first bytes look, and who reads it."""


def kind_of(path: Path | str) -> Kind:
    """The row of READERS that a file's content belongs to.

    Raises:
        ImageError: missing, empty, pixel half, truncated, or not an image.
    """
    path = Path(path)
    head = _head(path)
    for kind, (recognised, _) in READERS.items():
        if recognised(head):
            return kind
    if path.suffix.lower() == ".img" and path.with_suffix(".hdr").exists():
        raise ImageError("pixel half", path, f"the pixels of {path.with_suffix('.hdr').name}, which is read instead")
    raise ImageError("not an image", path, "the content is not PNG, JPEG, TIFF, DICOM or NIfTI")


def read(
    path: Path | str,
    *,
    plane: Plane | None = None,
    position: str = "50%",
    slab: float = 0.0,
    window: str | Window | None = None,
    keep: Iterable[str] = (),
) -> list[Image]:
    """Every picture in a file: the pages of a TIFF, the frames of a DICOM object, one slice of a volume, else one.

    Args:
        plane, position, slab: which slice of a volume; see `read_nifti`.
        window: which intensities map to [-1, 1]; see `parse_window`.
        keep: DICOM header fields beyond the allow-list.

    Raises:
        ImageError: the file cannot be taken; `reason` is a row of REASONS.
        OptionError: an argument is not understood.
    """
    path = Path(path)
    _, reader = READERS[kind_of(path)]
    return reader(path, Asked(plane, position, slab, window, tuple(keep)))


def _head(path: Path) -> bytes:
    if not path.is_file():
        raise ImageError("missing", path, "this is a folder, not a file" if path.is_dir() else "there is no such file")
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
        if head.startswith(GZIP):
            with gzip.open(path) as file:
                return file.read(HEAD)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError("truncated", path, f"the compressed file cannot be unpacked: {error}") from error
    except OSError as error:
        raise ImageError("damaged", path, f"the file cannot be read: {error.strerror or error}") from error
    if not head:
        raise ImageError("empty", path, "the file holds no bytes")
    return head
