"""A small segmenter: a U-Net of ours, its training, and the Dice coefficient of what it says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdrift.evaluate.downstream.augmentation import AUGMENTATIONS
from latentdrift.evaluate.features.optimization import minimize
from latentdrift.seeds import derive

SIZE = 64  # pixels on a side at which it looks, as the small classifier
WIDTHS = (8, 16, 32, 64)  # channels of its levels, each of which halves the side; 120 k parameters
RATE = 3e-3  # of AdamW (ours)
BATCH = 16  # pictures per step


class UNet(nn.Module):
    """Pictures [B, 3, S, S] in [-1, 1] -> logits [B, labels, S, S] (Ronneberger et al. 2015,
    narrow)."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        ins = (3, *WIDTHS[:-1])
        self.down = nn.ModuleList(
            _block(before, after) for before, after in zip(ins, WIDTHS, strict=True)
        )
        self.up = nn.ModuleList(_block(low + high, high) for high, low in pairwise(WIDTHS))
        self.last = nn.Conv2d(WIDTHS[0], labels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, labels, S, S] of images [B, 3, S, S] in [-1, 1]."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for block, beside in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0), beside], 1))
        result: Tensor = self.last(x)
        return result


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [
            nn.Conv2d(width, after, 3, padding=1, bias=False),
            nn.GroupNorm(4, after),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers)


def segmenter(seed: int, labels: int) -> UNet:
    """Make a U-Net with random weights.

    Args:
        seed: Seed of the weights.
        labels: Number of labels, with 0 for the outside.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "segmenter"))
        return UNet(labels)


def learn(
    network: UNet,
    x: Tensor,
    masks: Tensor,
    labels: int,
    steps: int,
    source: torch.Generator,
    *,
    augmentation: str,
) -> None:
    """Train a U-Net by cross-entropy plus 1 - soft Dice of every label except 0 (Isensee et al.
    2021).

    Args:
        network: The U-Net; it is changed.
        x: Images [N, 3, S, S] in [0, 1].
        masks: Labels, int64 [N, S, S].
        labels: Number of labels, with 0.
        steps: Optimiser steps; the learning rate falls by a cosine.
        source: Generator of batches and augmentation.
        augmentation: Row of AUGMENTATIONS.
    """
    device = next(network.parameters()).device

    def batch_loss() -> Tensor:
        places = torch.randint(len(x), (BATCH,), generator=source)
        pictures, truth = AUGMENTATIONS[augmentation].both(x[places], masks[places], labels, source)
        logits = network(2 * pictures.to(device) - 1)
        truth = truth.to(device)
        return functional.cross_entropy(logits, truth) + _soft_dice_loss(logits, truth)

    network.train()
    minimize(batch_loss, network.parameters(), steps, rate=RATE)
    network.eval()


def _soft_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    probabilities = logits.softmax(1)[:, 1:]
    true = functional.one_hot(truth, logits.shape[1]).permute(0, 3, 1, 2)[:, 1:].to(probabilities)
    both = (probabilities * true).sum((0, 2, 3))
    sizes = (probabilities + true).sum((0, 2, 3))
    return (
        1 - ((2 * both + 1) / (sizes + 1)).mean()
    )  # one pixel more, so that a label that is not in the batch is no division by 0


@torch.inference_mode()
def predict(network: UNet, x: Tensor) -> Tensor:
    """Likeliest label of each pixel, int64 [N, S, S], for images x [N, 3, S, S] in [0, 1]."""
    device = next(network.parameters()).device
    return torch.cat([network(2 * part.to(device) - 1).argmax(1).cpu() for part in x.split(BATCH)])


def dice(prediction: Tensor, truth: Tensor, labels: int) -> np.ndarray:
    """Dice coefficient 2 |A and B| / (|A| + |B|) of each image and label except 0 (Dice 1945).

    Args:
        prediction: Labels, int64 [N, S, S].
        truth: Labels, int64 [N, S, S].
        labels: Number of labels, with 0.

    Returns:
        float64 [N, labels - 1]; NaN where the true mask does not have the label.
    """
    columns = []
    for label in range(1, labels):
        a = prediction == label
        b = truth == label
        both = (a & b).sum((1, 2)).double()
        sizes = (a.sum((1, 2)) + b.sum((1, 2))).double()
        columns.append(torch.where(b.any(-1).any(-1), 2 * both / sizes.clamp(min=1), torch.nan))
    return torch.stack(columns, 1).numpy()
