"""Dry runs: every verb has one, and mistakes are refused before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift import config
from latentdrift.cli import dry_run
from latentdrift.errors import LatentDriftError, OptionError
from latentdrift.verbs import VERBS, load


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_plan(verb: str) -> None:
    assert callable(load(VERBS[verb].plan))


def test_a_mistake_is_refused_before_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "load", lambda plan: pytest.fail("the plan began"))
    options = config.FitOptions(cohort=tmp_path / "gone", out=tmp_path / "run")
    with pytest.raises(LatentDriftError, match="gone"):
        dry_run.run("fit", options)
    with pytest.raises(OptionError, match="unknown method 'loar'"):
        dry_run.run("fit", options.model_copy(update={"method": "loar"}))


def test_a_plan_of_drawing_writes_nothing(tiny_base_folder: Path, tmp_path: Path) -> None:
    options = config.GenerateOptions(
        adapter=str(tiny_base_folder),
        prompt=("a brain MRI", "a chest X-ray"),
        n=6,
        steps=2,
        out=tmp_path / "images",
        device="cpu",
        precision="fp32",
    )
    planned = dry_run.run("generate", options)
    assert planned["images"] == 6 and planned["first_prompt"] == "a brain MRI"
    assert planned["seconds"] == pytest.approx(6 * planned["seconds_per_image"], abs=0.02)
    assert planned["out"] == str(tmp_path / "images") and not (tmp_path / "images").exists()
