"""Resizing: Pillow's bicubic filter in floating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from latentdrift.evaluate.features.resizing import resize


@pytest.fixture
def pictures():
    return np.random.default_rng(0).random((3, 40, 40, 3)).astype(np.float32)


def test_resize_is_pillows_bicubic_in_floating_point(pictures):
    expected = np.asarray(
        Image.fromarray(pictures[1, :, :, 2]).resize((17, 17), Image.Resampling.BICUBIC)
    ).clip(0, 1)
    assert resize(pictures, 17)[1, 2].numpy() == pytest.approx(expected, abs=1e-6)


def test_grey_pictures_resize_as_colour_ones_do(pictures):
    grey = pictures[..., :1].repeat(3, -1)
    nearly = grey.copy()
    nearly[0, 0, 0, 0] += 1e-6  # not grey any more, so it takes the other way
    assert torch.allclose(resize(grey, 23), resize(nearly, 23), atol=1e-5)
