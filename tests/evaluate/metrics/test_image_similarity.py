"""SSIM and PSNR against torchmetrics and closed forms; reading what `edit` wrote."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from latentdrift.errors import InputError
from latentdrift.evaluate.metrics.image_similarity import (
    SCALE_WEIGHTS,
    SIMILARITIES,
    compare,
    scales,
)


@pytest.fixture
def pair():
    generator = np.random.default_rng(0)
    a = generator.random((3, 48, 40, 3))
    return a, np.clip(a + generator.normal(0, 0.1, a.shape), 0, 1)


def test_psnr_is_its_closed_form():
    a = np.zeros((1, 16, 16))
    assert compare(a, a + 0.1)["psnr"][0] == pytest.approx(20.0)
    assert compare(a, a + 0.1, data_range=2.0)["psnr"][0] == pytest.approx(20.0 + 20 * np.log10(2))


def test_psnr_agrees_with_torchmetrics(pair):
    from torchmetrics.functional.image import peak_signal_noise_ratio

    a, b = pair
    tensors = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in zip(a, b, strict=True)]
    expected = [float(peak_signal_noise_ratio(y, x, data_range=1.0)) for x, y in tensors]
    assert compare(a, b)["psnr"] == pytest.approx(expected, abs=1e-6)


def test_ssim_agrees_with_torchmetrics(pair):
    from torchmetrics.functional.image import structural_similarity_index_measure

    a, b = pair
    x, y = (torch.from_numpy(np.moveaxis(z, -1, 1)) for z in (a, b))
    _, everywhere = structural_similarity_index_measure(
        y, x, data_range=1.0, reduction="none", return_full_image=True
    )
    expected = (
        everywhere[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)).tolist()
    )  # where the window does not reach over the border
    assert compare(a, b)["ssim"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("side", [40, 100, 180], ids=["2 scales", "4 scales", "5 scales"])
def test_ms_ssim_agrees_with_its_parts(side):
    """Contrast and structure of each scale from torchmetrics, SSIM of the last scale from
    scikit-image."""
    from torchmetrics.functional.image.ssim import _ssim_update

    generator = np.random.default_rng(side)
    betas = np.array(SCALE_WEIGHTS[: scales(side, side)])
    a = generator.random((2, side, side, 3))
    b = np.clip(a + generator.normal(0, 0.1, a.shape), 0, 1)
    x, y = (torch.from_numpy(np.moveaxis(z, -1, 1).copy()) for z in (a, b))
    expected = np.ones(2)
    for place, beta in enumerate(betas / betas.sum()):
        if place:
            x, y = (torch.nn.functional.avg_pool2d(z, 2) for z in (x, y))
        _, part = _ssim_update(x, y, data_range=1.0, return_contrast_sensitivity=True)
        if place == len(betas) - 1:
            part = compare(
                *(np.moveaxis(z.numpy(), 1, -1) for z in (x, y)),
                rows={"ssim": SIMILARITIES["ssim"]},
            )["ssim"]
        expected *= np.asarray(part) ** beta
    assert compare(a, b)["ms-ssim"] == pytest.approx(expected, abs=2e-5)


def test_ms_ssim_of_one_scale_is_ssim():
    a, b = np.random.default_rng(1).random((2, 3, 16, 16, 3))
    found = compare(a, b * 0.2 + a * 0.8)
    assert scales(16, 16) == 1 and scales(176, 300) == 5
    assert found["ms-ssim"] == pytest.approx(found["ssim"], abs=1e-5)


def test_identical_pictures():
    a = np.random.default_rng(0).random((1, 20, 20))
    scores = compare(a, a)
    assert scores["ssim"][0] == pytest.approx(1.0) and np.isinf(scores["psnr"][0])


def test_pairs_of_different_sizes_get_a_sentence():
    with pytest.raises(InputError, match="one size"):
        compare(np.zeros((1, 16, 16)), np.zeros((1, 16, 17)))


def test_too_small_a_picture_gets_a_sentence():
    with pytest.raises(InputError, match="11 pixels"):
        compare(np.zeros((1, 8, 8)), np.ones((1, 8, 8)))
