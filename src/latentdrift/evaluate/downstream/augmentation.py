"""AUGMENTATIONS: what happens to pictures before they are learned from. None of them mirrors: left
and right differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SHIFT = 3
GAIN = 0.1
GAMMA = 0.2  # at most: pixels of 64, share, |log gamma|
TURN = 10.0  # degrees, at most (ours)

Step = Callable[[Tensor, torch.Generator], Tensor]
"""Pictures [B, C, S, S] in [0, 1] and where chance comes from -> the same, changed."""


def tone(x: Tensor, source: torch.Generator) -> Tensor:
    """Change brightness and gamma of each image a little.

    Args:
        x: [B, C, S, S] in [0, 1].
        source: Generator.
    """
    draw = 2 * torch.rand(2, len(x), 1, 1, 1, generator=source) - 1
    return (x ** torch.exp(GAMMA * draw[0]) * (1 + GAIN * draw[1])).clamp(0, 1)


def shift(x: Tensor, source: torch.Generator) -> Tensor:
    """Shift each image by up to SHIFT / 64 of its side in both directions; edges are repeated.

    Args:
        x: [B, C, S, S].
        source: Generator.
    """
    side = x.shape[-1]
    limit = round(SHIFT * side / 64)
    padded = functional.pad(x, (limit,) * 4, mode="replicate")
    corners = torch.randint(2 * limit + 1, (len(x), 2), generator=source).tolist()
    return torch.stack(
        [
            picture[:, i : i + side, j : j + side]
            for picture, (i, j) in zip(padded, corners, strict=True)
        ]
    )


def turn(x: Tensor, source: torch.Generator) -> Tensor:
    """Rotate each image by up to TURN degrees about its centre; edges are repeated.

    Args:
        x: [B, C, S, S].
        source: Generator.
    """
    angle = torch.deg2rad(TURN * (2 * torch.rand(len(x), generator=source) - 1))
    cos = angle.cos()
    sin = angle.sin()
    none = torch.zeros(len(x))
    matrix = torch.stack([torch.stack([cos, -sin, none], -1), torch.stack([sin, cos, none], -1)], 1)
    grid = functional.affine_grid(matrix, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class Augmentation:
    """A row of AUGMENTATIONS: steps that change intensities, and then steps that move pixels, with
    which a mask moves."""

    tones: tuple[Step, ...] = ()
    moves: tuple[Step, ...] = ()

    def __call__(self, x: Tensor, source: torch.Generator) -> Tensor:
        """Pictures [B, C, S, S] in [0, 1]."""
        for step in (*self.tones, *self.moves):
            x = step(x, source)
        return x

    def both(
        self, x: Tensor, mask: Tensor, labels: int, source: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Augment images and their masks; masks move as their images do.

        Args:
            x: Images [B, C, S, S] in [0, 1].
            mask: Labels, int [B, S, S].
            labels: Number of labels; every label is below it.
            source: Generator.

        Returns:
            Images and masks of the same shapes.
        """
        for step in self.tones:
            x = step(x, source)
        if not self.moves:
            return x, mask
        channels = x.shape[1]
        joined = torch.cat([x, functional.one_hot(mask, labels).permute(0, 3, 1, 2).to(x)], 1)
        for step in self.moves:
            joined = step(joined, source)
        return joined[:, :channels], joined[:, channels:].argmax(1)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation((tone,), (shift,)),
    "classical": Augmentation((tone,), (shift, turn)),
}
