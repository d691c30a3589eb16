"""Two pictures of the same thing -> how alike they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from latentdrift.errors import InputError

WINDOW = 11  # pixels on a side of SSIM's window (Wang et al. 2004, sec. III.C)
SCALE_WEIGHTS = (
    0.0448,
    0.2856,
    0.3001,
    0.2363,
    0.1333,
)  # from fine to coarse (Wang et al. 2003, sec. 3.2)


def ssim(a: np.ndarray, b: np.ndarray, data_range: float) -> np.ndarray:
    """Structural similarity with a Gaussian window of 11 pixels, sigma 1.5 (Wang et al. 2004, sec.
    III.C).

    Args:
        a: Images [N, H, W, C].
        b: Images [N, H, W, C], pair i against pair i.
        data_range: Largest minus smallest possible intensity.

    Returns:
        [N], at most 1 for equal images.
    """
    from skimage.metrics import structural_similarity

    settings: dict[str, Any] = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "channel_axis": -1,
    }
    return np.array(
        [
            structural_similarity(x, y, data_range=data_range, **settings)
            for x, y in zip(a, b, strict=True)
        ]
    )


def scales(height: int, width: int) -> int:
    """Number of scales of MS-SSIM whose window fits into an image: five from 176 pixels on, else
    fewer.

    Args:
        height: Pixels, at least WINDOW.
        width: Pixels, at least WINDOW.
    """
    fitting = [
        n for n in range(1, len(SCALE_WEIGHTS) + 1) if min(height, width) // 2 ** (n - 1) >= WINDOW
    ]
    return max(fitting)


def ms_ssim(a: np.ndarray, b: np.ndarray, data_range: float) -> np.ndarray:
    """Structural similarity over scales that halve (Wang et al. 2003, eq. 7).

    The weights of the scales that fit are normalised to sum to 1. Negative similarities count as 0,
    as in torchmetrics, whose convolutions take a hundred times as long on a processor.

    Args:
        a: Images [N, H, W, C].
        b: Images [N, H, W, C], pair i against pair i.
        data_range: Largest minus smallest possible intensity.

    Returns:
        [N] in [0, 1]; 1 for equal images.
    """
    weights = np.array(SCALE_WEIGHTS[: scales(*a.shape[1:3])])
    grey = all((x == x[..., :1]).all() for x in (a, b))  # three equal channels say what one says
    a, b = (np.asarray(x[..., :1] if grey else x, dtype=np.float32) for x in (a, b))
    total = np.ones(len(a))
    for place, weight in enumerate(weights / weights.sum()):
        if place:
            a = _halved(a)
            b = _halved(b)
        luminance, structure = _parts(a, b, data_range)
        at_scale = luminance * structure if place == len(weights) - 1 else structure
        total *= at_scale.mean((1, 2, 3), dtype=np.float64).clip(0) ** weight
    return total


def _parts(a: np.ndarray, b: np.ndarray, data_range: float) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, and contrast times structure, where the window does not reach over the border
    (Wang et al. 2004, eqs. 6-13)."""
    from scipy.ndimage import gaussian_filter

    def local(x: np.ndarray) -> np.ndarray:
        result: np.ndarray = gaussian_filter(x, (0, 1.5, 1.5, 0), truncate=3.5, mode="nearest")[
            :, 5:-5, 5:-5
        ]  # 11 pixels of sigma 1.5
        return result

    c1 = (0.01 * data_range) ** 2
    c2 = (0.03 * data_range) ** 2
    mean_a = local(a)
    mean_b = local(b)
    spread = local(a * a + b * b) - mean_a**2 - mean_b**2
    shared = local(a * b) - mean_a * mean_b
    return (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1), (2 * shared + c2) / (
        spread + c2
    )


def _halved(x: np.ndarray) -> np.ndarray:
    """[N, H, W, C] -> means of 2 x 2 pixels."""
    n, height, width, channels = x.shape
    result: np.ndarray = (
        x[:, : height // 2 * 2, : width // 2 * 2]
        .reshape(n, height // 2, 2, width // 2, 2, channels)
        .mean((2, 4))
    )
    return result


def psnr(a: np.ndarray, b: np.ndarray, data_range: float) -> np.ndarray:
    """Peak signal-to-noise ratio in dB, [N]; infinite for equal images.

    Args:
        a: Images [N, H, W, C].
        b: Images [N, H, W, C], pair i against pair i.
        data_range: Largest minus smallest possible intensity.
    """
    from skimage.metrics import peak_signal_noise_ratio

    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.array(
            [
                peak_signal_noise_ratio(x, y, data_range=data_range)
                for x, y in zip(a, b, strict=True)
            ],
            dtype=float,
        )


Similarity = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""Pictures [N, H, W, C] against as many others, and the largest minus the smallest possible
intensity -> [N]."""

SIMILARITIES: dict[str, Similarity] = {"ssim": ssim, "ms-ssim": ms_ssim, "psnr": psnr}


def compare(
    reference: np.ndarray,
    other: np.ndarray,
    *,
    data_range: float = 1.0,
    rows: Mapping[str, Similarity] = SIMILARITIES,
) -> dict[str, np.ndarray]:
    """Compute similarities of N pairs of images.

    Args:
        reference, other: [N, H, W] or [N, H, W, 3], pair i against pair i.
        data_range: Largest minus smallest possible intensity, never taken from the images; 1 for
            [0, 1], 2 for [-1, 1].
        rows: Similarities to compute, rows of SIMILARITIES.

    Returns:
        Name -> float64 [N].

    Raises:
        InputError: Pairs of two sizes, or images smaller than the window.
    """
    reference = np.asarray(reference, dtype=np.float64)
    other = np.asarray(other, dtype=np.float64)
    if reference.shape != other.shape:
        raise InputError(
            f"pairs of pictures must have one size; these are {list(reference.shape)} and "
            f"{list(other.shape)}"
        )
    if reference.ndim == 3:
        reference = reference[..., None]
        other = other[..., None]
    if min(reference.shape[1:3]) < WINDOW:
        size = " x ".join(map(str, reference.shape[1:3]))
        raise InputError(
            f"SSIM looks through a window of {WINDOW} pixels; these pictures are {size}"
        )
    return {name: row(reference, other, data_range) for name, row in rows.items()}
