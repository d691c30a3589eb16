"""Moves of an image, and what is read of it after a move.

A move is a shift down and right (shares of the frame), a log scale, and an angle (rad).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from latentdrift.evaluate.images.fine_structure import SIDES

# Share of a view at its border that does not count: surroundings are cut off there.
MARGIN = 0.08

# Coarse search: degrees, factors, and shares of the frame.
ANGLES = (-4.0, 0.0, 4.0)
SCALES = (0.88, 0.92, 0.96, 1.0, 1.05)
SHIFTS = tuple(0.0625 * step / 3 for step in range(-3, 4))


def coarse_moves() -> Tensor:
    """Moves of the coarse search [M, 4].

    A move is a shift down and right (shares of the frame), a log scale, and an angle (rad).
    """
    scales = [math.log(scale) for scale in SCALES]
    angles = [math.radians(angle) for angle in ANGLES]
    return torch.tensor(list(product(SHIFTS, SHIFTS, scales, angles)))


@cache
def coarse_views() -> Views:
    """Positions that each coarse move, undone, reads."""
    return views_of(inverse(coarse_moves()), SIDES[0])


def matrix(moves: Tensor) -> Tensor:
    """Matrices of moves [P, 4], from positions in a view to positions in the image [P, 2, 3].

    Both are in the coordinates of `grid_sample`.
    """
    down, right, scale, angle = moves.unbind(1)
    c = scale.exp() * angle.cos()
    s = scale.exp() * angle.sin()
    x_row = torch.stack([c, -s, 2 * right], 1)
    y_row = torch.stack([s, c, 2 * down], 1)
    return torch.stack([x_row, y_row], 1)


def inverse(moves: Tensor) -> Tensor:
    """The moves [P, 4] that undo moves."""
    down, right, scale, angle = moves.unbind(1)
    c = (-scale).exp() * angle.cos()
    s = (-scale).exp() * angle.sin()
    down_back = -(c * down - s * right)
    right_back = -(c * right + s * down)
    return torch.stack([down_back, right_back, -scale, -angle], 1)


@dataclass(frozen=True)
class Views:
    """Positions inside the frame that the views of P moves read.

    Attributes:
        positions: x and y in the coordinates of `grid_sample` [P, 2, D].
        inside: 1 where a position counts, 0 where it lies too near to the border [P, D].
    """

    positions: Tensor
    inside: Tensor

    def __len__(self) -> int:
        return len(self.positions)


def views_of(moves: Tensor, side: int, stride: int = 1) -> Views:
    """Positions that the views of moves [P, 4] of images with `side` pixels read, every `stride`
    pixels."""
    positions = matrix(moves) @ _frame_positions(side, stride)
    limit = 1 - 2 * _frame(side).start / side
    return Views(positions, (positions.abs().amax(1) <= limit).float())


@cache
def _frame_positions(side: int, stride: int) -> Tensor:
    """x, y and 1 of the pixels inside the frame, in the coordinates of `grid_sample` [3, D]."""
    centres = (2 * torch.arange(side) + 1) / side - 1
    inside = centres[_frame(side, stride)]
    y, x = torch.meshgrid(inside, inside, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).flatten(1)


def _frame(side: int, stride: int = 1) -> slice:
    """Rows, and columns, of a view that count."""
    margin = round(MARGIN * side)
    return slice(margin, side - margin, stride)


def in_frame(images: Tensor, stride: int = 1) -> Tensor:
    """Images [P, 1, side, side] without their margin, every `stride` pixels [P, D]."""
    frame = _frame(images.shape[-1], stride)
    return images[..., frame, frame].flatten(1)


def read(images: Tensor, positions: Tensor) -> Tensor:
    """Images [P, 1, side, side] at positions [P, 2, D], as rows [P, D]."""
    grid = positions.transpose(1, 2)[:, None]
    return grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    ).flatten(1)


def unit(x: Tensor) -> Tensor:
    result: Tensor = x / x.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return result
