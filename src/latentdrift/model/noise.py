"""NOISES: other noise to train on than white Gaussian; the rivals of drift, which changes the mean
where these change the spread.

All are zero-mean, act in training only, and go with any drift: the wrapped network takes them as it
takes plain noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentdrift.errors import OptionError, unknown

Draw = Callable[[tuple[int, ...]], Tensor]
"""A shape -> fresh unit noise of it."""


def pyramid(eps: Tensor, discount: float, draw: Draw) -> Tensor:
    """Add noise of ever coarser grids, level i weighted by discount^i, at variance 1 (Whitaker
    2023).

    Each level halves the grid before it, down to one value per channel. The published code draws
    the ratio from [2, 4), and divides by the standard deviation of the batch. Here every latent is
    divided by its exact standard deviation.

    Args:
        eps: Plain noise [B, C, h, w].
        discount: Weight of one level over the level before, in [0, 1].
        draw: Shape -> standard normal noise.
    """
    size = eps.shape[-2:]
    levels = math.floor(math.log2(max(eps.shape[-2:])))
    total = eps
    variance = torch.ones(())
    for level in range(1, levels + 1):
        coarse = [max(1, side >> level) for side in size]
        finer = interpolate(draw((*eps.shape[:2], *coarse)), size, mode="bilinear")
        total = total + discount**level * finer
        rows, columns = (_power(few, side) for few, side in zip(coarse, size, strict=True))
        variance = variance + discount ** (2 * level) * rows[:, None] * columns
    return total / variance.sqrt()


def _power(few: int, side: int) -> Tensor:
    """Variance [side] of unit noise on `few` points after linear interpolation to `side`."""
    return interpolate(torch.eye(few)[None], side, mode="linear")[0].square().sum(0)


def offset(eps: Tensor, strength: float, draw: Draw) -> Tensor:
    """Add strength n, with one n ~ N(0, 1) per image and channel (Guttenberg 2023); n = 1 is drift.

    Args:
        eps: Plain noise [B, C, h, w].
        strength: Standard deviation of the offset, in [0, 1].
        draw: Shape -> standard normal noise.
    """
    return eps + strength * draw((*eps.shape[:2], 1, 1))


def perturb(eps: Tensor, strength: float, draw: Draw) -> Tensor:
    """Add strength xi, with xi ~ N(0, 1) per latent (Ning et al. 2023, DDPM-IP, algorithm 1).

    Args:
        eps: Plain noise [B, C, h, w].
        strength: Standard deviation of the perturbation, in [0, 1].
        draw: Shape -> standard normal noise.
    """
    return eps + strength * draw(tuple(eps.shape))


@dataclass(frozen=True)
class Row:
    """A row of NOISES."""

    summary: str
    default: float
    """Its strength, where none is given; 0 is none of it."""
    change: Callable[[Tensor, float, Draw], Tensor]
    """(eps [B, C, h, w], strength, draw) -> the changed noise."""
    target: bool = True
    """The network is to predict the changed noise; else it only sees it."""


# In the order in which they act.
NOISES: dict[str, Row] = {
    "pyramid": Row(
        "coarse noise at every scale", 0.8, pyramid
    ),  # the discount of Whitaker's published model
    "offset": Row("a random offset per image and channel", 0.1, offset),  # Guttenberg 2023
    "input-perturbation": Row(
        "more noise in the input than in the target", 0.1, perturb, target=False
    ),  # Ning et al. 2023
}


@dataclass(frozen=True)
class Noise:
    """Rows of NOISES with their strengths, in the table's order; `Noise()` is plain."""

    strengths: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Noise:
        """Parse the option `noise`.

        Args:
            texts: `offset=0.1`, or `offset` for its default strength.

        Raises:
            OptionError: An unknown row, one given twice, or a strength outside [0, 1].
        """
        given: dict[str, float] = {}
        for text in texts:
            name, _, strength = (part.strip() for part in text.partition("="))
            if name not in NOISES:
                raise unknown("noise", name, NOISES)
            if name in given:
                raise OptionError(f"noise '{name}' is given twice; give it once")
            given[name] = _strength(text, strength) if "=" in text else NOISES[name].default
        return cls(tuple((name, given[name]) for name in NOISES if given.get(name)))

    def apply(self, eps: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Change plain noise into training noise; plain noise draws nothing and is returned
        unchanged.

        Args:
            eps: Plain noise [B, C, h, w].
            generator: Source of further noise.

        Returns:
            Noise in the network's input, and noise that is its target.
        """
        draw = partial(torch.randn, generator=generator)
        seen = target = eps
        for name, strength in self.strengths:
            row = NOISES[name]
            seen = row.change(seen, strength, draw)
            target = seen if row.target else target
        return seen, target

    def to_dict(self) -> dict[str, float]:
        """Content for fit.json and adapter.json."""
        return dict(self.strengths)


def _strength(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise OptionError(
            f"noise '{text}' is not understood; give a strength from 0 (none) to 1, as in "
            "offset=0.1"
        )
    return value
