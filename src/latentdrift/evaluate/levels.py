"""Brightness of a set of pictures: of the background, where every real picture is black, and of the whole."""

from __future__ import annotations

import numpy as np

BLACK = 8 / 255  # of [0, 1]: at or below it a pixel of a real picture counts as black
LEAST = 0.01  # share of the pixels that a background has at least


def background(real: np.ndarray) -> np.ndarray | None:
    """Where every one of the real pictures [N, H, W, 3] in [0, 1] is black: [H, W] bool; None where that is hardly anywhere."""
    mask = (real.mean(-1) <= BLACK).all(0)
    return mask if mask.mean() >= LEAST else None


def levels(pictures: np.ndarray, real: np.ndarray) -> dict[str, float | None]:
    """Grey levels 0-255 of pictures [N, H, W, 3] in [0, 1], beside those of the real ones.

    Returns:
        background: mean over the background; background_sd: of its mean from picture to picture. None without a background.
        mean_error: mean of all less that of the real; spread: standard deviation of a picture's mean, from picture to picture,
        and real_spread that of the real ones: a start that pins the mean takes spread away.
    """
    mask = background(real)
    each, reference = (255 * x.mean((1, 2, 3)) for x in (pictures, real))
    behind = None if mask is None else 255 * pictures.mean(-1)[:, mask].mean(1)
    return {
        "background": None if behind is None else float(behind.mean()),
        "background_sd": None if behind is None else float(behind.std(ddof=1)),
        "mean_error": float(each.mean() - reference.mean()),
        "spread": float(each.std(ddof=1)),
        "real_spread": float(reference.std(ddof=1)),
    }
