"""Weights that follow the difference of two visits, where the difference is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.change_weights import LARGEST, change_weights
from latentdrift.adapt.training.batches.latent_cache import Moments

SIDE = 9


@pytest.fixture
def moments() -> Moments:
    """Two images: the second one differs in the middle latent of one channel by 3."""
    mean = np.zeros((2, 4, SIDE, SIDE), np.float32)
    mean[1, 2, 4, 4] = 3.0
    return Moments(mean, np.zeros_like(mean))


def test_weight_lies_where_the_visits_differ(moments: Moments) -> None:
    """The squared difference spreads over 3 x 3 latents, of 81, so each has 9 times the mean."""
    (found,) = change_weights(moments, [Example(1, "p", shown=0)], 0.5)
    assert found.shape == (1, SIDE, SIDE)
    near = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    near[3:6, 3:6] = True
    assert found[0][near].tolist() == pytest.approx([0.5 + 0.5 * 9] * 9)
    assert found[0][~near].tolist() == pytest.approx([0.5] * 72)
    assert float(found.mean()) == pytest.approx(1.0)


def test_both_directions_have_equal_weights_and_an_image_and_itself_even_ones(
    moments: Moments,
) -> None:
    there, back, alone = change_weights(
        moments,
        [Example(1, "p", shown=0), Example(0, "p", shown=1), Example(1, "p", shown=1)],
        0.8,
    )
    assert torch.equal(there, back)
    assert torch.equal(alone, torch.ones(1, SIDE, SIDE))


def test_no_latent_counts_more_than_the_largest_weight() -> None:
    mean = np.zeros((2, 1, 32, 32), np.float32)
    mean[1, 0, 16, 16] = 1.0
    moments = Moments(mean, np.zeros_like(mean))
    found = change_weights(moments, [Example(1, "p", shown=0)], 1.0)
    assert float(found.max()) == LARGEST and float(found.min()) == 0
