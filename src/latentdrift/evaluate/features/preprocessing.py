"""Size, mean and deviation of the images that enter a published vision model, as its own processor
names them.

The resize is ours (`resizing.resize`) and keeps the whole picture: the processors round to 8 bit
and crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Entrance:
    """Preprocessing of one model.

    Attributes:
        size: Pixels on a side.
        mean, sd: Mean and deviation of the three channels, for images in [0, 1].
    """

    size: int
    mean: Sequence[float]
    sd: Sequence[float]

    @classmethod
    def of(cls, name: str) -> Entrance:
        """Read the preprocessing of a Hugging Face model.

        Args:
            name: Folder or id.

        Raises:
            OSError, ValueError, KeyError, ImportError: As transformers raises them.
        """
        from transformers import AutoImageProcessor

        processor = AutoImageProcessor.from_pretrained(name)
        given = (
            getattr(processor, "do_center_crop", False) and processor.crop_size
        ) or processor.size
        return cls(
            int(given.get("height") or given["shortest_edge"]),
            processor.image_mean,
            processor.image_std,
        )

    def scale(self, x: Tensor) -> Tensor:
        """Subtract the mean and divide by the deviation of each channel.

        Args:
            x: Images [B, 3, S, S] in [0, 1].
        """
        mean, sd = (
            torch.as_tensor(values, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
            for values in (self.mean, self.sd)
        )
        return (x - mean) / sd
