"""Fine structure: grain is no anatomy, and smoothing is that of scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from latentdrift.evaluate.images import fine_structure
from latentdrift.evaluate.images.fine_structure import structure
from latentdrift.evaluate.images.registration import nearest


def test_grain_is_known_for_what_it_is():
    """White grain: its variance in the structure's scales, and its share of a picture that had
    none."""
    generator = np.random.default_rng(0)
    grain = torch.from_numpy(generator.normal(size=(40, 100, 150)).astype(np.float32))
    rows, columns = (fine_structure._sampler(size, 32) for size in (100, 150))
    small = (rows @ grain @ columns.T)[:, None]
    detail = fine_structure._blur(small, fine_structure.FINE) - fine_structure._blur(
        small, fine_structure.WIDE
    )
    assert float(detail[..., 8:-8, 8:-8].var()) == pytest.approx(
        fine_structure._gain(100, 150, 32), rel=0.1
    )
    picture = 0.5 + 0.05 * gaussian_filter(generator.normal(size=(128, 128)), 2) * 7
    noisy = picture + generator.normal(0, 0.05, picture.shape)
    both = np.repeat(np.stack([picture, noisy])[..., None], 3, -1).clip(0, 1)
    clean, share = (float(x) for x in structure(both).grain[:][:, 2])
    alike = nearest(both[1:], structure(both[:1]), common=[structure(0.5 + 0 * both)])
    assert clean < 0.01 and 0.03 < share < fine_structure.GRAIN and alike.fine[0] > 0.97
    left = np.corrcoef(
        *(x[8:-8, 8:-8].flatten() for x in structure(both).sides[2][:][:, 0].numpy())
    )[0, 1]
    assert left < 0.95 and left == pytest.approx(np.sqrt(1 - share), abs=0.03)  # what is put right
    other_way = nearest(both[:1], structure(both[1:]), common=[structure(0.5 + 0 * both)])
    assert other_way.fine[0] == pytest.approx(left, abs=0.03)


def test_smoothing_is_that_of_scipy():
    """A Gaussian over 3 standard deviations, mirrored at the border without its last pixel."""
    image = np.random.default_rng(0).normal(size=(32, 32)).astype(np.float32)
    smooth = fine_structure._blur(torch.from_numpy(image)[None, None], 2.5)[0, 0].numpy()
    expected = gaussian_filter(image, 2.5, mode="mirror", radius=8)
    np.testing.assert_allclose(smooth, expected, atol=1e-6)
