"""Resizing of images before they enter a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor


def resize(images: np.ndarray, size: int) -> Tensor:
    """Resize images by the clean-fid protocol (Parmar et al. 2022).

    Pillow's antialiased bicubic filter in floating point, channel by channel, without rounding to 8
    bit.

    Args:
        images: [N, H, W, 3] in [0, 1].
        size: Pixels on a side.

    Returns:
        Tensor [N, 3, size, size] in [0, 1].
    """
    import torch
    from PIL import Image

    images = np.asarray(images, dtype=np.float32)

    def channel(x: np.ndarray) -> np.ndarray:
        return np.asarray(
            Image.fromarray(np.ascontiguousarray(x, dtype=np.float32)).resize(
                (size, size), Image.Resampling.BICUBIC
            )
        )

    if images.shape[1:3] == (size, size):
        return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    grey = np.array_equal(images[..., :1].repeat(3, -1), images)
    planes = [[channel(image[..., c]) for c in range(1 if grey else 3)] for image in images]
    resized = torch.from_numpy(np.asarray(planes, dtype=np.float32)).clamp(0.0, 1.0)
    return resized.expand(-1, 3, -1, -1) if grey else resized
