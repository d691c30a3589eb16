"""Scores of a report in the adapter whose images it judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from latentdrift.adapt.adapters import scores
from latentdrift.data.cohort.description import CohortInfo
from latentdrift.errors import OptionError
from latentdrift.evaluate.report.report import scores_of
from latentdrift.record import sha256


def report() -> dict[str, Any]:
    kid = {
        "value": 0.04,
        "ci": [0.01, 0.08],
        "floor": 0.002,
        "n": {"real": 6, "synthetic": 12},
        "matched": 0.03,
    }
    unknown = {"value": None, "ci": None, "floor": None, "n": {}}
    lights = [["Copies?", "green", "0 of 12, the nearest is P0001"]]
    return {
        "n": {"real": 6, "synthetic": 12},
        "seed": 0,
        "metrics": {"kid.pocket": kid, "psnr.nearest": unknown},
        "lights": lights,
    }


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
