"""Moves: positions are those of torch, and an inverse undoes its move."""

from __future__ import annotations

import torch
from torch.nn.functional import affine_grid, grid_sample

from latentdrift.evaluate.images.moves import (
    coarse_moves,
    coarse_views,
    in_frame,
    inverse,
    matrix,
    read,
    views_of,
)

MOVES = torch.tensor([[0.02, -0.03, 0.05, 0.04], [0.1, 0.12, 0.2, -0.15]])


def test_positions_are_those_of_torch_inside_the_margin():
    """Positions of a view, and the places that count, against the whole grid of torch."""
    views = views_of(MOVES, 64)
    grid = affine_grid(matrix(MOVES), [2, 1, 64, 64], align_corners=False)
    framed = grid[:, 5:-5, 5:-5].flatten(1, 2)  # 8 % of 64 pixels
    torch.testing.assert_close(views.positions, framed.transpose(1, 2), rtol=0, atol=1e-6)
    counted = (framed.abs() <= 1 - 10 / 64).all(-1)
    assert torch.equal(views.inside.bool(), counted) and 0 < counted[1].sum() < 54**2


def test_an_inverse_undoes_its_move():
    """The matrices of a move and of its inverse, as 3 x 3 ones, multiply to the identity."""
    last_row = torch.tensor([[[0.0, 0.0, 1.0]]]).expand(2, -1, -1)
    there = torch.cat([matrix(MOVES), last_row], 1)
    back = torch.cat([matrix(inverse(MOVES)), last_row], 1)
    torch.testing.assert_close(there @ back, torch.eye(3).expand(2, -1, -1), atol=1e-6, rtol=0)


def test_reading_without_a_move_is_the_image_in_its_frame():
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        read(image, views_of(torch.zeros(1, 4), 32).positions), in_frame(image)
    )


def test_reading_is_that_of_torch():
    image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    grid = affine_grid(matrix(MOVES), [2, 1, 32, 32], align_corners=False)
    expected = in_frame(grid_sample(image, grid, align_corners=False))
    torch.testing.assert_close(
        read(image, views_of(MOVES, 32).positions), expected, atol=1e-5, rtol=0
    )


def test_one_coarse_move_is_none():
    still = (coarse_moves().abs().amax(1) < 1e-6).nonzero()
    assert len(still) == 1
    torch.testing.assert_close(
        coarse_views().positions[still[0, 0]], views_of(torch.zeros(1, 4), 32).positions[0]
    )
