"""Distribution: distances in closed form, lights, and a section with a table and a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_inputs import inputs_of, rendered, textures, tone
from scipy.linalg import sqrtm

from latentdrift.evaluate.evaluations.distribution import DISTRIBUTION, compute, lights
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.evaluations.realism import NoAnatomy, RealismResult


def test_the_frechet_distance_is_that_of_two_gaussians() -> None:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 sqrt(C1 C2)) (Dowson and Landau 1982)."""
    inputs = inputs_of(textures(24, 2) * 0.8)
    result = compute(inputs)
    real, synthetic = tone(inputs.real.images), tone(inputs.synthetic.images)
    mean = real.mean(0) - synthetic.mean(0)
    first, second = np.cov(real.T), np.cov(synthetic.T)
    expected = mean @ mean + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert result.metrics["frechet.tone"].value == pytest.approx(expected, rel=1e-3)
    assert result.spaces["tone"].dimension == 2
    assert result.spaces["tone"].protocol == "not stated"
    assert len(result.map["tone"].real) == 16 and len(result.map["tone"].synthetic) == 24
    assert sum(result.map["tone"].explained) == pytest.approx(1.0)


def test_the_same_images_are_at_no_distance() -> None:
    images = textures(16, 1)
    result = compute(inputs_of(images, real=images))
    assert result.metrics["frechet.tone"].value == pytest.approx(0, abs=1e-6)
    for name in ("precision", "recall", "coverage"):
        assert result.metrics[f"{name}.tone"].value == 1


def test_lights_need_anatomy_and_the_section_stands_alone(tmp_path: Path) -> None:
    inputs = inputs_of(textures(24, 2) * 0.5)
    result = compute(inputs)
    assert lights(Results([result])) == []
    realism = RealismResult(realism={"tone": NoAnatomy(reason="Too few images.")})
    (title, colour, sentence), *_ = lights(Results([result, realism]))
    assert title == "Like the real ones? (tone)" and colour in ("red", "grey")
    assert "Too few images." in sentence
    page = rendered(DISTRIBUTION, result, tmp_path, inputs)
    assert "The images in tone features." in page and "<table" in page
    assert rendered(DISTRIBUTION, Results([]), tmp_path) == ""
