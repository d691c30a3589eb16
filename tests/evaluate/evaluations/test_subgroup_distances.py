"""Subgroups: the distances of a value are those of its images alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_inputs import image_set, inputs_of, rendered, textures, tone

from latentdrift.evaluate.evaluations import distribution
from latentdrift.evaluate.evaluations.evaluation import Inputs, Results
from latentdrift.evaluate.evaluations.subgroup_distances import SUBGROUPS, compute, plot_groups
from latentdrift.resampling import Resampling


def test_each_value_has_the_distances_of_its_own_images(tmp_path: Path) -> None:
    real, synthetic = textures(48, 1), textures(48, 2)
    synthetic[1::2] *= 0.3
    inputs = inputs_of(synthetic, real=real, by="sex")
    result = compute(inputs)
    assert result is not None and result.by.column == "sex"
    assert {name: group.n for name, group in result.by.values.items()} == {
        "F": {"real": 24, "synthetic": 24},
        "M": {"real": 24, "synthetic": 24},
    }
    for place, name in enumerate("FM"):
        alone = Inputs(
            image_set(real[place::2], [f"r{i}" for i in range(24)]),
            image_set(synthetic[place::2]),
            None,
            {"tone": tone},
            Resampling(20),
        )
        expected = distribution.compute(alone).metrics["frechet.tone"].value
        value = result.by.values[name].metrics["frechet.tone"].value
        assert value == pytest.approx(expected, rel=1e-6)
    all_images = distribution.compute(inputs)
    page = rendered(SUBGROUPS, Results([all_images, result]), tmp_path, inputs)
    assert ("By sex" in page and "<svg" in page) or "image/svg" in page


def test_without_an_attribute_nothing_is_said(tmp_path: Path) -> None:
    assert compute(inputs_of(textures(8, 2))) is None
    assert rendered(SUBGROUPS, Results([]), tmp_path) == ""
    assert plot_groups({"all": {}}) == []
