"""Edits of a benchmark: rows without an edit have the scores of their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benches import results
from skimage.metrics import structural_similarity
from tiny import tiny_cohort

from latentdrift import config, service
from latentdrift.data.cohort.cohort import Cohort

SMALL: dict[str, Any] = {
    "fit_steps": 1,
    "fit_batch_size": 2,
    "steps": 2,
    "bootstrap": 10,
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures of thirty patients, six of them to test, who age by a year."""
    return tiny_cohort(tmp_path_factory.mktemp("edits") / "cohort", 60)


def table2(folder: Path, base: Path | str, out: Path, **more: Any) -> config.BenchTable2Options:
    return config.BenchTable2Options(cohort=folder, base=str(base), out=out, **{**SMALL, **more})


def test_rows_that_are_not_edited_have_the_scores_of_their_pictures(
    folder: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked = table2(folder, tiny_base_folder, tmp_path, variants=("no-change", "mean-change"), n=4)
    service.run("bench table2", asked, quiet=True)
    metrics = {name: one["metrics"] for name, one in results(tmp_path).items()}
    cohort = Cohort.load(folder)
    test = cohort.rows("test").iloc[:8]
    grey = (cohort.batch(test, 32).mean(1).astype(float) + 1) / 2
    pairs = list(
        zip(grey[::2], grey[1::2], strict=True)
    )  # two visits of each patient, one after the other
    how: dict[str, Any] = {
        "data_range": 1.0,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    known = metrics["no-change-s0"]
    assert known["ssim"]["value"] == pytest.approx(
        np.mean([structural_similarity(a, b, **how) for a, b in pairs]), abs=1e-5
    )
    assert known["psnr"]["value"] == pytest.approx(
        np.mean([-10 * np.log10(np.mean((a - b) ** 2)) for a, b in pairs]), abs=1e-3
    )
    assert known["effect"]["value"] == 0 and known["effect"]["n"] == 4
    assert (
        known["frechet_pocket"]["value"] >= 0
        and known["ssim"]["ci"][0] <= known["ssim"]["value"] <= known["ssim"]["ci"][1]
    )
    assert metrics["mean-change-s0"]["ssim"]["value"] != known["ssim"]["value"]
