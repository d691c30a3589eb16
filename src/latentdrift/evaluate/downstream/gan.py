"""A small GAN, ours: what a set of synthetic pictures of a large model should beat. It draws two
classes at 64 pixels.

Transposed against strided convolutions (Radford et al. 2016), spectral norm and the class projected
onto the discriminator's features (Miyato and Koyama 2018), the hinge loss (Lim and Ye 2017), and
pictures that are shifted before they are judged, real and drawn, which few pictures need (Zhao et
al. 2020). It is a baseline and no more: a published GAN is better.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from latentdrift.evaluate.downstream.augmentation import shift
from latentdrift.evaluate.downstream.tstr import Labelled
from latentdrift.seeds import derive, generator

SIZE = 64  # pixels on a side of what it draws
WIDTHS = (128, 64, 32, 16)  # channels from 4 to 32 pixels
LATENT = 64  # numbers that a picture is drawn from, and as many for its class
RATE = 1e-3
BETAS = (0.5, 0.999)  # of Adam: ours, for few steps; of Radford et al. 2016
BATCH = 16  # pictures per step, half of each class


class Generator(nn.Module):
    """(numbers [B, LATENT], classes int [B]) -> pictures [B, channels, SIZE, SIZE] in [0, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.classes = nn.Embedding(2, LATENT)
        self.first = nn.Linear(2 * LATENT, WIDTHS[0] * 16)
        layers: list[nn.Module] = []
        for before, after in pairwise(WIDTHS):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.rest = nn.Sequential(
            *layers, nn.ConvTranspose2d(WIDTHS[-1], channels, 4, 2, 1), nn.Sigmoid()
        )

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Images [B, channels, SIZE, SIZE] in [0, 1] of noise z [B, LATENT] and classes int [B]."""
        result: Tensor = self.rest(
            self.first(torch.cat([z, self.classes(labels)], 1)).view(-1, WIDTHS[0], 4, 4)
        )
        return result


class Discriminator(nn.Module):
    """(pictures, classes) -> how real [B]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((channels, *WIDTHS[:0:-1]), WIDTHS[::-1], strict=True):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.real = spectral_norm(nn.Linear(WIDTHS[0] * 16, 1))
        self.classes = spectral_norm(nn.Embedding(2, WIDTHS[0] * 16))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Logits [B] that images [B, channels, SIZE, SIZE] in [0, 1] of classes int [B] are
        real."""
        h = self.features(2 * x - 1).flatten(1)
        result: Tensor = self.real(h)[:, 0] + (self.classes(labels) * h).sum(1)
        return result


def train(real: Labelled, steps: int, seed: int, device: str = "cpu") -> Generator:
    """Train a GAN; equal seeds give equal generators on one machine.

    Args:
        real: Real images of two classes.
        steps: Optimiser steps.
        seed: Seed of weights and batches.
        device: Device of the networks.
    """
    x = functional.interpolate(
        real.x, SIZE, mode="bilinear", antialias=True, align_corners=False
    ).clamp(0, 1)
    if torch.equal(x[:, :1].expand_as(x), x):
        x = x[:, :1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "gan"))
        maker = Generator(x.shape[1]).to(device)
        judge = Discriminator(x.shape[1]).to(device)
    makes, judges = (
        torch.optim.Adam(network.parameters(), RATE, BETAS) for network in (maker, judge)
    )
    source = generator(seed, "gan")
    labels = torch.arange(2, device=device).repeat_interleave(BATCH // 2)
    batches = _batches(x, real.labels, source)
    for _ in range(steps):
        generated = maker(_numbers(BATCH, source).to(device), labels)
        seen = shift(next(batches).to(device), source), shift(generated.detach(), source)
        loss = (
            functional.relu(1 - judge(seen[0], labels)).mean()
            + functional.relu(1 + judge(seen[1], labels)).mean()
        )
        _step(judges, loss)
        _step(makes, -judge(shift(generated, source), labels).mean())
    return maker.eval()


def imitate(
    real: Labelled, like: Labelled, *, steps: int, seed: int, device: str = "cpu"
) -> Labelled:
    """Train a GAN on real images, and sample images from it.

    Args:
        real: Real images of two classes.
        like: Images whose size and numbers per class the result has.
        steps: Optimiser steps.
        seed: Seed of training and sampling.
        device: Device of the networks.
    """
    maker = train(real, steps, seed, device)
    labels = torch.from_numpy(np.sort(like.labels))
    source = generator(seed, "gan", "draw")
    with torch.inference_mode():
        parts = [
            maker(_numbers(len(part), source).to(device), part.to(device)).cpu()
            for part in labels.split(BATCH)
        ]
    x = functional.interpolate(
        torch.cat(parts), like.x.shape[-1], mode="bilinear", align_corners=False
    )
    return Labelled(x.expand(-1, 3, -1, -1), labels.numpy())


def seconds_per_step() -> float:
    """Seconds of an optimiser step on this machine, from a few real steps on grey images."""
    grey = Labelled(torch.full((2, 3, SIZE, SIZE), 0.5), np.arange(2))
    tried = 3
    train(grey, 1, 0)  # the first step warms up
    began = time.perf_counter()
    train(grey, tried, 0)
    return (time.perf_counter() - began) / tried


def _batches(x: Tensor, labels: np.ndarray, source: torch.Generator) -> Iterator[Tensor]:
    """Half of each batch is of class 0, half of class 1."""
    members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in (0, 1)]
    while True:
        yield x[
            torch.cat(
                [own[torch.randint(len(own), (BATCH // 2,), generator=source)] for own in members]
            )
        ]


def _numbers(n: int, source: torch.Generator) -> Tensor:
    return torch.randn(n, LATENT, generator=source)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
