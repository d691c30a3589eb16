"""Whether an image is of the kind that an adapter was trained on: grey or colour, its modality, its
intensities."""

from __future__ import annotations

import logging

import numpy as np

from latentdrift.data.images.image import Image
from latentdrift.errors import InputError
from latentdrift.model.adapter_info import AdapterInfo

log = logging.getLogger(__name__)

TINT = 0.05
TINTED = 0.01
"""A picture is in colour where the channels of more than TINTED of its pixels differ by more than
TINT of the range; ours."""

BLANK = 0.01
POOR = 0.10
FOREIGN_POOR = 0.50
"""Shares of the values inside the window. Below BLANK an image is refused, below POOR a warning
is logged. For values without a physical unit under another's window it is logged below
FOREIGN_POOR.
A CT's air lies outside of any window, and is no fault. Ours."""


def check_colour(pixels: np.ndarray, info: AdapterInfo) -> None:
    """Refuse a colour image for an adapter of grey images; nearly grey colours pass.

    Args:
        pixels: [H, W] or [H, W, 3].
        info: adapter.json; without a value of `colour` every image passes.

    Raises:
        InputError: The image is in colour, and the adapter was trained on grey images.
    """
    if info.colour is None or info.colour or pixels.ndim == 2:
        return
    spread = pixels.max(-1).astype(float) - pixels.min(-1)
    scale = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else float(np.ptp(pixels)) or 1.0
    if (spread > TINT * scale).mean() > TINTED:
        raise InputError(
            "the image is in colour, and the adapter was trained on grey images only; give a grey "
            "image, or save this one in grey if it is one"
        )


def check_modality(image: Image, info: AdapterInfo) -> None:
    """Warn where an image's modality is not among those that the adapter was trained on."""
    seen = info.modalities
    if image.modality and seen and image.modality not in seen:
        log.warning(
            "the image is of modality %s, and the adapter was trained on %s",
            image.modality,
            ", ".join(seen),
        )


def check_window(image: Image, whose: str) -> None:
    """Check that an image is not lost outside of its window.

    Args:
        image: With the window as its range.
        whose: Where the window comes from.

    Raises:
        InputError: Nearly all of it is.
    """
    low, high = image.range
    inside = float(((image.pixels >= low) & (image.pixels <= high)).mean())
    foreign = whose != "the image" and image.unit != "HU"
    if inside >= (FOREIGN_POOR if foreign else POOR):
        return
    ends = f"{float(image.pixels.min()):g} to {float(image.pixels.max()):g}"
    message = (
        f"{100 * (1 - inside):.0f} % of the image's values ({ends}) lie outside of the window "
        f"{low:g} to {high:g} of {whose}, and become black or white; give its own with "
        "`window=LOW,HIGH`, or `window=full`"
    )
    if inside < BLANK:
        raise InputError(message)
    log.warning(message)
