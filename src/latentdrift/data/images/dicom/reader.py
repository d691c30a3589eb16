"""DICOM -> Images: stored values through the grey-scale pipeline of PS3.3 (modality, VOI,
presentation)."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset

from latentdrift.data.images.dicom import header
from latentdrift.data.images.dicom.decode import DAMAGE, PALETTE, frames, load, stored_bits
from latentdrift.data.images.dicom.objects import check_object
from latentdrift.data.images.image import Image, ImageError, Source
from latentdrift.data.images.intensity import (
    Range,
    Window,
    as_dtype,
    choose_range,
    parse_window,
    without_gaps,
)
from latentdrift.data.images.quiet import quiet

CT_FLOOR = -1024.0
"""HU below which a CT pixel is padding: vacuum is -1000 by definition (PS3.3 C.11.1.1.2), and
scanners that write a pad value without declaring it use raw values such as -2000 or -2048 beneath
everything they measure."""

NOTES = {  # DICOM flag whose value YES a person should know about
    "BurnedInAnnotation": "burned-in text, which may identify the patient",
    "RecognizableVisualFeatures": "features by which the patient may be recognised",
    "SyntheticData": "synthetic",
}


UNITS = ("RescaleSlope", "RescaleIntercept", "DoseGridScaling")
"""Header values without which nobody knows what a pixel's number means."""


def read_dicom(
    path: Path | str,
    window: str | Window | None = None,
    keep: Iterable[str] = (),
    leave_out: Container[str] = (),
) -> list[Image]:
    """Read every frame of a DICOM object.

    Grey pixels are in the modality's unit (HU for CT), with the VOI window as their range. A VOI
    that is not linear (a table, a sigmoid) is applied to the pixels. MONOCHROME1 is mirrored within
    the range, so that larger is brighter. Padding does not affect the range, and lies at its dark
    end. Overlays are left out. The first window counts, and a window before a table.

    Args:
        path: DICOM file.
        window: See `parse_window`; LOW,HIGH are in the modality's unit. None: the header's, else
            full.
        keep: Header fields to keep beyond the allow-list, by keyword or tag.
        leave_out: Rows of OBJECTS that are refused.

    Raises:
        ImageError: The file cannot be used; `reason` says why.
        OptionError: A field of `keep` or the window cannot be parsed.
    """
    path = Path(path)
    window = parse_window(window)
    keep = tuple(keep)
    for name in keep:
        header.field_tag(name)
    with quiet():
        dataset = load(path)
        check_object(path, dataset, leave_out)
        arrays = list(frames(path, dataset))
        try:
            several = len(arrays) > 1
            return [
                _image(path, dataset, array, frame if several else None, window, keep)
                for frame, array in enumerate(arrays)
            ]
        except DAMAGE as error:
            raise ImageError(
                "damaged",
                path,
                f"the header contradicts the pixels: {' '.join(str(error).split())}",
            ) from error


def _image(
    path: Path,
    dataset: Dataset,
    array: np.ndarray,
    frame: int | None,
    window: Window,
    keep: tuple[str, ...],
) -> Image:
    at = frame or 0
    attributes = header.attributes(dataset, keep)
    notes = (*_notes(dataset), *header.remarks(dataset, at))
    pixels = _colour(dataset, array) if array.ndim == 3 else _grey(dataset, array, at, window, path)
    return Image(
        pixels=pixels.pixels,
        range=pixels.range,
        unit=pixels.unit,
        notes=(*notes, *pixels.notes),
        spacing=header.spacing(dataset, at),
        affine=header.affine(dataset, at),
        modality=str(attributes["modality"]) if "modality" in attributes else None,
        attributes=attributes,
        patient=header.text(dataset, "PatientID"),
        date=header.study_date(dataset),
        source=Source(path, "dicom", frame=frame, uid=header.text(dataset, "SOPInstanceUID")),
    )


@dataclass(frozen=True)
class DisplayedFrame:
    """A frame after the grey-scale pipeline."""

    pixels: np.ndarray
    range: Range
    unit: str = "intensity"
    notes: tuple[str, ...] = ()


