"""Diversity: images that repeat themselves are as similar as can be."""

from __future__ import annotations

import numpy as np
import pytest
from evaluation_inputs import inputs_of, textures

from latentdrift.evaluate.evaluations.diversity import compute
from latentdrift.evaluate.images.image_sets import EvaluationImages


def test_one_image_over_and_over_has_a_similarity_of_1() -> None:
    result = compute(inputs_of(np.repeat(textures(1, 2), 12, 0)))
    assert result is not None
    metric = result.metrics["ms-ssim.within"]
    assert metric.value == pytest.approx(1, abs=1e-5)
    assert metric.floor is not None and metric.floor < 0.8


def test_images_below_the_window_say_nothing() -> None:
    inputs = inputs_of(textures(12, 2))
    small = EvaluationImages(inputs.real.images[:, :8, :8], inputs.real.patients)
    inputs.__dict__["real"] = small
    assert compute(inputs) is None
