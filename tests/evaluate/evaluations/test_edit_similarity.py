"""Similarity of edits: in closed form for known reconstructions, with lights and strips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_inputs import SIDE, inputs_of, rendered, request_of, textures
from PIL import Image

from latentdrift.errors import InputError
from latentdrift.evaluate.evaluations.edit_similarity import (
    EDIT_SIMILARITY,
    EditSimilarityResult,
    check,
    compute,
    lights,
    patient_warnings,
)
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.images.recorded_edits import read_edits
from latentdrift.evaluate.privacy.pairwise_metrics import EditScores
from latentdrift.evaluate.statistics.results import Metric


def write_edits(folder: Path) -> Path:
    """Three edits: a perfect reconstruction, and a counterfactual that is 10 of 255 brighter."""
    for place in range(3):
        edit = folder / f"{place}"
        edit.mkdir(parents=True)
        original = np.random.default_rng(place).integers(0, 200, (SIDE, SIDE), dtype=np.uint8)
        pictures = {"original": original, "reconstruction": original, "difference": original}
        for name, picture in {**pictures, "counterfactual": original + np.uint8(10)}.items():
            Image.fromarray(picture).save(edit / f"{name}.png")
        (edit / "record.json").write_text(json.dumps({"patient": f"p{place}", "changes": {}}))
    return folder


def test_a_perfect_reconstruction_and_a_known_error(tmp_path: Path) -> None:
    """PSNR of an error of 10 of 255 everywhere: 20 log10(25.5) dB."""
    inputs = inputs_of(textures(4, 0), edits=read_edits(write_edits(tmp_path / "edits")))
    result = compute(inputs)
    assert result is not None and result.warnings == []
    assert result.metrics["ssim.reconstruction"].value == pytest.approx(1)
    decibels = 20 * np.log10(25.5)
    assert result.metrics["psnr.counterfactual"].value == pytest.approx(decibels, abs=1e-3)
    for edit in result.edits:
        assert edit.similarities["psnr.counterfactual"] == pytest.approx(decibels, abs=1e-3)
    ((title, colour, sentence),) = lights(Results([result]))
    assert (title, colour) == ("Edits start faithful?", "green") and "1.000 (3 edits)" in sentence
    page = rendered(EDIT_SIMILARITY, result, tmp_path, inputs, inputs.edits)
    captions = page.count("SSIM with the original: reconstruction 1.000")
    assert captions == 2 * 3  # below the strip, and as its description


@pytest.mark.parametrize(
    ("value", "detailed", "colour"),
    [(0.9, 0, "green"), (0.89, 0, "amber"), (0.74, 1, "red"), (0.74, 2, "amber")],
)
def test_the_light_follows_the_reconstructions(value: float, detailed: int, colour: str) -> None:
    metric = Metric(value=value, ci=None, n={"edits": 2}, floor=None)
    edits = [
        {"name": f"{i}", "detail": i < detailed, "patient_known": True, "ssim.reconstruction": 1.0}
        for i in range(2)
    ]
    result = EditSimilarityResult.model_validate(
        {"edits": edits, "metrics": {"ssim.reconstruction": metric}}
    )
    ((_, light, sentence),) = lights(Results([result]))
    assert light == colour
    assert ("add only the change to the original" in sentence) == bool(detailed)


def test_a_folder_without_edits_is_refused(tiny_cohort_folder: Path, tmp_path: Path) -> None:
    assert check(request_of(tiny_cohort_folder)) == []
    with pytest.raises(InputError, match="edit"):
        check(request_of(tiny_cohort_folder, edits=tmp_path))
    assert compute(inputs_of(textures(4, 0))) is None
    assert rendered(EDIT_SIMILARITY, Results([]), tmp_path) == ""


def test_the_report_says_where_nobody_knows_whose_an_edit_is() -> None:
    rows = [EditScores(name=f"{i}", detail=False, patient_known=i == 0) for i in range(2)]
    (warning,) = patient_warnings(rows)
    assert "1 of 2 edits record no patient" in warning
    assert not patient_warnings(rows[:1])
