"""A small encoder that learns from the cohort itself what its images differ in, without any label
(VICReg: Bardes et al. 2022).

Two views of one image shall have the same vector (invariance), and the vectors of a batch shall
fill their space (variance, covariance). Views are crops with another brightness, contrast and
noise: what a view changes, the features forget. They are never mirrored, because left and right
    differ, and two visits of a patient are never taken for views of one thing, because what
changes between them, such as age, is what a judge of medical images has to see.

In-domain features notice what networks for photographs overlook, but they compare with nothing
outside the cohort, and they have seen the training images: a general space always stands beside
them.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from latentdrift.errors import InputError
from latentdrift.evaluate.features.optimization import minimize
from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.images.image_sets import EvaluationImages, contents
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.seeds import derive, generator
from latentdrift.storage import Cache, key

log = logging.getLogger(__name__)

SIZE = 64  # pixels on a side
WIDTHS = (32, 64, 128, 128)  # channels; the last is the dimension of the features
EXPANDED = 256  # dimension in which the loss is taken
STEPS = 600
BATCH = 64
RATE = 1e-3
DECAY = 1e-4  # ours
MIN_IMAGES = 16  # images to learn from
CHUNK = 256  # images that are resized at a time
INVARIANCE = 25.0
VARIANCE = 25.0
COVARIANCE = 1.0  # (Bardes et al. 2022, sec. 4.2)
CROP = 0.6
GAIN = 0.2
GAMMA = 0.3
NOISE = 0.03  # of a view at most: side that is kept, share, |log gamma|, sd


class Encoder(nn.Module):
    """Pictures [B, 3, SIZE, SIZE] in [0, 1] -> features [B, WIDTHS[-1]]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *WIDTHS[:-1]), WIDTHS, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.GroupNorm(8, after),
                nn.SiLU(),
            ]
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, WIDTHS[-1]] of images [B, 3, SIZE, SIZE] in [0, 1]."""
        result: Tensor = self.body(2 * x - 1)
        return result

    def last_map(self, x: Tensor) -> Tensor:
        """Last layer before averaging, [B, WIDTHS[-1], SIZE / 16, SIZE / 16].

        Args:
            x: Images [B, 3, SIZE, SIZE] in [0, 1].
        """
        result: Tensor = self.body[:-2](2 * x - 1)
        return result


def load_encoder(images: EvaluationImages, folder: Path, seed: int, device: str) -> Encoder:
    """Encoder that was trained on these images, from the cache or trained now.

    Args:
        images: Training images.
        folder: Folder of the cache.
        seed: Seed of the training.
        device: Device of the network.

    Raises:
        InputError: Fewer than MIN_IMAGES images.
    """

    def train(path: Path) -> None:
        log.info(
            "learning the features 'ssl' from %d training images, in %d steps", len(images), STEPS
        )
        save_file(learn(images, seed, device).cpu().state_dict(), path)

    name = f"ssl-{encoder_key(images, seed)}.safetensors"
    network = Encoder()
    network.load_state_dict(load_file(Cache(folder).entry(name, train)))
    return network.eval().requires_grad_(False).to(device)


def encoder_key(images: EvaluationImages, seed: int) -> str:
    """Key of an encoder in the cache: a hash of its images, its seed and all settings of
    training."""
    pixels = images.images.keys if isinstance(images.images, Pictures) else contents(images)
    recipe = (SIZE, WIDTHS, EXPANDED, STEPS, BATCH, RATE, DECAY, CROP, GAIN, GAMMA, NOISE)
    return key(recipe, seed, pixels)


def learn(images: EvaluationImages, seed: int, device: str = "cpu", steps: int = STEPS) -> Encoder:
    """Train an encoder without labels (VICReg; Bardes et al. 2022); equal seeds give equal
    encoders.

    Args:
        images: Training images.
        seed: Seed of weights, batches and views.
        device: Device of the training.
        steps: Optimiser steps.

    Raises:
        InputError: Fewer than MIN_IMAGES images.
    """
    if len(images) < MIN_IMAGES:
        raise InputError(
            f"the features 'ssl' are learned from at least {MIN_IMAGES} training images, and there "
            f"are {len(images)}; take others"
        )
    pictures = images.images
    parts = [
        resize(pictures[start : start + CHUNK], SIZE) for start in range(0, len(images), CHUNK)
    ]
    x = torch.cat([(255 * part).round().byte() for part in parts])  # 12 kB each
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "ssl"))
        network = Encoder()
        expand = nn.Sequential(
            nn.Linear(WIDTHS[-1], EXPANDED),
            nn.BatchNorm1d(EXPANDED),
            nn.ReLU(),
            nn.Linear(EXPANDED, EXPANDED),
        )
    network = network.to(device)
    expand = expand.to(device)
    source = generator(seed, "ssl", "views")
    parameters = [*network.parameters(), *expand.parameters()]

    def batch_loss() -> Tensor:
        batch = x[torch.randperm(len(x), generator=source)[:BATCH]].float() / 255
        a, b = (expand(network(view(batch, source).to(device))) for _ in range(2))
        return loss(a, b)

    minimize(batch_loss, parameters, steps, rate=RATE, weight_decay=DECAY)
    return network.eval()


def view(x: Tensor, source: torch.Generator) -> Tensor:
    """Random view of each image: cropped, brightened, gamma-corrected, noisy, never mirrored.

    Args:
        x: Images [B, 3, S, S] in [0, 1].
        source: Generator of all random numbers.
    """
    side, row, column, gain, gamma, noise = torch.rand(6, len(x), generator=source)
    side = CROP + (1 - CROP) * side
    shift = [(1 - side) * (2 * at - 1) for at in (column, row)]
    zero = torch.zeros_like(side)
    places = torch.stack(
        [torch.stack([side, zero, shift[0]], 1), torch.stack([zero, side, shift[1]], 1)], 1
    )
    grid = functional.affine_grid(places, list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    gain, gamma, noise = (
        z.view(-1, 1, 1, 1)
        for z in (1 + GAIN * (2 * gain - 1), torch.exp(GAMMA * (2 * gamma - 1)), noise)
    )
    grain = torch.randn(len(x), 1, *x.shape[2:], generator=source)
    return (gain * x.clamp(0, 1) ** gamma + NOISE * noise * grain).clamp(0, 1)


def loss(a: Tensor, b: Tensor) -> Tensor:
    """VICReg loss of two views (Bardes et al. 2022, eqs. 1 to 6).

    Args:
        a: Expanded vectors of the first view, [B, E].
        b: Expanded vectors of the second view, [B, E].

    Returns:
        Scalar.
    """
    spread = sum((1 - (z.var(0) + 1e-4).sqrt()).relu().mean() for z in (a, b))
    covariances = [torch.cov(z.T).fill_diagonal_(0) for z in (a, b)]
    together = sum(c.square().sum() / len(c) for c in covariances)
    return INVARIANCE * functional.mse_loss(a, b) + VARIANCE * spread + COVARIANCE * together


def encode(network: Encoder, images: np.ndarray, device: str) -> Tensor:
    """Features [N, WIDTHS[-1]] of images.

    Args:
        network: The encoder, on `device`.
        images: [N, H, W, 3] in [0, 1], of any size.
        device: Device of the network.
    """
    result: Tensor = network(resize(images, SIZE).to(device))
    return result
