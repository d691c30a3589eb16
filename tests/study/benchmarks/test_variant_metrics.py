"""Metrics of a variant: images that are the real ones are at no distance from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_inputs import textures, tone

from latentdrift.model.base import Base
from latentdrift.study.benchmarks.variant_metrics import Judge, channel_means


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def test_the_real_images_are_at_no_distance(base: Base) -> None:
    real = textures(20, 0)
    patients = [f"p{i}" for i in range(20)]
    judge = Judge(real, patients, {"tone": tone}, {"tone": tone(real)}, 10)
    metrics = judge(base, real, seed=0)
    assert metrics["latent_dc"] == metrics["real_latent_dc"] and metrics["latent_dc_error"] == 0
    assert metrics["frechet_tone"].value == pytest.approx(0, abs=1e-6)
    assert set(metrics["kid_tone"].to_dict()) == {"value", "ci", "floor", "matched"}
    darker = judge(base, real * 0.5, seed=0)
    assert darker["frechet_tone"].value > 0.01 and darker["latent_dc_error"] > 0


def test_channel_means_do_not_depend_on_the_order_of_images(base: Base) -> None:
    images = textures(11, 0)
    means = channel_means(base, images)
    assert len(means) == base.latent_channels
    np.testing.assert_allclose(means, channel_means(base, images[::-1]), atol=1e-5)
    alone = np.mean([channel_means(base, images[i : i + 1]) for i in range(11)], axis=0)
    np.testing.assert_allclose(means, alone, atol=1e-5)
