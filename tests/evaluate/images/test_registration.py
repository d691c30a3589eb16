"""Registration: a picture finds back to where it was."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import affine_grid, grid_sample

from latentdrift.evaluate.images import registration
from latentdrift.evaluate.images.fine_structure import Structure, structure
from latentdrift.evaluate.images.moves import matrix
from latentdrift.evaluate.images.registration import nearest


def test_the_step_towards_a_fit_is_that_of_unit_vectors():
    """J of w / |w| by automatic differentiation gives the same normal equations as inner products
    of w and its slopes."""
    generator = torch.Generator().manual_seed(0)
    view = torch.randn(
        3, 5, 4, 6, generator=generator
    )  # w, and its slopes with respect to four moves
    ours = torch.nn.functional.normalize(torch.randn(3, 24, generator=generator), dim=1)
    gram, pull = registration._normal_equations(ours, view)
    for i in range(3):
        w = view[i, 0].flatten()
        slopes = view[i, 1:].flatten(1).T
        unit = lambda move, w=w, slopes=slopes: torch.nn.functional.normalize(  # noqa: E731
            w + slopes @ move, dim=0
        )
        jacobian = torch.autograd.functional.jacobian(unit, torch.zeros(4))
        torch.testing.assert_close(gram[i], jacobian.T @ jacobian, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            pull[i], jacobian.T @ (ours[i] - unit(torch.zeros(4))), rtol=1e-4, atol=1e-5
        )


def test_a_picture_finds_back_to_where_it_was():
    """Smooth pictures, moved by less than the coarse steps part: laid over themselves as they
    were."""
    picture = gaussian_filter(
        np.random.default_rng(0).normal(size=(3, 1, 64, 64)), (0, 0, 1.5, 1.5)
    ).astype(np.float32)
    train = Structure([torch.from_numpy(picture)] * 3, torch.zeros(3, 3))
    moves = torch.tensor(
        [[0.02, -0.03, 0.05, 0.04], [0.0, 0.01, 0.0, -0.05], [-0.01, 0.02, -0.06, 0.02]]
    )
    grid = affine_grid(matrix(moves), [3, 1, 64, 64], align_corners=False)
    moved = grid_sample(train.sides[1], grid, align_corners=False)
    reference = registration._Reference(train, [torch.zeros(1, 1, 64, 64)] * 3)
    start = moves + torch.tensor([0.005, -0.006, 0.01, 0.015])
    value, found = reference._fit(
        moved,
        torch.arange(3)[:, None],
        start[:, None],
        torch.zeros(3, 1, dtype=torch.bool),
        registration.Stage(1, 1, 8),
    )
    assert (value > 0.999).all() and (found[:, 0] - moves).abs().max() < 5e-4


def test_pairs_that_are_fitted_in_any_number_at_a_time_give_the_same(monkeypatch):
    images = np.random.default_rng(0).random((6, 40, 40, 1)).repeat(3, -1)
    expected = nearest(images[:3], structure(images[3:]))
    monkeypatch.setattr(registration, "PIXELS", 2**14)
    split = nearest(images[:3], structure(images[3:]))
    np.testing.assert_array_equal(split.index, expected.index)
    np.testing.assert_allclose(split.value, expected.value, atol=1e-6)
    np.testing.assert_allclose(split.fine, expected.fine, atol=1e-6)
