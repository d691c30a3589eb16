"""L1 distances of plain intensities, by which drift is searched.

The paper says "L1 between distributions" and no more (Yeganeh et al. 2025), so three readings stand
beside each other, and the first decides. Each is an L1 distance of means over the set, of something
that every picture has by itself: its distribution function, its thumbnail, its latent's channel
means. A bootstrap resample is then only another weight per picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.metrics.distribution_metrics import Distance
from latentdrift.evaluate.statistics.bootstrap import Weighted

LEVELS = (
    4 * 255
)  # steps of intensity: an 8-bit value lies on one of them exactly, any other within 1 / 2040
THUMBNAIL = 64  # pixels on a side of the mean image


def l1(a: np.ndarray, b: np.ndarray) -> Weighted:
    """Mean absolute difference of two weighted means.

    Args:
        a: Values [N, K].
        b: Values [M, K].

    Returns:
        Function of a weight for each image, [N] and [M], -> distance.
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in (a, b))

    def distance(weight_a: np.ndarray, weight_b: np.ndarray) -> float:
        return float(np.abs(weight_a @ a / weight_a.sum() - weight_b @ b / weight_b.sum()).mean())

    return distance


def distribution(pictures: np.ndarray) -> np.ndarray:
    """Distribution function of each image's intensities.

    The distribution function of a pool is the mean over its images. The mean absolute difference of
    two of them over [0, 1] is the Wasserstein-1 distance (Vallender 1974).

    Args:
        pictures: [N, H, W, 3] in [0, 1].

    Returns:
        Share of intensities at or below each of LEVELS levels, float32 [N, LEVELS].
    """
    steps = np.rint(np.clip(pictures, 0, 1) * LEVELS).astype(np.int64).reshape(len(pictures), -1)
    counts = np.stack([np.bincount(row, minlength=LEVELS + 1) for row in steps])
    result: np.ndarray = (counts.cumsum(1)[:, :-1] / steps.shape[1]).astype(
        np.float32
    )  # at the last level all are 1
    return result


def thumbnail(pictures: np.ndarray) -> np.ndarray:
    """Resize images to THUMBNAIL pixels on a side, and flatten them.

    Args:
        pictures: [N, H, W, 3] in [0, 1].

    Returns:
        float32 [N, K].
    """
    return resize(pictures, THUMBNAIL).reshape(len(pictures), -1).numpy()


@dataclass(frozen=True)
class Level:
    """A row of INTENSITIES."""

    of_pictures: Callable[[np.ndarray], np.ndarray] | None
    """Pictures [N, H, W, 3] in [0, 1] -> what is averaged [N, K]; None: the channel means of their
    latents, handed in."""
    distance: Distance


INTENSITIES: dict[str, Level] = {
    "intensity": Level(distribution, Distance(l1, "L1 of sorted intensities")),
    "mean-image": Level(thumbnail, Distance(l1, f"L1 of the mean image, {THUMBNAIL} px")),
    "latent-dc": Level(None, Distance(l1, "L1 of latent channel means")),
}