def _notes(dataset: Dataset) -> tuple[str, ...]:
    return tuple(
        note
        for keyword, note in NOTES.items()
        if (header.text(dataset, keyword) or "").upper() == "YES"
    )


def _colour(dataset: Dataset, array: np.ndarray) -> DisplayedFrame:
    stored = header.number(dataset, "BitsStored") or 8 * array.dtype.itemsize
    if header.text(dataset, "PhotometricInterpretation") == PALETTE:
        stored = 8 * array.dtype.itemsize  # the table's depth, not the index's
    else:
        array = stored_bits(dataset, array)
    grey = (array == array[..., :1]).all()
    return DisplayedFrame(
        np.ascontiguousarray(array[..., 0] if grey else array), (0.0, 2.0**stored - 1)
    )


def _grey(
    dataset: Dataset, array: np.ndarray, frame: int, window: Window, path: Path
) -> DisplayedFrame:
    unit = _unit(dataset)
    stored = stored_bits(dataset, array)
    padding = _padding(dataset, array) | _padding(
        dataset, stored
    )  # written into the whole word, or only into the bits in use
    values = _modality(dataset, stored, frame, path)
    if unit == "HU":
        padding |= values < CT_FLOOR
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.any():
            raise ImageError("damaged", path, "no pixel has a finite value after the rescale")
        padding |= ~finite
        values = without_gaps(values)
    if padding.all():
        padding[...] = False
    voi: Range | None = None
    notes: tuple[str, ...] = ()
    if window.kind in ("header", "voi"):
        values, voi, unit, notes = _voi(dataset, values, frame, unit)
    if header.number(dataset, "RescaleSlope", frame) == 0:
        notes = (*notes, "its RescaleSlope is 0 and is left out")
    range = choose_range(
        window, values[~padding], header=voi, full=_full(dataset, values), path=path
    )
    if (
        header.text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    ):  # the smallest value is white (PS3.3 C.7.6.3.1.2)
        values = _fitting(range[0] + range[1] - values.astype(np.float64), values.dtype)
    if padding.any():
        values = values.copy()
        values[padding] = as_dtype(np.minimum(values[~padding].min(), range[0]), values.dtype)
    return DisplayedFrame(np.ascontiguousarray(values), range, unit, notes)


def _padding(dataset: Dataset, array: np.ndarray) -> np.ndarray:
    """Mask of stored values that are Pixel Padding Value (to Range Limit) (PS3.3 C.7.5.1.1.2),
    whichever sign the header gives them."""
    first = header.number(dataset, "PixelPaddingValue")
    last = header.number(dataset, "PixelPaddingRangeLimit")
    if first is None or array.dtype.kind not in "iu":
        return np.zeros(array.shape, dtype=bool)
    bits = 8 * array.dtype.itemsize
    ends = [int(end) % (1 << bits) for end in (first, first if last is None else last)]
    if array.dtype.kind == "i":
        ends = [end - (1 << bits) if end >> (bits - 1) else end for end in ends]
    return (array >= min(ends)) & (array <= max(ends))


def _unit(dataset: Dataset) -> str:
    """HU where a CT has been rescaled to them (its default, PS3.3 C.11.1.1.2), the declared unit of
    a PET, else `intensity`."""
    modality = header.text(dataset, "Modality")
    declared = (header.text(dataset, "RescaleType") or "HU").upper()
    if (
        modality == "CT"
        and header.number(dataset, "RescaleIntercept") is not None
        and declared.startswith("H")
    ):
        return "HU"
    return header.text(dataset, "Units") or "intensity" if modality == "PT" else "intensity"


