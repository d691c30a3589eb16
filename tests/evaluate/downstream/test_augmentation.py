"""Augmentations: small, never mirrored, and masks move as their images do."""

from __future__ import annotations

import pytest
import torch

from latentdrift.evaluate.downstream.augmentation import (
    AUGMENTATIONS,
    GAIN,
    GAMMA,
    SHIFT,
    shift,
    tone,
    turn,
)


def source() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_tone_is_a_gain_and_a_gamma_within_their_limits() -> None:
    x = torch.full((400, 1, 2, 2), 0.5)
    changed = tone(x, source())
    assert (changed.flatten(1) == changed.flatten(1)[:, :1]).all()
    low = 0.5 ** torch.exp(torch.tensor(GAMMA)) * (1 - GAIN)
    high = 0.5 ** torch.exp(torch.tensor(-GAMMA)) * (1 + GAIN)
    assert low <= changed.min() < 0.45 and 0.55 < changed.max() <= high
    assert torch.equal(tone(torch.zeros(3, 1, 2, 2), source()), torch.zeros(3, 1, 2, 2))


def test_a_shift_moves_whole_pixels_and_repeats_the_edge() -> None:
    x = torch.arange(64.0).expand(50, 1, 64, 64)
    moved = shift(x, source())
    steps = (moved - x)[..., 10:-10]
    assert set(steps.unique().tolist()) == set(range(-SHIFT, SHIFT + 1))
    assert moved.min() == 0 and moved.max() == 63


def test_a_turn_keeps_the_middle_and_never_mirrors() -> None:
    x = torch.zeros(40, 1, 65, 65)
    x[..., 32, 32] = 1.0  # the middle
    x[..., 32, 60] = 2.0  # 28 pixels to the right of it
    turned = turn(x, source())
    assert turned[..., 32, 32].sub(1).abs().max() < 1e-3
    assert (turned[..., 33:].sum((1, 2, 3)) > 1).all() and turned[..., :31].abs().max() < 1e-5


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_masks_move_as_their_images_do(name: str) -> None:
    mask = torch.zeros(12, 64, 64, dtype=torch.long)
    mask[:, 20:40, 10:30] = 1
    mask[:, 45:60, 45:60] = 2
    x = mask[:, None].float() / 2
    images, masks = AUGMENTATIONS[name].both(x, mask, 3, source())
    assert masks.dtype == torch.long and masks.max() == 2
    agree = ((images[:, 0] > 0.2).long() == (masks > 0).long()).float().mean()
    assert agree > 0.98
    if name == "none":
        assert images is x and masks is mask
    if name == "light":
        assert masks.sum() == mask.sum()
