"""U-Net: shapes, seeds, and the Dice coefficient against sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentdrift.evaluate.downstream.unet import SIZE, dice, segmenter


def test_a_network_has_a_logit_for_each_label_and_depends_on_its_seed() -> None:
    x = torch.rand(2, 3, SIZE, SIZE)
    logits = segmenter(0, 3)(x)
    assert logits.shape == (2, 3, SIZE, SIZE)
    assert torch.equal(logits, segmenter(0, 3)(x))
    assert not torch.equal(logits, segmenter(1, 3)(x))
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    segmenter(0, 3)
    assert torch.equal(torch.rand(2), expected)


def test_dice_is_twice_the_overlap_over_both_sizes() -> None:
    truth = torch.zeros(3, 4, 4, dtype=torch.long)
    truth[0, :2] = 1  # 8 pixels
    truth[1, 0, 0] = 2
    prediction = torch.zeros_like(truth)
    prediction[0, 1:3] = 1  # 8 pixels, of which 4 overlap
    prediction[2, 0] = 1
    scores = dice(prediction, truth, 3)
    assert scores.shape == (3, 2)
    assert scores[0, 0] == pytest.approx(2 * 4 / 16)
    assert scores[1, 1] == 0
    missing = np.array([[False, True], [True, False], [True, True]])
    np.testing.assert_array_equal(np.isnan(scores), missing)
