"""Random fields, soft edges, and a scanner that adds bias, blur and noise: the parts that the brain
and the chest phantom share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from latentdrift.seeds import derive


def generator(subject: int, *place: int | str) -> np.random.Generator:
    """Random generator of a named part of a subject.

    Args:
        subject: Seed of the anatomy.
        place: Name of the part, for instance `"visit", 2`.
    """
    return np.random.default_rng(derive(subject, *place))


@lru_cache(maxsize=8)
def grid(size: int, view: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in mm, from the image's centre.

    Args:
        size: Pixels on a side.
        view: Length of a side, mm.

    Returns:
        x to the image's right and y up, [size, size] each.
    """
    across = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * view
    x, y = np.meshgrid(across, -across)
    return x, y


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """Share of a pixel that lies inside an edge (partial volume).

    Args:
        distance: Signed distance to the edge, mm, positive inside.
        width: Width of the edge, mm. The share is 0 at -width / 2, 1 at +width / 2, and linear
            between.
    """
    return np.clip(distance / width + 0.5, 0.0, 1.0).astype(np.float32, copy=False)


@lru_cache(maxsize=64)
def splines(cells: int, size: int) -> np.ndarray:
    """Uniform cubic B-splines, scaled so that white noise keeps a variance of about 1.

    Args:
        cells: Cells across the picture.
        size: Pixels across the picture.

    Returns:
        Values of the basis [size, cells + 3].
    """
    place = np.arange(size) * cells / size
    apart = np.abs(place[:, None] - np.arange(-1, cells + 2)[None])
    near = 2 / 3 - apart**2 + apart**3 / 2
    far = np.maximum(2.0 - apart, 0.0) ** 3 / 6
    basis = np.where(apart < 1.0, near, far)
    result: np.ndarray = (basis / np.sqrt((basis**2).sum(1, keepdims=True))).astype(np.float32)
    return result


def field(rng: np.random.Generator, cells: int, size: int) -> np.ndarray:
    """Smooth random field [size, size] of mean 0 and standard deviation 1.

    Args:
        rng: Source of the field.
        cells: Bumps across the picture, about.
        size: Pixels on a side.
    """
    basis = splines(cells, size)
    weights = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    result: np.ndarray = basis @ weights @ basis.T
    return result


def scan(
    clean: np.ndarray, rng: np.random.Generator, *, noise: float, bias: float, blur: float
) -> np.ndarray:
    """Acquire a clean picture [S, S] with bias, blur and noise, clipped to [0, 1].

    The noise is Rician: the magnitude of a complex signal with Gaussian noise in both channels
    (Gudbjartsson & Patz 1995).

    Args:
        clean: Picture without scanner effects, in [0, 1].
        rng: Generator of bias and noise.
        noise: Standard deviation of the noise, as a share of the intensity range.
        bias: Standard deviation of the slow multiplicative bias.
        blur: Standard deviation of the Gaussian blur, in pixels.
    """
    size = clean.shape[0]
    picture = gaussian_filter(clean * (1.0 + bias * field(rng, 2, size)), blur)
    if noise > 0:
        real, imaginary = np.float32(noise) * rng.standard_normal((2, size, size), dtype=np.float32)
        picture = np.hypot(picture + real, imaginary)
    result: np.ndarray = np.clip(picture, 0.0, 1.0).astype(np.float32)
    return result
