"""The paper's tables on a cohort: rows are what they say, everything is kept and reused, the
classifier learns from the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import tiny_cohort

from latentdrift import config, service
from latentdrift.cli import dry_run, main
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.study.benchmarks import bench_run, downstream_auc
from latentdrift.study.benchmarks.aggregation import cell, over_seeds, paper, people, summarise
from latentdrift.study.benchmarks.benchmark import TABLES, Bench
from latentdrift.study.benchmarks.downstream_auc import Exam, taught
from latentdrift.study.benchmarks.table1 import TABLE1
from latentdrift.study.benchmarks.table2 import TABLE2
from latentdrift.study.benchmarks.table3 import TABLE3
from latentdrift.study.benchmarks.table4 import TABLE4
from latentdrift.study.model_images import prompts_of_rows

SMALL: dict[str, Any] = {
    "seeds": 1,
    "fit_steps": 1,
    "fit_batch_size": 2,
    "n": 4,
    "steps": 2,
    "bootstrap": 10,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of fifteen patients; half of them have dementia, a large dark disc."""
    return tiny_cohort(tmp_path_factory.mktemp("tables") / "cohort", 30)


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    return Cohort.load(folder)


def table1(folder: Path, base: Path | str, out: Path, **more: Any) -> config.BenchTable1Options:
    given = {"methods": ("full",), "by": "diagnosis", "classifier_steps": 2, **SMALL, **more}
    return config.BenchTable1Options(cohort=folder, base=str(base), out=out, **given)


def table3(folder: Path, base: Path | str, out: Path, **more: Any) -> config.BenchTable3Options:
    return config.BenchTable3Options(cohort=folder, base=str(base), out=out, **{**SMALL, **more})


def results(out: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (out / "results").glob("*.json")}


@pytest.mark.parametrize("options", TABLES)
def test_the_default_is_every_row(options: type[config.BenchOptions]) -> None:
    table = TABLES[options]
    assert options.model_fields["variants"].default == tuple(table.variants)
    assert {row.fit for row in table.variants.values()} - {None} == set(table.fits)
    assert {variant for _, variant in table.paper} <= set(table.variants)
    assert all(len(numbers) == len(table.paper_columns) for numbers in table.paper.values())


def test_the_papers_numbers() -> None:
    """Some of each column and row, as the tables of the paper print them."""
    columns = [
        f"paper: {what} {score}"
        for what in ("brain", "CheXpert")
        for score in ("FID", "KID", "AUC")
    ]
    assert paper(TABLE1, "full", "drift") == dict(
        zip(columns, ("49.68", "0.035", "0.724", "84", "0.077", "0.746"), strict=True)
    )
    assert paper(TABLE1, "custom-diffusion", "none")["paper: brain FID"] == "129.21"
    assert paper(TABLE1, None, "base")["paper: CheXpert AUC"] == "0.426"
    assert paper(TABLE1, "dreambooth", "real+synthetic")["paper: brain AUC"] == "0.883"
    assert set(paper(TABLE1, "lora", "drift").values()) == {"–"}  # the paper has no LoRA
    assert paper(TABLE3, "full", "diverse+info") == {
        "paper: brain FID": "51.35",
        "paper: brain KID": "0.0351",
    }
    assert paper(TABLE3, "lora", "simple") == {"paper: brain FID": "–", "paper: brain KID": "–"}
    columns = [f"paper: {score}" for score in ("FID", "SSIM", "LPIPS", "PSNR")]
    cells = ("27.41", "0.27", "0.19", "30.49")
    assert paper(TABLE2, "instruct-pix2pix", "word+custom-diffusion") == dict(
        zip(columns, cells, strict=True)
    )
    assert paper(TABLE2, "instruct-pix2pix", "numerical+full")["paper: PSNR"] == "32.83"
    assert paper(TABLE2, None, "no-change")["paper: SSIM"] == "–"  # the paper has no such row
    assert paper(TABLE4, "full", "diverse+info") == {
        "paper: brain FID": "36.1",
        "paper: brain KID": "0.0151",
    }
    assert paper(TABLE4, "full", "simple+info")["paper: brain FID"] == "–"


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


