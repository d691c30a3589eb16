"""The small GAN on discs whose place and size are known for each class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from discs import pictures

from latentdrift.evaluate.downstream import gan
from latentdrift.evaluate.downstream.tstr import Labelled

ROW, COL = np.mgrid[: gan.SIZE, : gan.SIZE] / (gan.SIZE - 1) * 2 - 1
RADIUS = np.hypot(ROW, COL)
RING = (RADIUS > 0.35) & (
    RADIUS < 0.55
)  # inside of the large disc of class 1, outside of the small one of class 0


@pytest.fixture(scope="module")
def made() -> Labelled:
    return gan.imitate(pictures(48, 0), pictures(16, 1).take(12, 0), steps=80, seed=0)


def test_it_draws_each_class_as_its_pictures_are(made: Labelled) -> None:
    real = pictures(48, 0)
    for label in (0, 1):
        own, true = (of.x[of.labels == label, 0].numpy() for of in (made, real))
        for where in (RADIUS < 0.25, RING, RADIUS > 0.7):
            assert own[:, where].mean() == pytest.approx(true[:, where].mean(), abs=0.12), label
    small, large = (made.x[made.labels == label, 0].numpy()[:, RING].mean() for label in (0, 1))
    assert large - small > 0.3  # 0.5 in real ones


def test_as_many_of_each_class_as_are_asked_for_in_their_size(made: Labelled) -> None:
    like = Labelled(torch.zeros(5, 3, 32, 32), np.array([0, 1, 0, 0, 0]))
    few = gan.imitate(pictures(48, 0), like, steps=1, seed=0)
    assert few.x.shape == (5, 3, 32, 32) and sorted(few.labels) == [0, 0, 0, 0, 1]
    assert made.x.shape == (12, 3, 64, 64) and made.labels.sum() == 6
    assert (
        made.x.min() >= 0 and made.x.max() <= 1 and torch.equal(made.x[:, 0], made.x[:, 2])
    )  # grey, as what it learned from


def test_the_same_seed_draws_the_same_and_torch_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (
        gan.imitate(pictures(8, 0), pictures(4, 1), steps=2, seed=seed).x for seed in (3, 3, 4)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(before, torch.random.get_rng_state())
    colour = pictures(8, 0)
    colour.x[:, 2] = 0.1
    assert gan.train(colour, 1, 0)(torch.zeros(2, gan.LATENT), torch.arange(2)).shape == (
        2,
        3,
        gan.SIZE,
        gan.SIZE,
    )
