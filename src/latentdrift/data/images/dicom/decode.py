"""DICOM pixel data -> arrays of stored values: every transfer syntax that has a decoder, every way
to have none."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from latentdrift.data.images.dicom.header import BAD_VALUE, number, text
from latentdrift.data.images.image import ImageError, check_size, check_values

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

PALETTE = "PALETTE COLOR"
RGB_AFTER_DECODING = ("RGB", "YBR_RCT", "YBR_ICT")
"""Colour spaces that arrive as RGB: JPEG 2000 undoes its own transform, and YBR_FULL(_422) is
converted on the way."""

DAMAGE = (
    *BAD_VALUE,
    RuntimeError,
    OSError,
    EOFError,
    ArithmeticError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
)
"""Errors of pydicom and its decoders on a damaged file."""

REQUIRED = (
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "SamplesPerPixel",
    "PhotometricInterpretation",
)
"""Without these (PS3.3 C.7.6.3, type 1) nobody can say where a row ends."""

MAX_FRAMES = 8192
"""Frames of one object; more are tiles of a slide, or damage."""

MAX_INFLATED = 1 << 29
"""Bytes of a deflated object."""

_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
_PIXEL_DATA_TAGS = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")  # (7FE0,0010) in both byte orders


def is_dicom(head: bytes) -> bool:
    """Whether a file is DICOM, with or without a preamble (PS3.10 7.1).

    Args:
        head: First 132 bytes of the file.
    """
    if head[128:132] == b"DICM":
        return True
    for order in "<>":
        if len(head) >= 8:
            group, element = struct.unpack(f"{order}HH", head[:4])
            explicit = head[4:6].isalpha() and head[4:6].isupper()
            length = struct.unpack(f"{order}I", head[4:8])[0]
            if group in (0x0002, 0x0008) and element <= 0x0070 and (explicit or length <= 64):
                return True
    return False


def load(path: Path) -> Dataset:
    """Read a DICOM object with pixels; preamble and meta header may be absent.

    Returns:
        The dataset, with its transfer syntax known; pixels are not decoded yet.

    Raises:
        ImageError: Not DICOM, damaged, truncated, missing, or without pixels.
    """
    try:
        with open(path, "rb") as file:
            if not is_dicom(file.read(132)):
                raise ImageError("not an image", path, "the content is not DICOM")
            _check_inflated(path, file)
        dataset = pydicom.dcmread(path, force=True)
        has_pixels = any(keyword in dataset for keyword in PIXELS)
    except FileNotFoundError as error:
        raise ImageError("missing", path, "there is no such file") from error
    except DAMAGE as error:
        raise ImageError("damaged", path, f"the DICOM header cannot be read: {error}") from error
    if not has_pixels:
        _refuse_without_pixels(path, dataset)
    missing = [keyword for keyword in REQUIRED if text(dataset, keyword) is None]
    if missing:
        raise ImageError("damaged", path, f"the header has pixels but lacks {', '.join(missing)}")
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    implicit, little = dataset.original_encoding
    read_as = (
        ImplicitVRLittleEndian
        if implicit
        else ExplicitVRLittleEndian
        if little
        else ExplicitVRBigEndian
    )
    dataset.file_meta.TransferSyntaxUID = UID(
        text(dataset.file_meta, "TransferSyntaxUID") or read_as
    )
    return dataset


def _check_inflated(path: Path, file: BinaryIO) -> None:
    """Refuse a deflated object (PS3.5 A.5) that takes more than MAX_INFLATED, before pydicom
    inflates it whole."""
    file.seek(0)
    start = file.read(
        144
    )  # preamble, prefix and the length of the group that follows, (0002,0000) UL (PS3.10 7.1)
    if start[132:138] != b"\x02\0\0\0UL":
        return
    meta = file.read(int.from_bytes(start[140:144], "little"))
    if _DEFLATED not in meta:
        return
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    n_bytes = 0
    while (packed := stream.unconsumed_tail or file.read(1 << 16)) and n_bytes <= MAX_INFLATED:
        n_bytes += len(stream.decompress(packed, 1 << 20))
    if n_bytes > MAX_INFLATED:
        finding = (
            f"the object inflates to more than {MAX_INFLATED >> 20} MiB; save it in another "
            "transfer syntax, or split it"
        )
        raise ImageError("unsupported", path, finding)


def _check_frames(path: Path, dataset: Dataset) -> None:
    """Refuse an object of more than MAX_FRAMES frames, or of more values than memory should
    hold."""
    n_frames = number(dataset, "NumberOfFrames") or 1
    if n_frames > MAX_FRAMES:
        raise ImageError(
            "unsupported",
            path,
            f"an object of {n_frames:g} frames; up to {MAX_FRAMES} are read: split it first",
        )
    check_values(
        path,
        n_frames
        * float(
            np.prod([float(n) for n in (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)])
        ),
    )


def _refuse_without_pixels(path: Path, dataset: Dataset) -> None:
    if (number(dataset, "Rows") or not len(dataset)) and any(
        tag in path.read_bytes() for tag in _PIXEL_DATA_TAGS
    ):
        raise ImageError("truncated", path, "the file ends inside its pixel data")
    if not len(dataset):
        raise ImageError("damaged", path, "the DICOM header has no readable attribute")
    meta = getattr(dataset, "file_meta", Dataset())
    name = (
        UID(text(dataset, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID") or "").name
        or "DICOM object"
    )
    rows = text(dataset, "Rows") or "absent"
    raise ImageError("no pixels", path, f"this {name} has no pixel data (Rows (0028,0010): {rows})")


def frames(path: Path, dataset: Dataset) -> Iterator[np.ndarray]:
    """Decode the frames of a DICOM object, one after another.

    Args:
        path: Its file, for messages.
        dataset: From `load`.

    Returns:
        Stored values [H, W], or RGB colours [H, W, 3], of each frame.

    Raises:
        ImageError: Unreadable codec, unsupported colour space, truncated, or damaged.
    """
    syntax: UID = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageError(
            "unreadable codec", path, f"the transfer syntax {syntax.name} has no decoder"
        ) from error
    if not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise ImageError(
            "unreadable codec", path, f"no decoder for {syntax.name} is installed: {missing}"
        )
    try:
        check_size(path, dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
        _check_frames(path, dataset)
        _check_length(path, dataset, syntax)
        options: dict[str, Any] = {}
        if syntax == RLELossless:
            options["decoding_plugin"] = (
                "pydicom"  # pylibjpeg-rle panics on damaged data, past every except
            )
        if _own_bits(syntax):
            options["correct_unused_bits"] = (
                False  # padding is looked for in whole words, before `stored_bits`
            )
        for stored, properties in decoder.iter_array(dataset, raw=False, **options):
            array = _colours(path, dataset, stored, str(properties["photometric_interpretation"]))
            yield array.astype(array.dtype.newbyteorder("="), copy=False)
    except ImageError:
        raise
    except DAMAGE as error:
        raise ImageError(
            "damaged", path, f"the pixel data cannot be decoded: {' '.join(str(error).split())}"
        ) from error


def _check_length(path: Path, dataset: Dataset, syntax: UID) -> None:
    """Pixels that are not encapsulated have a known length (PS3.5 8.1.1)."""
    if not syntax.is_encapsulated and "PixelData" in dataset:
        expected = get_expected_length(dataset)
        length = len(dataset.PixelData)
        if length < expected:
            raise ImageError(
                "truncated",
                path,
                f"the pixel data has {length} bytes where its header promises {expected}",
            )


def _colours(path: Path, dataset: Dataset, array: np.ndarray, photometric: str) -> np.ndarray:
    if photometric == PALETTE:
        return apply_color_lut(stored_bits(dataset, array), dataset)[
            ..., :3
        ]  # a fourth channel would be alpha (PS3.3 C.7.9)
    if array.ndim == 2 or photometric in RGB_AFTER_DECODING:
        return array
    raise ImageError(
        "unsupported",
        path,
        f"the photometric interpretation {photometric} is not grey, RGB, YBR or palette",
    )


def _own_bits(syntax: UID) -> bool:
    """Whether the words are as they lie in the file, with whatever is in their unused bits."""
    return not syntax.is_encapsulated or syntax == RLELossless


def stored_bits(dataset: Dataset, array: np.ndarray) -> np.ndarray:
    """Mask and shift decoded values to the bits that hold the pixel (PS3.5 8.1.1).

    The other bits may hold overlays. Codecs that bring their own precision are not changed.

    Args:
        dataset: Header with BitsAllocated, BitsStored and HighBit.
        array: Decoded integers of any shape.

    Returns:
        Array of the shape and item size of `array`.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    allocated = number(dataset, "BitsAllocated")
    stored = number(dataset, "BitsStored")
    if (
        not _own_bits(syntax)
        or array.dtype.kind not in "iu"
        or not allocated
        or not stored
        or not 1 < stored < allocated
    ):
        return array
    high = number(dataset, "HighBit")
    shift = int(high + 1 - stored) if high is not None and stored <= high + 1 <= allocated else 0
    bits = array.view(f"u{array.dtype.itemsize}") >> shift & ((1 << int(stored)) - 1)
    if array.dtype.kind == "u":
        return bits
    sign = 1 << int(stored) - 1
    return ((bits ^ sign).astype(np.int64) - sign).astype(array.dtype)
