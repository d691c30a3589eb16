"""Intensities <-> [-1, 1]: windows, percentiles and full ranges, with the exact inverse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from latentdrift.data.images.image import ImageError
from latentdrift.errors import OptionError

Range = tuple[float, float]

FORMAT_RANGES: tuple[Range, ...] = ((0.0, 255.0), (0.0, 65535.0))
"""Ranges of number formats, which windows of pictures without one are."""

_NUMBER = r"\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)\s*"
_VALUES = re.compile(rf"{_NUMBER},{_NUMBER}")
_PERCENTILES = re.compile(rf"\s*p{_NUMBER},\s*p?{_NUMBER}")


@dataclass(frozen=True)
class Window:
    """Intensity range: two values, two percentiles, the window of the header, or all
    intensities."""

    kind: Literal["header", "voi", "full", "values", "percentiles"]
    low: float = 0.0
    high: float = 0.0


def parse_window(text: str | Window | None) -> Window:
    """Parse the option `window`.

    Args:
        text: `LOW,HIGH` in the image's unit; `p1,p99` percentiles; `voi`, the header's window only;
            `full`; None: the header's window, else full. A Window is returned unchanged.

    Raises:
        OptionError: Another text, a percentile outside 0 to 100, or an end that is not above its
            start.
    """
    if isinstance(text, Window):
        return text
    if text is None:
        return Window("header")
    if text.strip().lower() in ("voi", "full"):
        return Window("voi" if text.strip().lower() == "voi" else "full")
    percentiles = _PERCENTILES.fullmatch(text)
    match = percentiles or _VALUES.fullmatch(text)
    if not match:
        raise OptionError(
            f"the window '{text}' is none of: voi, full, LOW,HIGH (as -160,240), percentiles (as "
            "p1,p99)"
        )
    low = float(match[1])
    high = float(match[2])
    if not is_range(low, high):
        raise OptionError(
            f"the window '{text}' ends at {high:g}, which is not above its start {low:g}: write "
            "LOW,HIGH"
        )
    if percentiles and not 0 <= low < high <= 100:
        raise OptionError(f"the window '{text}' has a percentile outside 0 to 100")
    return Window("percentiles" if percentiles else "values", low, high)


def choose_range(
    window: Window,
    values: np.ndarray,
    *,
    header: Range | None,
    full: Range | None,
    path: Path | str,
) -> Range:
    """Intensities that map to -1 and 1, as (low, high).

    Args:
        window: Requested window, see `parse_window`.
        values: Valid pixels of the picture, without padding, of any shape.
        header: Window in the file's header; None: it has none.
        full: Range of the number format; None: only the data have one.
        path: The file, for messages.

    Raises:
        ImageError: The window is `voi`, and the file has no window ("no window").
    """
    if window.kind == "values":
        return window.low, window.high
    if window.kind == "voi" and header is None:
        raise ImageError(
            "no window",
            path,
            "the header has no window; ask for full, LOW,HIGH or p1,p99 instead of voi",
        )
    if window.kind in ("header", "voi") and header is not None and is_range(*header):
        return header
    finite = values[np.isfinite(values)]
    if window.kind == "percentiles" and finite.size:
        low, high = np.percentile(finite, (window.low, window.high))
        if is_range(low, high):
            return float(low), float(high)
    if full is not None and window.kind != "percentiles":
        return full
    return data_range(finite)


def check_seen(pixels: np.ndarray, range: Range, path: Path | str) -> None:
    """Refuse a picture that lies wholly outside of its window.

    Args:
        pixels: Intensities, of any shape. A constant picture passes.
        range: Low and high end of the window.
        path: Its file, for messages.

    Raises:
        ImageError: Every pixel lies above the window, or every one below ("blank").
    """
    (low, high), lowest, highest = range, float(pixels.min()), float(pixels.max())
    if lowest < highest and (lowest >= high or highest <= low):
        side = "above" if lowest >= high else "below"
        finding = (
            f"every pixel ({lowest:g} to {highest:g}) lies {side} the window {low:g} to {high:g}"
        )
        raise ImageError("blank", path, f"{finding}; give another with `window`")


def is_range(low: float, high: float) -> bool:
    """Whether the ends of a range are finite and far enough apart to be mapped to -1 and 1."""
    return bool(np.isfinite(high - low)) and high - low > 1e-30


def data_range(values: np.ndarray) -> Range:
    """Smallest and largest finite value.

    A constant picture gets a range of at least one unit, so it maps to -1. Without finite values
    the range is (0, 1).
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low = float(finite.min())
    high = float(finite.max())
    return (low, high) if is_range(low, high) else (low, low + max(1.0, abs(low) * 1e-6))


def without_gaps(values: np.ndarray) -> np.ndarray:
    """Values as float32; those that are not finite become the smallest finite one.

    Such values lie outside of a mask or a field of view.

    Raises:
        ValueError: No value is finite.
    """
    with np.errstate(over="ignore"):
        single = np.asarray(values).astype(np.float32)
    finite = np.isfinite(single)
    return single if finite.all() else np.where(finite, single, single[finite].min())


def to_unit(pixels: np.ndarray, range: Range) -> np.ndarray:
    """Map intensities linearly to float32 in [-1, 1].

    Args:
        pixels: Intensities, of any shape.
        range: Intensities that map to -1 and 1; values outside are clipped.
    """
    low, high = range
    x = (np.asarray(pixels, dtype=np.float64) - low) * (2.0 / (high - low)) - 1.0
    return np.clip(x, -1.0, 1.0).astype(np.float32)


def from_unit(x: np.ndarray, range: Range, dtype: Any = np.float32) -> np.ndarray:
    """Map [-1, 1] linearly to intensities, the inverse of `to_unit` inside the range.

    Args:
        x: Values of any shape.
        range: Intensities of -1 and 1.
        dtype: Type of the result; integers are rounded and clipped, see `as_dtype`.
    """
    low, high = range
    values = low + (np.asarray(x, dtype=np.float64) + 1.0) * ((high - low) / 2.0)
    return as_dtype(values, dtype)


def as_dtype(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Cast values to a type; for integers they are rounded to nearest and clipped to its limits."""
    kind = np.dtype(dtype)
    if kind.kind not in "iu":
        return np.asarray(values).astype(kind)
    limits = np.iinfo(kind)
    result: np.ndarray = np.clip(np.rint(values), limits.min, limits.max).astype(kind)
    return result