def test_table3_words_reach_fit_and_sampling(
    folder: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    asked = table3(folder, tiny_base_folder, tmp_path)
    service.run("bench table3", asked, quiet=True)
    said = {}
    for name in TABLE3.variants:
        info = json.loads(
            (tmp_path / "fits" / f"full-{name}-s0" / "adapter" / "adapter.json").read_text()
        )
        said[name] = (info["prompt"]["style"], info["prompt"]["patient_info"])
        assert info["drift"]["train"] == [0.1] * 4
    assert said == {
        "simple": ("simple", False),
        "simple+info": ("simple", True),
        "diverse": ("diverse", False),
        "diverse+info": ("diverse", True),
    }
    first = {name: results(tmp_path)[f"full-{name}-s0"]["prompt"] for name in TABLE3.variants}
    assert first["simple"] == "a brain MRI"
    assert "year old" in first["simple+info"] and "dementia" in first["diverse+info"]
    asked_for = Bench(asked)
    subject = bench_run.fitted(asked_for, asked_for.all_cells[2])  # diverse
    words = prompts_of_rows(subject, asked_for.followed(4, 0).to_dict("records"))
    assert len(set(words.values())) > 1
    assert not any("year" in text or "dementia" in text for text in words.values())
    assert "auc" not in results(tmp_path)["full-simple-s0"]["metrics"]
    assert "| full | diverse+info |" in (tmp_path / "bench.md").read_text()
    assert not asked_for.missing(asked_for.all_cells)


def test_synthetic_images_follow_the_train_split_class_by_class(
    folder: Path, cohort: Cohort
) -> None:
    asked = Bench(table1(folder, "pocket", folder))
    rows = asked.followed(40, 0)
    assert set(rows["split"]) == {"train"}
    assert list(rows["diagnosis"][:4]) == ["no dementia", "dementia"] * 2
    assert (rows["diagnosis"] == "dementia").sum() == 20
    assert list(asked.followed(7, 0).index) == list(rows.index[:7])
    assert list(asked.followed(40, 1).index) != list(rows.index)
    assert set(rows.index) == set(
        cohort.rows("train").index
    )  # 40 are enough for each row to have its turn
    plain = Bench(table3(folder, "pocket", folder)).followed(18, 0)
    assert sorted(plain.index) == list(cohort.rows("train").index) != list(plain.index)
    drift = Bench(config.BenchDriftOptions(cohort=folder, out=folder)).followed(8, 0)
    assert list(drift.index) == [*cohort.rows("test").index, *cohort.rows("test").index[:2]]


def test_the_classifier_learns_from_the_pictures_of_its_row(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training pictures that stand for synthetic ones: with their own rows the AUC is 1, with the
    other class's it is 0."""
    asked = Exam(
        cohort,
        Classes("diagnosis", "dementia"),
        resolution=32,
        steps=20,
        resamples=10,
        device="cpu",
        seed=0,
    )
    rows = cohort.rows("train")
    pictures = list((np.moveaxis(cohort.batch(rows, 32), 1, -1) + 1) / 2)
    swapped = rows.assign(
        diagnosis=rows["diagnosis"].map({"dementia": "no dementia", "no dementia": "dementia"})
    )
    assert asked(pictures, rows, real=False, seed=0)["value"] == 1
    assert asked(pictures, swapped, real=False, seed=0)["value"] == 0
    ill = int((rows["diagnosis"] == "dementia").sum())
    assert asked([], rows[:0], real=True, seed=0)["trained"] == [(18 - ill, ill)]
    seen: list[int] = []
    take = downstream_auc.Labelled.take
    monkeypatch.setattr(
        downstream_auc.Labelled, "take", lambda self, n, seed: seen.append(n) or take(self, n, seed)
    )
    assert sum(asked(pictures[:9], rows[:9], real=True, seed=0)["trained"][0]) == 18
    assert seen == [9]


def test_more_real_pictures_than_can_be_learned_are_sampled(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downstream_auc, "MAX_REAL_IMAGES", 10)
    by = Classes("diagnosis", "dementia")
    assert len(taught(cohort, by, 0)) == 10
    assert (
        list(taught(cohort, by, 0).index)
        == list(taught(cohort, by, 0).index)
        != list(taught(cohort, by, 1).index)
    )


def test_classes_are_named_as_the_cohort_spells_them(cohort: Cohort) -> None:
    assert (
        str(Classes.of(cohort, None)) == "diagnosis=dementia"
    )  # the first category of two values but sex
    alone = Cohort(
        cohort.folder,
        cohort.table,
        {**cohort.info, "attributes": {"sex": cohort.attributes["sex"]}},
    )
    assert str(Classes.of(alone, None)) == "sex=F"
    assert str(Classes.of(cohort, "Diagnosis")) == "diagnosis=dementia"
    assert str(Classes.of(cohort, "diagnosis=No Dementia")) == "diagnosis=no dementia"
    rows = pd.DataFrame(
        {
            "diagnosis": ["dementia", "no dementia", None],
            "findings": ["Effusion|Nodule", "No Finding", None],
        }
    )
    for by in (Classes("diagnosis", "dementia"), Classes("findings", "Effusion")):
        assert np.array_equal(by.labels(rows), [1, 0, np.nan], equal_nan=True)


def test_findings_are_one_against_the_rest(cohort: Cohort) -> None:
    table = cohort.table.assign(findings=["No Finding", "Effusion|Nodule", "Nodule"] * 10)
    spec = {"findings": {"type": "findings", "vocabulary": ["Effusion", "No Finding", "Nodule"]}}
    chests = Cohort(cohort.folder, table, {**cohort.info, "attributes": spec})
    assert str(Classes.of(chests, "findings=effusion")) == "findings=Effusion"
    assert Classes("findings", "Effusion").labels(table).sum() == 10
    with pytest.raises(
        OptionError,
        match=(
            r"`by=findings`: 3 values, .* `by=findings=VALUE`; known: Effusion, No Finding, "
            r"Nodule"
        ),
    ):
        Classes.of(chests, "findings")
    with pytest.raises(OptionError, match="unknown finding 'Efusion'; known: Effusion"):
        Classes.of(chests, "findings=Efusion")
    with pytest.raises(
        CohortError, match=r"no category .* has exactly two values; say `by=ATTRIBUTE=VALUE`"
    ):
        Classes.of(chests, None)


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


def test_one_seed_shows_its_own_interval_and_several_their_spread() -> None:
    def result(seed: int, value: float) -> dict[str, Any]:
        auc = {"value": value, "ci": [value - 0.1, value + 0.1]}
        return {"method": "full", "variant": "none", "seed": seed, "metrics": {"auc": auc}}

    (one,) = people(summarise([result(0, 0.7)]), TABLE1)
    assert one["AUC"] == "0.7 [0.6, 0.8]"
    (row,) = summarise([result(0, 0.6), result(1, 0.8)])
    assert np.allclose(row["metrics"]["auc"]["ci"], [[0.5, 0.7], [0.7, 0.9]])
    half = 12.706 * 0.1414 / 2**0.5  # t(0.975, 1) = 12.706
    assert people([row], TABLE1)[0]["AUC"] == f"0.7 ± {half:.2g}"
    assert cell(over_seeds([None])) == "–"
