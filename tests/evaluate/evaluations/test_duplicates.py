"""Duplicates: images that repeat one another are counted, named and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_inputs import inputs_of, rendered, textures

from latentdrift.evaluate.evaluations import evaluation
from latentdrift.evaluate.evaluations.duplicates import (
    DUPLICATES,
    DuplicateSearch,
    DuplicatesResult,
    compute,
    lights,
)
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.statistics.results import Metric


def test_a_repetition_is_found_and_shown(tmp_path: Path) -> None:
    images = textures(10, 4)
    images[7] = images[2]
    inputs = inputs_of(images)
    result = compute(inputs)
    assert result.duplicates is not None and result.warnings == []
    pair = result.duplicates.pairs[0]
    assert {pair.first, pair.second} == {"2", "7"}
    assert pair.similarity == pytest.approx(1, abs=1e-3)
    assert result.metrics["duplicates"].n["synthetic"] == 10
    page = rendered(DUPLICATES, result, tmp_path, inputs)
    assert "Synthetic images that repeat one another" in page


@pytest.mark.parametrize(
    ("value", "floor", "colour"),
    [(1, 0.0, "green"), (3, 3.0, "green"), (10, 0.0, "amber"), (11, 0.0, "red")],
)
def test_the_light_follows_the_share_of_repetitions(value: int, floor: float, colour: str) -> None:
    metric = Metric(value=value, ci=None, n={"synthetic": 100}, floor=floor)
    search = DuplicateSearch(threshold=0.9, pairs=[])
    result = DuplicatesResult(metrics={"duplicates": metric}, duplicates=search)
    ((_, light, sentence),) = lights(Results([result]))
    assert light == colour and f"{value} of 100 synthetic images" in sentence


def test_a_search_in_a_part_of_the_images_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_SEARCHED", 6)
    (warning,) = compute(inputs_of(textures(10, 4))).warnings
    assert "Duplicates were looked for in 6 of the 10 synthetic images" in warning


def test_a_single_image_repeats_none(tmp_path: Path) -> None:
    result = compute(inputs_of(textures(1, 4)))
    assert result == DuplicatesResult() and lights(Results([result])) == []
    assert rendered(DUPLICATES, Results([]), tmp_path) == ""
