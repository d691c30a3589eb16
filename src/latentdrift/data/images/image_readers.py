"""Any image file -> Images. The content decides what a file is, never its name alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from latentdrift.data.images.dicom.decode import is_dicom
from latentdrift.data.images.dicom.reader import read_dicom
from latentdrift.data.images.formats import compression
from latentdrift.data.images.formats.nifti import header_class, read_nifti
from latentdrift.data.images.formats.raster import TIFF_MAGIC, read_raster
from latentdrift.data.images.image import Image, ImageError, Kind, Plane
from latentdrift.data.images.intensity import Window, check_seen
from latentdrift.data.images.volume import MIDDLE

HEAD = 352
"""Bytes that are enough to tell every format apart (a NIfTI-1 header ends there)."""

RASTER_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", *TIFF_MAGIC)

ANALYZE_TYPES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Data types of an ANALYZE 7.5 header, at byte 70 (Mayo Clinic, "ANALYZE 7.5 File Format")."""

OFFICE = (".xlsx", ".xlsm", ".docx", ".pptx", ".ods", ".odt")
"""ZIP archives that nobody would unpack for pictures."""

SYSTEM_FILES = {
    ".ds_store": "a view that macOS keeps of a folder",
    "thumbs.db": "thumbnails that Windows keeps of a folder",
    "desktop.ini": "settings that Windows keeps of a folder",
}
"""Name in lower case -> what it is."""

APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""How a file starts that macOS writes beside another on foreign disks, as `._scan.dcm` beside
`scan.dcm` (RFC 1740)."""


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading a file. Each reader takes those that concern it."""

    plane: Plane | None = None
    position: str = MIDDLE
    slab: float = 0.0
    window: str | Window | None = None
    keep: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


def is_nifti(head: bytes) -> bool:
    """Whether a file is NIfTI-1 or -2, single or the header of a pair.

    Args:
        head: First 352 bytes of the file, decompressed.
    """
    return header_class(head) is not None


def is_analyze(head: bytes) -> bool:
    """Whether a file is the header of an ANALYZE 7.5 pair, in either byte order.

    NIfTI has the same layout and a magic string besides.

    Args:
        head: First 352 bytes of the file, decompressed.
    """
    for order in ("little", "big"):
        size, dimensions, kind = (
            int.from_bytes(head[first:last], order) for first, last in ((0, 4), (40, 42), (70, 72))
        )
        if size == 348 and 1 <= dimensions <= 7 and kind in ANALYZE_TYPES and not is_nifti(head):
            return True
    return False


def is_raster(head: bytes) -> bool:
    """Whether a file is PNG, JPEG or TIFF.

    Args:
        head: First bytes of the file.
    """
    return head.startswith(RASTER_MAGIC)


def _read_dicom(path: Path, options: ReadOptions) -> list[Image]:
    return read_dicom(path, options.window, options.keep, options.leave_out)


def _read_nifti(path: Path, options: ReadOptions) -> list[Image]:
    return read_nifti(path, options.plane, options.position, options.slab, options.window)


def _read_raster(path: Path, options: ReadOptions) -> list[Image]:
    return read_raster(path, options.window)


READERS: dict[Kind, tuple[Callable[[bytes], bool], Callable[[Path, ReadOptions], list[Image]]]] = {
    "dicom": (is_dicom, _read_dicom),  # first: its preamble may look like TIFF
    "nifti": (is_nifti, _read_nifti),
    "raster": (is_raster, _read_raster),
}
"""Kind -> how the first bytes look, and who reads it."""


def kind_of(path: Path | str) -> Kind:
    """Kind of an image file by its content: a row of READERS.

    Raises:
        ImageError: Missing, empty, compressed, system file, pixel half, truncated, unsupported, or
            not an image.
    """
    path = Path(path)
    start, head = _head(path)
    kind = next((kind for kind, (recognised, _) in READERS.items() if recognised(head)), None)
    if kind is not None and kind != "nifti" and compression.is_compressed(start):
        raise ImageError(
            "compressed",
            path,
            f"a compressed {kind} file; only NIfTI is read through compression: unpack it first",
        )
    return kind or _refuse(path, start, head)


def _refuse(path: Path, start: bytes, head: bytes) -> Kind:
    """Say what a file is that no reader takes."""
    system = SYSTEM_FILES.get(path.name.lower())
    if start.startswith(APPLE_DOUBLE):
        system = f"what macOS keeps beside {path.name.removeprefix('._')}"
    if system is not None:
        raise ImageError("system file", path, f"{system}, and no picture")
    archive = compression.archive_name(head)
    if archive is not None and path.suffix.lower() not in OFFICE:
        raise ImageError(
            "compressed", path, f"{archive}: unpack it first, then give the folder with its files"
        )
    if is_analyze(head):
        finding = (
            "an ANALYZE 7.5 header, which does not say where the patient's left is; convert the "
            "pair to NIfTI first"
        )
        raise ImageError("unsupported", path, finding)
    stem = path.name.lower().removesuffix(".gz").removesuffix(".bz2")
    header = path.with_name(path.name[: len(stem) - 4] + ".hdr")
    if stem.endswith(".img") and header.exists():
        raise ImageError("pixel half", path, f"the pixels of {header.name}, which stands for both")
    raise ImageError("not an image", path, "the content is not PNG, JPEG, TIFF, DICOM or NIfTI")


def read(
    path: Path | str,
    *,
    plane: Plane | None = None,
    position: str = MIDDLE,
    slab: float = 0.0,
    window: str | Window | None = None,
    keep: Iterable[str] = (),
    leave_out: Iterable[str] = (),
) -> list[Image]:
    """Read every picture in a file: TIFF pages, DICOM frames, or one slice of a volume.

    Args:
        path: Image file of any format.
        plane, position, slab: Slice of a volume; see `read_nifti`.
        window: Intensities that map to -1 and 1; see `parse_window`.
        keep: DICOM header fields beyond the allow-list.
        leave_out: DICOM objects that are refused, rows of `dicom_objects.OBJECTS`.

    Raises:
        ImageError: The file cannot be used; `reason` is a row of REASONS.
        OptionError: An argument cannot be parsed.
    """
    path = Path(path)
    _, reader = READERS[kind_of(path)]
    images = reader(path, ReadOptions(plane, position, slab, window, tuple(keep), tuple(leave_out)))
    for image in images:
        check_seen(image.pixels, image.range, path)
    return images


def _head(path: Path) -> tuple[bytes, bytes]:
    """The first bytes of a file: as they lie there, and unpacked."""
    if not path.is_file():
        raise ImageError(
            "missing",
            path,
            "this is a folder, not a file" if path.is_dir() else "there is no such file",
        )
    try:
        with open(path, "rb") as file:
            start = file.read(HEAD)
        with compression.open_unpacked(path) as file:
            head = file.read(HEAD)
    except compression.DAMAGE as error:
        raise ImageError(
            "truncated", path, f"the compressed file cannot be unpacked: {error}"
        ) from error
    except OSError as error:
        raise ImageError(
            "damaged", path, f"the file cannot be read: {error.strerror or error}"
        ) from error
    if not start:
        raise ImageError("empty", path, "the file holds no bytes")
    return start, head
