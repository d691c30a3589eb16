"""Dry runs: every verb has one, and mistakes are refused before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift import config, service
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


def refused_alike(verb: str, options: config.Options) -> str:
    """The sentence with which the dry run and the run refuse options; neither begins."""
    messages = []
    for run in (dry_run.run, service.run):
        with pytest.raises(LatentDriftError) as refusal:
            run(verb, options)
        messages.append(str(refusal.value))
    assert messages[0] == messages[1]
    return messages[0]


def test_a_dry_run_refuses_the_folders_that_the_run_refuses(
    tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    taken = tiny_cohort_folder
    phantom = config.PhantomOptions(out=taken, patients=1, visits=1)
    assert "holds no phantom of these options" in refused_alike("phantom", phantom)
    assert "was not made by a demo" in refused_alike("demo", config.DemoOptions(out=taken))
    gone = config.ReplayOptions(record=tmp_path / "gone", out=tmp_path / "again")
    assert "there is no record" in refused_alike("replay", gone)


def test_a_dry_run_reads_the_sets_of_a_reader_study(
    tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    real = tiny_cohort_folder
    study = config.ReaderMakeOptions(real=real, synthetic=real, out=tmp_path / "study", n=1)
    gone = {"real": tmp_path / "gone", "synthetic": tmp_path / "gone"}
    refused_alike("reader make", study.model_copy(update=gone))
    refused_alike("reader make", study.model_copy(update={"n": 10**6}))
    beside = study.model_copy(update={"key": tmp_path / "study" / "key.json"})
    assert "beside the page" in refused_alike("reader make", beside)
    assert dry_run.run("reader make", study)["images"] == 2
    assert not (tmp_path / "study").exists()


def test_a_dry_run_of_a_fit_refuses_the_folders_that_the_fit_refuses(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    options = config.FitOptions(
        cohort=tiny_cohort_folder,
        base=str(tiny_base_folder),
        out=tiny_cohort_folder,
        device="cpu",
        precision="fp32",
    )
    assert "is not empty and holds no run" in refused_alike("fit", options)
    (tmp_path / "fit.json").write_text('{"steps": 1}')
    other = options.model_copy(update={"out": tmp_path})
    assert "holds a run with other settings: " in refused_alike("fit", other)