def _modality(dataset: Dataset, stored: np.ndarray, frame: int, path: Path) -> np.ndarray:
    """Modality LUT or rescale (PS3.3 C.11.1); integers stay integers where there is nothing to
    do."""
    table = header.find(dataset, "ModalityLUTSequence")
    if table:
        return lookup(table[0], stored)
    for keyword in UNITS:
        if header.is_unreadable(dataset, keyword, frame=frame):
            finding = (
                f"the header's {keyword} is there and cannot be read, so the unit of the pixels is "
                "not known; mend it first"
            )
            raise ImageError("damaged", path, finding)
    slope = header.number(dataset, "RescaleSlope", frame)
    intercept = header.number(dataset, "RescaleIntercept", frame)
    if slope is None:
        slope = header.number(
            dataset, "DoseGridScaling"
        )  # PS3.3 C.8.8.3: the rescale of a dose grid
    slope = slope or 1.0
    intercept = intercept or 0.0  # a slope of 0 is not allowed and would erase the picture
    if (slope, intercept) == (1.0, 0.0):
        return stored.astype(np.float32) if stored.dtype.kind == "f" else stored
    with np.errstate(over="ignore"):  # what overflows is a gap, like NaN
        return (stored.astype(np.float64) * slope + intercept).astype(np.float32)


def _voi(
    dataset: Dataset, values: np.ndarray, frame: int, unit: str
) -> tuple[np.ndarray, Range | None, str, tuple[str, ...]]:
    """Values to show, their range, unit, and what was odd: the first window, else the VOI table,
    else nothing (PS3.3 C.11.2)."""
    centre = header.number(dataset, "WindowCenter", frame)
    width = header.number(dataset, "WindowWidth", frame)
    if centre is not None and width is not None and width > 0:
        function = (header.text(dataset, "VOILUTFunction") or "LINEAR").upper()
        if function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
            exponent = np.clip(-4.0 * (values.astype(np.float64) - centre) / width, -60.0, 60.0)
            return (1.0 / (1.0 + np.exp(exponent))).astype(np.float32), (0.0, 1.0), "display", ()
        if function == "LINEAR" and width > 1:  # PS3.3 C.11.2.1.2.1
            return (
                values,
                (centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2),
                unit,
                (),
            )
        return (
            values,
            (centre - width / 2, centre + width / 2),
            unit,
            (),
        )  # LINEAR_EXACT, PS3.3 C.11.2.1.3.2
    table = header.find(dataset, "VOILUTSequence", frame)
    if table:
        item = table[0]
        return lookup(item, values), (0.0, 2.0 ** float(item.LUTDescriptor[2]) - 1), "display", ()
    odd = () if width is None else (f"the header's window has width {width:g} and is left out",)
    return values, None, unit, odd


def lookup(table: Dataset, values: np.ndarray) -> np.ndarray:
    """Apply an item of a Modality or VOI LUT Sequence (PS3.3 C.11.1.1.1).

    Args:
        table: The item, with LUTDescriptor and LUTData.
        values: Stored values, of any shape. Values outside of the table take its first or last
            entry.

    Returns:
        Entries of the table, uint8 or uint16, in the shape of `values`.
    """
    entries, first, bits = (int(value) for value in table.LUTDescriptor)
    if first >= 1 << 15 and values.min() < 0:
        first -= 1 << 16  # written as unsigned where it is signed
    data = table.LUTData
    if isinstance(data, bytes):
        wide = len(data) >= 2 * (entries or 1 << 16)
        order = ">" if table.original_encoding[1] is False else "<"
        data = np.frombuffer(data, f"{order}u2" if wide else "u1")
    lut = np.atleast_1d(np.asarray(data, dtype=np.int64)) & ((1 << bits) - 1)
    lut = lut.astype(np.uint8 if bits <= 8 else np.uint16)
    index = np.rint(values).astype(np.int64) - first
    result: np.ndarray = lut[np.clip(index, 0, min(entries or 1 << 16, len(lut)) - 1)]
    return result


def _full(dataset: Dataset, values: np.ndarray) -> Range | None:
    """The number format's limits where they mean something: unsigned values of at most 8 bits."""
    stored = header.number(dataset, "BitsStored")
    return (
        (0.0, 2.0**stored - 1) if values.dtype == np.uint8 and stored and 1 <= stored <= 8 else None
    )


def _fitting(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The values in their old integer type where it holds them exactly, else float32."""
    cast = as_dtype(values, dtype)
    return cast if dtype.kind in "iu" and (cast == values).all() else values.astype(np.float32)
