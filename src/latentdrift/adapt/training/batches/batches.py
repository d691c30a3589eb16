"""Batches of training. All randomness of step k comes from (seed, k), so a resumed run needs no
state of its generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.adapt.training.optimization.losses import draw_times
from latentdrift.model.noise import Noise
from latentdrift.seeds import generator

HELD_OUT = 24  # draws of the held-out loss
AT_A_TIME = 8  # of them

LossWeights = Callable[[Sequence[Example]], Tensor]
"""Examples -> weight of each of their latents in the loss, [B, 1, h, w]."""
Beside = Callable[[Sequence[Example]], Tensor]
"""Examples -> what the network is shown beside their noisy latents, [B, ...]."""


@dataclass(frozen=True)
class Batch:
    """Scaled latents and noise [B, C, h, w], times [B], one prompt and caption each; on the CPU."""

    x0: Tensor
    eps: Tensor
    t: Tensor
    prompts: tuple[str, ...]
    """Prompts given to the network: each the caption, or empty."""
    captions: tuple[str, ...]
    """Captions of the images, whether or not they are given to the network; they name the class of
    an image."""
    seen: Tensor | None = None
    """Noise in the network's input, where it is not eps, its target."""
    weight: Tensor | None = None
    """Weight of each latent in the loss, [B, 1, h, w]; None: 1."""
    beside: Tensor | None = None
    """Inputs of the network beside the noisy latents, [B, ...]."""
    counts: Tensor | None = None
    """Weight of each image in the loss, [B]; None: 1."""

    def __len__(self) -> int:
        return len(self.captions)

    def part(self, span: slice) -> Batch:
        """Select some images of the batch.

        Args:
            span: Slice of positions in the batch.

        Returns:
            Batch with every tensor and tuple cut to the slice; fields that are None stay None.
        """
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        cut: dict[str, Any] = {
            name: None if value is None else value[span] for name, value in values.items()
        }
        return Batch(**cut)


@dataclass(frozen=True)
class Batches:
    """The stream of training batches: every image once per epoch, in a new order each epoch, never
    flipped."""

    moments: Moments
    examples: Sequence[Example]
    size: int
    """Images per step, whether they go through the network together or not."""
    dropout: float
    """Share of images that are shown with the empty prompt, which guidance needs."""
    length: int
    """Number of times of the schedule."""
    seed: int
    noise: Noise = field(default_factory=Noise)
    weights: LossWeights | None = None
    beside: Beside | None = None
    blinds: bool = False
    """Whether what is shown beside is left out as often as the prompt, half of the times together
    with it."""

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        examples = [*draws(self.examples, self.seed, step * self.size, self.size)]
        rows = [example.row for example in examples]
        source = generator(self.seed, "step", step)
        shape = (self.size, *self.moments.shape)
        x0 = self.moments.sample(rows, torch.randn(shape, generator=source))
        eps = torch.randn(shape, generator=source)
        t = draw_times(self.size, self.length, source)
        chance = torch.rand(self.size, generator=source)
        silent = chance < self.dropout
        captions = tuple(example.caption for example in examples)
        prompts = tuple(
            "" if drop else caption for caption, drop in zip(captions, silent, strict=True)
        )
        seen, eps = self.noise.apply(
            eps, source
        )  # last, so that images, times and plain noise are those of any other noise
        weight = None if self.weights is None else self.weights(examples)
        beside = None if self.beside is None else self.beside(examples)
        if (
            beside is not None and self.blinds
        ):  # half before, half after the end of `silent` (Brooks et al. 2023, section 3.2.1)
            blind = (chance >= self.dropout / 2) & (chance < self.dropout * 3 / 2)
            beside = torch.where(blind.reshape(-1, *[1 for _ in beside.shape[1:]]), 0.0, beside)
        return Batch(x0, eps, t, prompts, captions, seen, weight, beside)


def draws(examples: Sequence[Example], seed: int, first: int, count: int) -> Iterator[Example]:
    """Iterate over some of the examples that the steps of a fit draw.

    Args:
        examples: All examples.
        seed: Seed of the fit.
        first: Number of the first draw.
        count: Number of draws.
    """
    for draw in range(first, first + count):
        epoch, place = divmod(draw, len(examples))
        yield examples[_order(seed, epoch, len(examples))[place]]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, n: int) -> list[int]:
    return torch.randperm(n, generator=generator(seed, "epoch", epoch)).tolist()


def held_out(
    moments: Moments, examples: Sequence[Example], length: int, beside: Beside | None = None
) -> list[Batch]:
    """Batches of fixed images, noise and times for the held-out loss.

    They are equal for every seed, method and batch size, so losses can be compared.

    Args:
        moments: Latent moments of the cohort.
        examples: Held-out examples; repeated in turn up to HELD_OUT draws.
        length: Number of times of the schedule.
        beside: Inputs of the network beside the noisy latents; None: none.

    Returns:
        Batches of AT_A_TIME images; an empty list without examples.
    """
    if not examples:
        return []
    source = generator(0, "held-out")
    chosen = [examples[draw % len(examples)] for draw in range(HELD_OUT)]
    eps = torch.randn((HELD_OUT, *moments.shape), generator=source)
    t = ((torch.randperm(HELD_OUT, generator=source) + 0.5) / HELD_OUT * length).long()
    spans = [slice(first, first + AT_A_TIME) for first in range(0, HELD_OUT, AT_A_TIME)]
    batches = []
    for part in spans:
        rows = [example.row for example in chosen[part]]
        captions = tuple(example.caption for example in chosen[part])
        images = beside(chosen[part]) if beside else None
        batches.append(
            Batch(moments.means(rows), eps[part], t[part], captions, captions, beside=images)
        )
    return batches
