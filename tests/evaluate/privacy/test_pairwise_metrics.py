"""Scores of edits: whose they are decides how far they can be trusted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import read_edits
from latentdrift.evaluate.metrics.image_similarity import SIMILARITIES
from latentdrift.evaluate.privacy.pairwise_metrics import score_edits
from latentdrift.resampling import Resampling

SIDE = 16
PATIENTS = 5
EACH = 3


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (PATIENTS, SIDE, SIDE), dtype=np.uint8)


def written(root: Path, pictures: np.ndarray, each: int, **said: str) -> Path:
    """`each` edits of every picture, alike for one patient and more or less faithful from patient
    to patient."""
    for place in range(PATIENTS * each):
        patient = place // each
        folder = root / f"{place:06d}"
        folder.mkdir(parents=True)
        shown = {"original": pictures[patient], "difference": pictures[patient]}
        shown |= dict.fromkeys(
            ("reconstruction", "counterfactual"), pictures[patient] + 5 * np.uint8(patient + 1)
        )
        for name, picture in shown.items():
            Image.fromarray(picture).save(folder / f"{name}.png")
        record = {name: value.format(patient) for name, value in said.items()}
        (folder / "record.json").write_text(json.dumps(record))
    return root


def interval(folder: Path, pictures: np.ndarray) -> tuple[list[float] | None, dict[str, int]]:
    real = EvaluationImages(np.repeat(pictures[..., None] / 255, 3, -1))
    _, metrics = score_edits(
        read_edits(folder), real, {"psnr": SIMILARITIES["psnr"]}, resampling=Resampling(200)
    )
    metric = metrics["psnr.reconstruction"]
    return metric.ci, metric.n


@pytest.mark.parametrize(
    "said", [{"patient": "p-{}"}, {"image": "sha-{}"}], ids=["patient", "image"]
)
def test_more_edits_of_the_same_patients_are_no_more_certain(
    tmp_path: Path, pictures: np.ndarray, said: dict[str, str]
) -> None:
    one, _ = interval(written(tmp_path / "one", pictures, 1, **said), pictures)
    more, n = interval(written(tmp_path / "more", pictures, EACH, **said), pictures)
    assert more == pytest.approx(one) and n == {
        "edits": PATIENTS * EACH,
        "patients": PATIENTS,
        "real": n["real"],
    }


def test_edits_that_say_nothing_are_their_own_patients(
    tmp_path: Path, pictures: np.ndarray
) -> None:
    _, n = interval(written(tmp_path, pictures, EACH), pictures)
    assert n["patients"] == PATIENTS * EACH
