"""Table 1: classifiers that learn from the images of each row, a resumed run, and its command
line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benches import results, table1, table3

from latentdrift import service
from latentdrift.cli import dry_run, main
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.study.benchmarks import bench_run
from latentdrift.study.benchmarks.benchmark import Bench
from latentdrift.study.benchmarks.downstream_auc import taught


def test_table1_runs_and_is_resumed(
    folder: Path, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = table1(folder, tiny_base_folder, tmp_path / "bench")
    planned = dry_run.run("bench table1", asked)
    assert (planned["fits"], planned["by"], planned["classifiers"]) == (2, "diagnosis=dementia", 6)
    assert (
        planned["images"] == 4 + 4 + 9 + 4
    )  # of 18 real training images 9 become synthetic, which the drifted row shares
    assert planned["seconds"] > 0
    assert not (tmp_path / "bench").exists()

    service.run("bench table1", asked, quiet=True)
    found = results(asked.out)
    assert set(found) == {
        "full-none-s0",
        "full-drift-s0",
        "full-calibrated-s0",
        "full-real+synthetic-s0",
        "base-s0",
        "real-s0",
    }
    assert all("auc" in one["metrics"] for one in found.values())
    drawn = {"full-none-s0", "full-drift-s0", "full-calibrated-s0", "base-s0"}
    assert {name for name, one in found.items() if "frechet_pocket" in one["metrics"]} == drawn
    assert {path.stem for path in (asked.out / "results").glob("*.png")} == drawn
    assert found["full-none-s0"]["metrics"]["auc"]["trained"] == [[2, 2]]  # half of each class
    assert (
        sum(found["real-s0"]["metrics"]["auc"]["trained"][0])
        == sum(found["full-real+synthetic-s0"]["metrics"]["auc"]["trained"][0])
        == len(taught(Cohort.load(folder), Classes("diagnosis", "dementia"), 0))
        == 18
    )
    assert (found["real-s0"]["n"], found["full-real+synthetic-s0"]["n"]) == (0, 9)
    assert "dementia" in found["base-s0"]["prompt"]  # the base is prompted in the cohort's words
    assert found["full-none-s0"]["drift"]["mode"] == "off"
    assert found["full-calibrated-s0"]["drift"]["mode"] == "infer"  # of the same fit
    assert (
        found["full-drift-s0"]["drift"]["train"]
        == found["full-drift-s0"]["drift"]["infer"]
        == [0.1] * 4
    )
    told = json.loads((asked.out / "bench.json").read_text())
    assert [(row["method"], row["variant"]) for row in told["rows"]] == [
        ("full", "none"),
        ("full", "calibrated"),
        ("full", "drift"),
        ("full", "real+synthetic"),
        (None, "base"),
        (None, "real"),
    ]
    assert told["real"]["floors"].keys() == {"frechet_pocket", "kid_pocket"}
    page = (asked.out / "bench.html").read_text()
    text = (asked.out / "bench.md").read_text()
    assert page.count("<figcaption>synthetic; ") == 4
    assert "other features and other data" in page
    assert "| full | drift |" in text and "| 49.68 | 0.035 | 0.724 |" in text

    monkeypatch.setattr(
        bench_run, "run", lambda *_: pytest.fail("a result that is there was made again")
    )
    service.run("bench table1", asked, quiet=True)
    assert dry_run.run("bench table1", asked)["seconds"] == 0
    again = Bench(asked.model_copy(update={"by": "diagnosis=dementia"}))
    assert not again.missing(again.all_cells)  # the same classes, said in full
    more = Bench(asked.model_copy(update={"methods": ("full", "lora")}))
    assert {one.method for one in more.missing(more.all_cells)} == {"lora"}
    for change in ({"by": "sex"}, {"classifier_steps": 3}, {"n": 5}, {"delta": "0.2"}):
        other = Bench(asked.model_copy(update=change))
        assert len(other.missing(other.all_cells)) == 3, change


def test_table1_takes_the_closed_form_and_other_methods(
    folder: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    methods = ("lora", "textual-inversion")
    asked = table1(
        folder, tiny_base_folder, tmp_path, methods=methods, variants=("drift",), delta="auto"
    )
    service.run("bench table1", asked, quiet=True)
    for name in methods:
        drift = results(tmp_path)[f"{name}-drift-s0"]["drift"]
        assert drift["mode"] == "both"
        assert len(set(drift["train"])) == 4  # one estimate per channel
    assert {
        row["method"] for row in json.loads((tmp_path / "bench.json").read_text())["rows"]
    } == set(methods)


def test_what_cannot_be_run_is_said_before_any_work(
    folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="unknown method 'dreamboth'; known: "):
        Bench(table1(folder, "pocket", tmp_path, methods=("dreamboth",)))
    with pytest.raises(
        OptionError, match="unknown variant 'pin'; known: base, calibrated, drift, none"
    ):
        Bench(table1(folder, "pocket", tmp_path, variants=("pin",)))
    with pytest.raises(
        OptionError, match="unknown attribute 'diagnose'; known: age, diagnosis, sex"
    ):
        Bench(table1(folder, "pocket", tmp_path, by="diagnose"))
    with pytest.raises(
        OptionError, match="`by=age`: a number, and a classifier tells two classes apart"
    ):
        Bench(table1(folder, "pocket", tmp_path, by="age"))
    with pytest.raises(OptionError, match="drift 'x1'"):
        Bench(table3(folder, "pocket", tmp_path, delta="x1"))
    healthy = cohort.table.assign(diagnosis="no dementia")
    with pytest.raises(
        CohortError, match=r"the train split .* has 0 images with diagnosis=dementia and 18 without"
    ):
        Classes.of(Cohort(cohort.folder, healthy, cohort.info), "diagnosis")


def test_the_command_line(
    folder: Path, tiny_base_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [
        str(folder),
        "--base",
        str(tiny_base_folder),
        "--out",
        str(tmp_path / "out"),
        "--dry-run",
        "--json",
        "--seeds",
        "2",
    ]
    assert (
        main.main(
            [
                "bench",
                "table3",
                *common,
                "--methods",
                "full",
                "--fit-steps",
                "1",
                "--steps",
                "1",
                "--n",
                "4",
            ]
        )
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert (said["fits"], said["images"]) == (8, 32)
    assert main.main(["bench", "table1", *common, "--by", "diagnosis=x"]) == 1
    assert "bench table1: unknown" in capsys.readouterr().err
