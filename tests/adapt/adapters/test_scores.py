"""Scores of a report in the adapter whose images it judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from latentdrift.adapt.adapters import scores
from latentdrift.data.cohort.description import CohortInfo
from latentdrift.errors import OptionError
from latentdrift.evaluate.evaluations.copies import CopiesResult, CopySearch
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.privacy.copy_detection import NearestPair, PlantedCopies
from latentdrift.evaluate.report.report import EvaluationResults, scores_of
from latentdrift.evaluate.statistics.results import Metric
from latentdrift.record import sha256
from latentdrift.resampling import Resampling


def report() -> EvaluationResults:
    """A report that names a training image, P0001."""
    n = {"real": 6, "synthetic": 12}
    metrics = {
        "kid.pocket": Metric(value=0.04, ci=[0.01, 0.08], n=n, floor=0.002, matched=0.03),
        "psnr.nearest": Metric(value=None, ci=None, n={}, floor=None),
        "copies": Metric(value=0, ci=None, n={**n, "train": 20}, floor=0.0),
    }
    pair = NearestPair(synthetic="0", train="P0001", similarity=0.5, mirrored=False, copy=False)
    planted = PlantedCopies(n=9, caught=9, ci=[0.7, 1.0], missed=[])
    search = CopySearch(threshold=0.9, held_out=[0.4], pairs=[pair], planted=planted)
    results = Results([CopiesResult(metrics=metrics, copies=search)])
    return EvaluationResults(n, Resampling(10), results, [])


def test_scores_of_a_report_go_into_the_card(made: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(made, tmp_path / "adapter")
    assert "Not evaluated yet" in (folder / "README.md").read_text()
    about = {"cohort": "abcdef0123456789", "split": "test", "version": "0.1.0"}
    for _ in range(2):  # the latest report replaces an earlier one
        scores.write_scores(folder, {**scores_of(report()), **about})
        text = (folder / "README.md").read_text()
        assert "| Kernel distance (KID), pocket features | 0.04 [0.01,\u00a00.08] | 0.002 |" in text
        assert (
            text.count("Kernel distance") == 1
            and "Copies? green" in text
            and "12 synthetic images against 6 real" in text
        )
        assert (
            "Not evaluated yet" not in text
            and "P0001" not in text + (folder / "adapter.json").read_text()
        )
    assert "P0001" in json.dumps(report().contents)
    before = json.loads((made / "adapter.json").read_text())
    after = json.loads((folder / "adapter.json").read_text())
    assert list(after) == [*before, "scores"]
    assert {name: value for name, value in after.items() if name != "scores"} == before
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        path.name for path in made.iterdir()
    )


def drawn_by(*hashes: str) -> CohortInfo:
    adapters = [{"sha256": one} for one in hashes]
    return CohortInfo(format=1, describe="brain MRI", attributes={}, adapters=adapters)


def test_images_of_another_adapter_give_it_no_scores(made: Path) -> None:
    own = sha256(made / "pytorch_lora_weights.safetensors")
    scores.check(made.parent, drawn_by("0" * 64, own))
    scores.check(made, None)  # a folder of images, of which nobody knows what drew it
    with pytest.raises(OptionError, match="did not draw these images"):
        scores.check(made, drawn_by("0" * 64))
