"""PNG, JPEG and TIFF -> Images, one per page, with every bit the file holds."""

from __future__ import annotations

import lzma
import struct
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image as Pillow
from PIL import ImageFile, ImageOps, UnidentifiedImageError

from latentdrift.data.images.formats.tiff import tiff_pages
from latentdrift.data.images.image import Image, ImageError, Source, check_size, check_values
from latentdrift.data.images.intensity import (
    Range,
    Window,
    choose_range,
    parse_window,
    without_gaps,
)
from latentdrift.data.images.quiet import quiet

FORMATS = ("PNG", "JPEG", "TIFF")
"""Pillow's names. Of a JPEG with further pictures behind it (MPO) the first is taken."""

TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Little and big endian, classic and BigTIFF."""

DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    tifffile.TiffFileError,
)
"""Errors of Pillow and tifffile on a damaged file."""

CUT_SHORT = (
    "truncated",
    "failed to read",
    "end-of-stream",
    "incomplete",
    "unexpected end",
    "not enough image data",
)
"""Parts of their messages for a file that ends too early."""

_AS_IS = ("L", "LA", "RGB", "RGBA", "F", "I", "I;16", "I;16B", "I;16L", "I;16N")
_OPAQUE = {"1": "L", "La": "LA", "RGBa": "RGBA", "PA": "RGBA"}
_TRANSPARENT = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}


def read_raster(path: Path | str, window: str | Window | None = None) -> list[Image]:
    """Read every page of a PNG, JPEG or TIFF file.

    Orientation tags are applied, and palettes are resolved. Opaque alpha is dropped; real
    transparency is laid over black. Colour whose channels are equal everywhere becomes grey.
    Nothing about the patient is read from EXIF.

    Args:
        path: The file.
        window: Intensities that map to -1 and 1, see `parse_window`; None: the full range.

    Raises:
        ImageError: Truncated, damaged, unsupported, or not an image of these formats.
        OptionError: A window that cannot be parsed.
    """
    path = Path(path)
    window = parse_window(window)
    with quiet():
        pages = _pages(path)
    images = []
    for index, (pixels, notes) in enumerate(pages):
        range = choose_range(window, pixels, header=None, full=full_range(pixels), path=path)
        source = Source(path, "raster", frame=index if len(pages) > 1 else None)
        images.append(Image(pixels, range, source=source, notes=notes))
    return images


def full_range(pixels: np.ndarray) -> Range | None:
    """Limits of the number format for uint8 and uint16; None for other types."""
    return (
        (0.0, float(np.iinfo(pixels.dtype).max)) if pixels.dtype in (np.uint8, np.uint16) else None
    )


def _pages(path: Path) -> list[tuple[np.ndarray, tuple[str, ...]]]:
    try:
        with open(path, "rb") as file:
            tiff = file.read(4) in TIFF_MAGIC
        pages = tiff_pages(path) if tiff else None
        if pages is not None:
            return [(_over_black(page), ()) for page in pages]
        with Pillow.open(path, formats=FORMATS) as picture:
            n_pages = getattr(picture, "n_frames", 1) if tiff else 1
            check_size(path, picture.height, picture.width)
            check_values(path, float(n_pages) * picture.height * picture.width)
            return [_page(path, picture, index) for index in range(n_pages)]
    except UnidentifiedImageError as error:
        raise ImageError(
            "damaged", path, "the file begins like a picture and cannot be read as one"
        ) from error
    except Pillow.DecompressionBombError as error:
        raise ImageError(
            "unsupported", path, f"{error}; cut the picture into tiles first"
        ) from error
    except DAMAGE as error:
        reason = "truncated" if any(word in str(error).lower() for word in CUT_SHORT) else "damaged"
        raise ImageError(reason, path, f"the pixels cannot be decoded: {error}") from error


def _page(
    path: Path, picture: ImageFile.ImageFile, index: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """A page as [H, W] or [H, W, 3], and what should be said about it."""
    picture.seek(index)
    check_size(path, picture.height, picture.width, len(picture.getbands()))
    notes = ("synthetic",) if "Synthetic" in picture.info else ()
    rawmode = _rawmode(picture)
    if picture.format == "PNG" and rawmode in ("RGB;16B", "RGBA;16B"):
        return _over_black(_all_sixteen_bits(path, picture)), notes
    if picture.mode in ("LA", "RGB", "RGBA", "CMYK") and ";16" in rawmode:
        notes = (*notes, "16-bit samples were read at 8 bits")
    return _over_black(_samples(picture)), notes


def _samples(picture: ImageFile.ImageFile) -> np.ndarray:
    """Upright samples of a page: [H, W] or [H, W, 2 | 3 | 4], at 8 bits unless they are grey."""
    white_is_zero = (
        getattr(picture, "tag_v2", {}).get(262) == 0
    )  # TIFF 6.0, PhotometricInterpretation
    inverted = white_is_zero and picture.mode.startswith("I;16")  # Pillow inverts it at 8 bits only
    twelve = _rawmode(picture) == "I;12"
    transparent = "transparency" in picture.info
    upright = ImageOps.exif_transpose(picture)
    target = (_OPAQUE | (_TRANSPARENT if transparent else {})).get(upright.mode, "RGB")
    if upright.mode not in _AS_IS or (transparent and upright.mode in _TRANSPARENT):
        upright = upright.convert(target)
    samples = np.array(upright)
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if twelve:  # stretched to 16 bits, as Pillow stretches 2 and 4 bits to 8
        samples = samples << 4 | samples >> 8
    return np.iinfo(np.uint16).max - samples if inverted else samples


def _rawmode(picture: ImageFile.ImageFile) -> str:
    """How Pillow unpacks the file's bytes, e.g. `RGB;16B`."""
    arguments = picture.tile[0][3] if picture.tile else ""
    return (
        arguments
        if isinstance(arguments, str)
        else next((a for a in arguments or () if isinstance(a, str)), "")
    )


def _all_sixteen_bits(path: Path, picture: ImageFile.ImageFile) -> np.ndarray:
    """16-bit colour PNG: Pillow keeps the first byte of each sample; told the other byte order, it
    keeps the second."""
    first = np.array(ImageOps.exif_transpose(picture)).astype(np.uint16)
    with Pillow.open(path, formats=FORMATS) as again:
        again.tile = [
            tile._replace(args=_rawmode(again).replace(";16B", ";16L")) for tile in again.tile
        ]
        second = np.array(ImageOps.exif_transpose(again)).astype(np.uint16)
    return (first << 8) | second


def _over_black(samples: np.ndarray) -> np.ndarray:
    """Alpha laid over black where it is not opaque; equal channels made one; gaps filled."""
    if samples.ndim == 3 and samples.shape[-1] in (2, 4):
        colour = samples[..., :-1]
        alpha = samples[..., -1:]
        opaque = np.iinfo(samples.dtype).max
        if (alpha != opaque).any():
            colour = np.rint(colour * (alpha / opaque)).astype(samples.dtype)
        samples = colour
    if samples.ndim == 3 and (samples == samples[..., :1]).all():
        samples = samples[..., 0]
    return np.ascontiguousarray(without_gaps(samples) if samples.dtype.kind == "f" else samples)
