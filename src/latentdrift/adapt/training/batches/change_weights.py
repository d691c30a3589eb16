"""Weights of the loss that follow the difference of two visits.

Most of a later visit is the earlier one, which the network is shown. Without weights the few
latents in which the visits differ count little, and the instruction is hardly learned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.latent_cache import Moments

WIDTH = 3
"""Side of the square of latents that a difference is averaged over; odd."""
LARGEST = 10.0
"""Largest weight of a latent."""


def change_weights(moments: Moments, examples: Sequence[Example], share: float) -> Tensor:
    """Weight of each latent in the loss, float32 [B, 1, h, w].

    It is 1 - share + share d / mean(d), at most LARGEST, where d is the squared difference of the
    example's two images, averaged over channels and WIDTH x WIDTH latents. An image and itself have
    weight 1.

    Args:
        moments: Latent moments of the cohort's images.
        examples: Pairs of images.
        share: Share of the weight that follows the difference, 0 to 1.
    """
    after = moments.means([example.row for example in examples])
    before = moments.means([example.shown or 0 for example in examples])
    squared = (after - before).square().mean(1, keepdim=True)
    near = avg_pool2d(squared, WIDTH, 1, WIDTH // 2, count_include_pad=False)
    mean = near.mean((1, 2, 3), keepdim=True)
    relative = torch.where(mean > 0, near / mean.clamp(min=1e-12), torch.ones_like(near))
    return (1 - share + share * relative).clamp(max=LARGEST)
