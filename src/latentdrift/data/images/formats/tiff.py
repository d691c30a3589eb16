"""TIFF pages as they are stored: every integer and float type, byte order and planar layout."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile  # comes with scikit-image

from latentdrift.data.images.image import ImageError, check_size, check_values

logging.getLogger("tifffile").setLevel(
    logging.CRITICAL
)  # what it finds odd is judged here, not printed

ORIENTATIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
"""TIFF 6.0, section 8, tag 274: what turns the stored rows and columns upright."""

_GREY = (tifffile.PHOTOMETRIC.MINISWHITE, tifffile.PHOTOMETRIC.MINISBLACK)
_COLOURS = (*_GREY, tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.PALETTE)
_CODECS = (
    tifffile.COMPRESSION.NONE,
    tifffile.COMPRESSION.DEFLATE,
    tifffile.COMPRESSION.ADOBE_DEFLATE,
    tifffile.COMPRESSION.LZMA,
)
_BITS = (1, 8, 16, 32, 64)
"""Sample sizes and compressions that tifffile decodes without the optional imagecodecs; Pillow's
libtiff reads the others."""

_PILLOWS_BITS = (2, 4, 12)
"""Bits of a sample that Pillow unpacks."""

MAX_PAGES = 4096
"""Pages of one file."""


def tiff_pages(path: Path) -> list[np.ndarray] | None:
    """Read the pages of a TIFF file as they are stored; reduced copies of a page are skipped.

    Returns:
        Pages [H, W] or [H, W, 2 | 3 | 4]: grey, grey with alpha, RGB, RGBA. None where a page has a
        compression, colour space or bit depth that only Pillow reads.

    Raises:
        ImageError: No complete page ("truncated"), or compressed 16-bit colour planes ("unreadable
            codec").
    """
    with tifffile.TiffFile(path) as file:
        pages = _pages(path, file)
        if not pages:
            raise ImageError("truncated", path, "the TIFF file has no complete page")
        if not all(_is_decoded(page) for page in pages):
            if any(
                page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.bitspersample > 8
                for page in pages
            ):
                raise ImageError(
                    "unreadable codec",
                    path,
                    "16-bit colour planes so compressed; save it with deflate",
                )
            return None
        return [_samples(path, page) for page in pages if not page.is_reduced] or [
            _samples(path, pages[0])
        ]


def _is_decoded(page: tifffile.TiffPage) -> bool:
    """Whether tifffile decodes a page by itself."""
    colours = page.photometric in _COLOURS and page.bitspersample in _BITS
    return colours and page.compression in _CODECS and page.predictor <= 2


def _pages(path: Path, file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The pages in their order; each is reached through the one before, so a chain may be endless
    (TIFF 6.0, section 2)."""
    pages: list[tifffile.TiffPage] = []
    for page in file.pages:
        if not isinstance(page, tifffile.TiffPage):
            continue
        if len(page.shape) < 2 or 0 in page.shape:
            raise ImageError("damaged", path, f"page {len(pages) + 1} has no rows and columns")
        if len(pages) == MAX_PAGES:
            raise ImageError(
                "unsupported", path, f"a TIFF of more than {MAX_PAGES} pages; split it first"
            )
        check_size(path, *page.shape)
        if page.bitspersample not in (*_BITS, *_PILLOWS_BITS):
            known = ", ".join(map(str, sorted((*_BITS, *_PILLOWS_BITS))))
            finding = (
                f"a TIFF of {page.bitspersample} bits a sample; {known} are read: save it with 16"
            )
            raise ImageError("unsupported", path, finding)
        if page.bitspersample == 12 and not _is_plain_12_bit(page):
            finding = (
                "a TIFF of 12 bits a sample that is big-endian or has white as 0; save it with 16"
            )
            raise ImageError("unsupported", path, finding)
        pages.append(page)
    check_values(path, sum(float(np.prod([float(n) for n in page.shape])) for page in pages))
    return pages


def _is_plain_12_bit(page: tifffile.TiffPage) -> bool:
    """Whether Pillow reads a page of 12 bits a sample (Pillow, TiffImagePlugin, OPEN_INFO)."""
    is_black_zero = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
    return page.parent.byteorder == "<" and is_black_zero


def _samples(path: Path, page: tifffile.TiffPage) -> np.ndarray:
    array = page.asarray()
    if array.shape != page.shape:
        raise ImageError("damaged", path, "the page has no pixels where its header promises them")
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    if page.axes not in ("YX", "YXS", "SYX") or array.dtype.kind not in "biuf":
        raise ImageError(
            "unsupported",
            path,
            f"the page has axes {page.axes} of type {array.dtype}, not rows and columns",
        )
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * np.uint8(255)
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        array = _palette(page)[array]
    elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u":
        array = np.subtract(np.iinfo(array.dtype).max, array, dtype=array.dtype)
    orientation = page.tags[274].value if 274 in page.tags else 1
    return ORIENTATIONS.get(orientation, ORIENTATIONS[1])(_with_alpha_only(page, array))


def _palette(page: tifffile.TiffPage) -> np.ndarray:
    """[entries, 3]; TIFF 6.0 tag 320 holds 16 bits, which most writers fill with 8-bit values times
    256 or 257."""
    colours = np.moveaxis(np.asarray(page.colormap), 0, -1)
    return np.asarray(colours >> 8, dtype=np.uint8) if page.bitspersample <= 8 else colours


def _with_alpha_only(page: tifffile.TiffPage, array: np.ndarray) -> np.ndarray:
    """Image without extra samples (TIFF 6.0 tag 338), except unassociated alpha: with associated
    alpha the colours lie over black already."""
    if array.ndim == 2:
        return array
    colours = 1 if page.photometric in _GREY else 3
    if (
        page.extrasamples
        and page.extrasamples[0] == tifffile.EXTRASAMPLE.UNASSALPHA
        and array.dtype.kind == "u"
    ):
        return array[..., : colours + 1]
    return array[..., 0] if colours == 1 else array[..., :3]
