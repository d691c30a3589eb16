"""Brightness of a set of pictures: of the background, where every real picture is as flat as at its
border, and of the whole."""

from __future__ import annotations

import numpy as np

FLAT = (
    8 / 255
)  # of [0, 1]: a pixel this near to the value of its picture's border counts as background
MIN_PIXELS = 0.01  # share of the pixels that a background has at least


def background(real: np.ndarray) -> np.ndarray | None:
    """Pixels at which every real image has the grey level of its own border.

    The level of the background differs between data sets, for example 0, or 17 of 255.

    Args:
        real: Real images [N, H, W, 3] in [0, 1].

    Returns:
        bool [H, W]; None where less than MIN_PIXELS of the picture is background.
    """
    grey = real.mean(-1)
    edge = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    mask = (np.abs(grey - np.median(edge, axis=1)[:, None, None]) <= FLAT).all(0)
    return mask if mask.mean() >= MIN_PIXELS else None


def levels(pictures: np.ndarray, real: np.ndarray) -> dict[str, float | None]:
    """Grey levels of synthetic and real images, on the scale 0 to 255.

    Args:
        pictures: Synthetic images [N, H, W, 3] in [0, 1].
        real: Real images [M, H, W, 3] in [0, 1].

    Returns:
        background: Mean over the background of synthetic images; None without a background.
        background_sd: Standard deviation over images of the background's mean.
        real_background: Mean over the background of real images.
        mean_error: Mean of synthetic minus mean of real images.
        spread, real_spread: Standard deviation over images of an image's mean. A start that pins
            the mean lowers the spread.
    """
    mask = background(real)
    each, reference = (255 * x.mean((1, 2, 3)) for x in (pictures, real))
    behind, there = (
        None if mask is None else 255 * x.mean(-1)[:, mask].mean(1) for x in (pictures, real)
    )
    return {
        "background": None if behind is None else float(behind.mean()),
        "background_sd": None if behind is None else float(behind.std(ddof=1)),
        "real_background": None if there is None else float(there.mean()),
        "mean_error": float(each.mean() - reference.mean()),
        "spread": float(each.std(ddof=1)),
        "real_spread": float(reference.std(ddof=1)),
    }
