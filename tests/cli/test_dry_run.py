"""Dry runs: every verb has one, and mistakes are refused before it begins."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentdrift import config, service
from latentdrift.cli import dry_run
from latentdrift.errors import LatentDriftError, OptionError
from latentdrift.evaluate.reader_study.reader_score import read_key
from latentdrift.timing import Timing
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


def test_a_dry_run_of_a_replay_estimates_the_verb_that_it_repeats(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    options = config.GenerateOptions(
        adapter=str(tiny_base_folder),
        prompt=("a brain MRI",),
        n=3,
        steps=1,
        out=tmp_path / "images",
        device="cpu",
        precision="fp32",
        gate=False,
    )
    service.run("generate", options, quiet=True)
    replayed = config.ReplayOptions(record=options.out, out=tmp_path / "again")
    planned = dry_run.run("replay", replayed)
    assert (planned["verb"], planned["images"]) == ("generate", 3)
    assert planned["seconds"] == pytest.approx(3 * planned["seconds_per_image"], abs=0.02)
    assert planned["out"] == str(replayed.out) and not replayed.out.exists()


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


def test_a_dry_run_of_an_inspection_says_the_folder_that_the_run_writes(
    tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    cohort = tmp_path / "cohort"
    shutil.copytree(tiny_cohort_folder, cohort)
    planned = dry_run.run("inspect", config.InspectOptions(cohort=cohort))
    assert planned["out"] == str(tmp_path / "cohort-inspect")
    assert sorted(tmp_path.iterdir()) == [cohort]
    page = service.run("inspect", config.InspectOptions(cohort=cohort), quiet=True)["page"]
    assert Path(page).parent == Path(planned["out"])


def test_a_dry_run_refuses_a_place_that_cannot_be_written(
    tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    real, out = tiny_cohort_folder, tmp_path / "file" / "report"
    evaluation = config.EvaluateOptions(real=real, synthetic=real, out=out)
    assert f"beside {out}" in refused_alike("evaluate", evaluation)
    demo = config.DemoOptions(out=out)
    assert f"beside {out}" in refused_alike("demo", demo)


def test_a_dry_run_of_the_demo_times_its_scans_fit_and_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from latentdrift.adapt.training import cost_estimate
    from latentdrift.adapt.training.setup import drift_calibration
    from latentdrift.data.phantom import phantom_cost

    # the users' numbers, which other tests make smaller
    monkeypatch.setattr(drift_calibration, "PICTURES", 32)
    users = replace(drift_calibration.SAMPLING, steps=25)
    monkeypatch.setattr(drift_calibration, "SAMPLING", users)
    steps = Timing((1.9, 2.0, 2.1))

    def step_timing(base: Any, cohort: Any, options: Any, enough: float) -> Timing:
        assert len(cohort.rows("train")) and base.has_weights and enough <= 5
        return steps

    def timing_of_images(model: Any, prompt: str, sampling: Any) -> Timing:
        assert sampling.steps == 1
        return Timing((0.4,))  # of four images

    monkeypatch.setattr(cost_estimate, "step_timing", step_timing)
    monkeypatch.setattr(phantom_cost, "phantom_seconds", lambda patients, **_: 0.5 * patients)
    monkeypatch.setattr(dry_run, "_timing_of_images", timing_of_images)
    planned = dry_run.run("demo", config.DemoOptions(out=tmp_path / "demo"))
    verbs = [step.partition(":")[0] for step in planned["steps"]]
    assert verbs == ["phantom", "import", "inspect", "fit", "generate", "edit", "evaluate"]
    drawn = 32 * 25 * 0.1  # images x steps x seconds, of the calibration and of `generate`
    assert planned["seconds_parts"] == {"phantom": 24.0, "fit": 1200.0 + drawn, "generate": drawn}
    assert planned["seconds"] == 1384.0
    assert planned["not_counted"] == ["import", "inspect", "edit", "evaluate"]
    assert list(tmp_path.iterdir()) == [] and not caplog.records
    shown = dry_run.readable("demo", planned)
    assert shown["time"] == (
        "about 23 min (phantom 24 s, fit 21 min, generate 80 s); "
        "not counted: import, inspect, edit, evaluate"
    )
    steps = Timing((1.0, 1.1, 2.2))
    assert dry_run.run("demo", config.DemoOptions(out=tmp_path / "demo"))["seconds"] > 700
    assert "The machine is busy" in caplog.text


def test_steps_of_a_fit_are_timed_until_it_is_enough(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    from latentdrift.adapt.training.cost_estimate import step_timing
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.model.base import Base

    cohort = Cohort.load(tiny_cohort_folder)
    options = config.FitOptions(cohort=cohort.folder, out=tmp_path / "run", device="cpu")
    base = Base.load(str(tiny_base_folder), device="cpu", precision="fp32")
    before = [weight.detach().clone() for weight in base.network.parameters()]
    timing = step_timing(base, cohort, options, 0.0)
    assert len(timing.each) == 1 and timing.seconds > 0
    after = base.network.parameters()
    assert any(not old.equal(new) for old, new in zip(before, after, strict=True))


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
    planned = dry_run.run("reader make", study)
    assert planned["images"] == 2 and planned["seconds"] >= 0
    assert not (tmp_path / "study").exists()


def test_a_dry_run_of_scores_reads_key_and_answers(
    tiny_cohort_folder: Path, tmp_path: Path
) -> None:
    real = tiny_cohort_folder
    made = config.ReaderMakeOptions(real=real, synthetic=real, out=tmp_path / "study", n=1)
    key = Path(service.run("reader make", made)["key"])
    answers = tmp_path / "first.csv"
    study = read_key(key)
    rows = "".join(f"{study.study},{item.item},real\n" for item in study.items)
    answers.write_text(f"study,item,answer\n{rows}")
    options = config.ReaderScoreOptions(answers=(answers,), key=key, out=tmp_path / "score.json")
    planned = dry_run.run("reader score", options)
    assert planned["readers"] == ["first"] and planned["seconds"] >= 0
    assert not options.out.exists()
    answers.write_text("nothing\n")
    refused_alike("reader score", options)


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


COST = {
    "method": "lora",
    "steps": 400,
    "seconds_per_step": 1.8,
    "seconds": 720.0,
    "seconds_parts": {"encoding": 3.0, "class images": 0.0, "steps": 717.0},
    "extrapolated_from": None,
    "memory_bytes": 5_400_000_000,
    "memory_upper_bytes": 6_210_000_000,
    "memory_parts_bytes": {"program": 600_000_000, "weights": 4_800_000_000, "average": 0},
    "memory_free_bytes": 20_000_000_000,
    "memory_of_what_is_trained": {"weights": 6_000_000},
    "disk_bytes": 320_000_000,
    "advice": None,
}


def test_the_cost_of_a_fit_has_units_for_people() -> None:
    assert dry_run.readable("fit", COST) == {
        "method": "lora",
        "steps": 400,
        "time": "about 12 min (encoding 3 s, steps 12 min), 1.8 s a step",
        "memory": "about 5.4 GB (program 600 MB, weights 4.8 GB)",
        "memory at most": "6.2 GB",
        "free memory": "20.0 GB",
        "disk": "about 320 MB",
    }
    assert dry_run.readable("generate", {"seconds": 720.0}) == {"seconds": 720.0}
    replay = dry_run.readable("replay", {"verb": "fit", **COST})
    assert replay == {"verb": "fit", **dry_run.readable("fit", COST)}


def test_people_are_told_what_is_extrapolated_or_too_large() -> None:
    tried = {"batch_size": 2, "resolution": 256}
    shown = dry_run.readable("fit", {**COST, "extrapolated_from": tried, "advice": "too large"})
    assert shown["time"].endswith("from steps of `batch_size=2` at `resolution=256`")
    assert shown["too large"] == "too large"
    none = dry_run.readable("fit", {**COST, "seconds": None, "seconds_per_step": None})
    assert none["time"].startswith("not measured")


def test_a_dry_run_of_a_fit_loads_no_weights_to_count_memory(
    tiny_base_folder: Path,
    tiny_cohort_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from latentdrift.adapt.training.planning.machine_memory import MachineMemory
    from latentdrift.model import model_files

    options = config.FitOptions(
        cohort=tiny_cohort_folder,
        base=str(tiny_base_folder),
        out=tmp_path / "run",
        device="cpu",
        precision="fp32",
        batch_size=2,
        method="full",
    )
    monkeypatch.setattr(MachineMemory, "of", lambda device: MachineMemory(10**6, 10**6))
    monkeypatch.setattr(
        model_files,
        "load_complete",
        lambda kind, folder, variant, dtype, device: (
            model_files._without_weights(kind, folder, dtype)
            if device.type == "meta"
            else pytest.fail("weights were loaded")
        ),
    )
    told = dry_run.run("fit", options)
    assert told["seconds"] is None and told["memory_bytes"] > 10**6
    assert "the fit takes" in told["advice"]
