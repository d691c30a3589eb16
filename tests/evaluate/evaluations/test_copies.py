"""Copies: planted ones are counted, named and shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluation_inputs import inputs_of, rendered, textures

from latentdrift.evaluate.evaluations.copies import (
    COPIES,
    CopiesResult,
    compute,
    distance_lights,
    lights,
)
from latentdrift.evaluate.evaluations.evaluation import Inputs, Results
from latentdrift.evaluate.statistics.results import Metric


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Six synthetic images, of which two are training images."""
    train = textures(10, 3)
    return inputs_of(np.concatenate([train[:1], train[5:6, :, ::-1], textures(4, 4)]), train=train)


def test_two_copies_are_found_and_shown(inputs: Inputs, tmp_path: Path) -> None:
    result = compute(inputs)
    assert result.metrics["copies"].value == 2 and result.copies is not None
    copied = {pair.synthetic: (pair.train, pair.mirrored) for pair in result.copies.pairs[:2]}
    assert copied == {"0": ("0", False), "1": ("5", True)}
    assert [pair.is_copy for pair in result.copies.pairs[:3]] == [True, True, False]
    ((title, colour, sentence),) = lights(Results([result]))
    assert (title, colour) == ("Copies?", "red")
    assert "2 of 6 synthetic images are copies of one of 10 training images" in sentence
    page = rendered(COPIES, result, tmp_path, inputs)
    assert "synthetic 1, below it training 5 mirrored" in page and "COPY" in page


def test_without_training_images_the_light_is_grey(tmp_path: Path) -> None:
    result = compute(inputs_of(textures(4, 4)))
    assert result == CopiesResult()
    ((_, colour, sentence),) = lights(Results([result]))
    assert colour == "grey" and "no training images were given" in sentence
    assert rendered(COPIES, result, tmp_path) == ""


@pytest.mark.parametrize(("value", "colour"), [(0.9, "green"), (0.89, "amber"), (0.59, "red")])
def test_distance_in_pixels_has_a_light(value: float, colour: str) -> None:
    metric = Metric(value=value, ci=None, n={"synthetic": 9}, floor=None)
    ((_, light, _),) = distance_lights(Results([CopiesResult(metrics={"nearest.pixel": metric})]))
    assert light == colour
