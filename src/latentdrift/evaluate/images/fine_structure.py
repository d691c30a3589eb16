"""Fine structure of images, in which a patient is recognised.

Different patients share an outline and a layout: on aligned scans a plain correlation of 0.97
between two patients is usual. An image is one patient's by its fine structure, and by where it
lies. So each image becomes a small grey one, and each place is measured against its own
surroundings (local contrast normalisation, Jarrett et al. 2009, section 3.1). This removes
brightness, contrast and smooth changes of either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from latentdrift.evaluate.images.disk_array import Spool
from latentdrift.evaluate.images.lazy_images import Pictures, batches
from latentdrift.evaluate.images.search_workers import THIS_PROCESS, SearchWorkers

# Pixels on a side of the copies of an image, coarse to fine.
SIDES = (32, 64, 128)

# Structure between these scales is compared: Gaussian standard deviations in pixels.
FINE = 1.0
WIDE = 2.5

# Share of an image's mean local contrast. Places with much less contrast stay dark, and their
# noise too.
FLOOR = 1.0

# Grain explains at most this share of an image's structure.
GRAIN = 0.5

# Images below which this process computes their structure: workers need seconds to start.
MIN_SHARED = 2048

# Images at a time, whose arrays fit into a processor's cache.
BLOCK = 32


@dataclass(frozen=True)
class Structure:
    """Fine structure of N images, 84 KB each.

    Attributes:
        sides: Structure [N, 1, side, side] for each of SIDES.
        grain: Share of the mean square that is white grain [N, len(SIDES)].
    """

    sides: list[Spool]
    grain: Spool

    def __len__(self) -> int:
        return len(self.grain)


def structure(*pictures: np.ndarray | Pictures, workers: SearchWorkers = THIS_PROCESS) -> Structure:
    """Fine structure of images, without brightness and contrast.

    Args:
        pictures: Sets of images [N, H, W, 3] in [0, 1], which are joined in this order.
        workers: Workers that share the images.
    """
    sides = [Spool((1, side, side), workers.folder) for side in SIDES]
    grain = Spool((len(SIDES),), workers.folder)
    items = (part for images in pictures for part in batches(images, BLOCK))
    is_large = sum(map(len, pictures)) >= MIN_SHARED
    for values in workers.run(_structure_arrays, None, items, is_large=is_large):
        for spool, rows in zip((*sides, grain), values, strict=True):
            spool.add(torch.from_numpy(rows))
    return Structure(sides, grain)


def _structure_arrays(state: None, images: np.ndarray | Pictures) -> tuple[np.ndarray, ...]:
    """Fine structure of a block as arrays, which travel faster than tensors."""
    return tuple(values.numpy() for values in structure_of(images[:]))


def structure_of(images: np.ndarray) -> tuple[Tensor, ...]:
    """Fine structure of images.

    Args:
        images: [N, H, W, 3] in [0, 1].

    Returns:
        Structure on each of SIDES [N, 1, side, side], and the grain [N, len(SIDES)].
    """
    red, green, blue = torch.from_numpy(np.asarray(images, dtype=np.float32)).unbind(-1)
    grey = (red + green + blue) / 3
    height, width = grey.shape[1:]
    variance = _grain_variance(grey)
    sides = []
    grain = []
    for side in SIDES:
        small = (_sampler(height, side) @ grey @ _sampler(width, side).T)[:, None]
        detail = _blur(small, FINE) - _blur(small, WIDE)
        contrast = _blur(detail**2, WIDE).sqrt()
        mean_contrast = contrast.mean((1, 2, 3), keepdim=True)
        scale = (contrast + FLOOR * mean_contrast).clamp(min=1e-6)
        normalised = detail / scale
        noise = variance * _gain(height, width, side) * (scale**-2).mean((1, 2, 3))
        power = (normalised**2).mean((1, 2, 3)).clamp(min=1e-6)
        sides.append(normalised)
        grain.append((noise / power).clamp(max=GRAIN))
    return *sides, torch.stack(grain, 1)


def _grain_variance(grey: Tensor) -> Tensor:
    """Variance of the white grain of images [N, H, W], by the median of their finest differences
    (Donoho and Johnstone 1994) [N]."""
    upper = grey[:, :-1, :-1] - grey[:, :-1, 1:]
    lower = grey[:, 1:, :-1] - grey[:, 1:, 1:]
    median = (upper - lower).flatten(1).abs().median(1).values
    result: Tensor = (median / (2 * 0.6745)) ** 2
    return result


@cache
def _gain(height: int, width: int, side: int) -> float:
    """Variance of the `detail` of an image of white grain with variance 1.

    Args:
        height: Pixels of the image.
        width: Pixels of the image.
        side: Pixels of the copy whose detail it is.
    """
    fine = wide = both = 1.0
    for size in (height, width):
        sampler = _sampler(size, side)
        fine_row, wide_row = ((_blur_matrix(side, sd) @ sampler)[side // 2] for sd in (FINE, WIDE))
        fine *= float(fine_row @ fine_row)
        wide *= float(wide_row @ wide_row)
        both *= float(fine_row @ wide_row)
    return fine + wide - 2 * both


def _sampler(size: int, side: int) -> Tensor:
    """Matrix that resamples an axis with an antialiased linear filter [side, size].

    Args:
        size: Pixels of the axis.
        side: Pixels after resampling.
    """
    scale = size / side
    centres = (np.arange(side)[:, None] + 0.5) * scale
    distance = np.abs(np.arange(size) + 0.5 - centres)
    weights = np.clip(1 - distance / max(scale, 1.0), 0.0, None)
    weights /= weights.sum(-1, keepdims=True)
    return torch.from_numpy(weights.astype(np.float32))


def _blur(x: Tensor, sd: float) -> Tensor:
    """Square images [N, 1, side, side], smoothed by a Gaussian with `sd` pixels."""
    matrix = _blur_matrix(x.shape[-1], sd)
    result: Tensor = matrix @ x @ matrix.T
    return result


@cache
def _blur_matrix(side: int, sd: float) -> Tensor:
    """Matrix that smooths an axis, mirrored at its ends [side, side].

    A product with it is several times as fast as a convolution of one channel.

    Args:
        side: Pixels of the axis.
        sd: Standard deviation of the Gaussian in pixels.
    """
    reach = math.ceil(3 * sd)
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sd) ** 2)
    kernel = kernel / kernel.sum()
    impulses = pad(torch.eye(side)[:, None], (reach, reach), mode="reflect")
    responses = conv1d(impulses, kernel[None, None])
    return responses[:, 0].T.contiguous()
