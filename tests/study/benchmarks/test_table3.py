"""Table 3: words that reach the fit and the sampling."""

from __future__ import annotations

import json
from pathlib import Path

from benches import results, table1, table3

from latentdrift import config, service
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.study.benchmarks import bench_run
from latentdrift.study.benchmarks.benchmark import Bench
from latentdrift.study.benchmarks.table3 import TABLE3
from latentdrift.study.model_images import prompts_of_rows


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
