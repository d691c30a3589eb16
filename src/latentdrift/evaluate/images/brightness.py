"""Brightness of a set of pictures: of the background, where every real picture is as flat as at its
border, and of the whole."""

from __future__ import annotations

import numpy as np

FLAT = (
    8 / 255
)  # of [0, 1]: a pixel this near to the value of its picture's border counts as background
MIN_PIXELS = 0.01  # share of the pixels that a background has at least


def background(real: np.ndarray) -> np.ndarray | None:
    """Pixels at which every real image [N, H, W, 3] in [0, 1] has the value of its own border: [H,
    W] bool.

    Data sets differ in what nothing looks like: 0, or 17 of 255. None where it is hardly anywhere,
    as in X-rays that fill the frame.
    """
    grey = real.mean(-1)
    edge = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    mask = (np.abs(grey - np.median(edge, axis=1)[:, None, None]) <= FLAT).all(0)
    return mask if mask.mean() >= MIN_PIXELS else None


def levels(pictures: np.ndarray, real: np.ndarray) -> dict[str, float | None]:
    """Grey levels 0-255 of pictures [N, H, W, 3] in [0, 1], beside those of the real ones.

    Returns:
        background: mean over the background; background_sd: of its mean from picture to picture;
            real_background: that of the
        real ones. None without a background.
        mean_error: mean of all less that of the real; spread: standard deviation of a picture's
            mean, from picture to picture,
        and real_spread that of the real ones: a start that pins the mean takes spread away.
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
