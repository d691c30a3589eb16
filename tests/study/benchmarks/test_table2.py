"""Table 2: edits of shared fits, a resumed run, and rows without an edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benches import adapter, results
from tiny import tiny_cohort

from latentdrift import config, service
from latentdrift.cli import dry_run
from latentdrift.errors import CohortError, OptionError
from latentdrift.study.benchmarks import bench_run
from latentdrift.study.benchmarks.benchmark import Bench

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


def test_table2_runs_from_shared_fits_and_is_resumed(
    folder: Path, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ("word+full", "binned+full", "no-change", "autoencoder")
    asked = table2(folder, tiny_base_folder, tmp_path / "bench", variants=rows, seeds=2)
    planned = dry_run.run("bench table2", asked)
    assert (planned["fits"], planned["images"]) == (
        2 + 4,
        2 * 2 * 6,
    )  # two that others start from; six patients
    assert planned["seconds"] > 0 and not (tmp_path / "bench").exists()

    service.run("bench table2", asked, quiet=True)
    found = results(asked.out)
    edits = {f"instruct-pix2pix-{row}-s{seed}" for row in rows[:2] for seed in (0, 1)}
    assert set(found) == edits | {
        "no-change-s0",
        "autoencoder-s0",
    }  # no seed changes what is not edited
    assert {path.stem for path in (asked.out / "results").glob("*.png")} == edits
    assert {path.name for path in (asked.out / "fits").iterdir()} == edits | {
        "full-start-s0",
        "full-start-s1",
    }
    for seed in (0, 1):
        start = str(asked.out / "fits" / f"full-start-s{seed}" / "adapter")
        for row in rows[:2]:
            info = adapter(asked.out, f"instruct-pix2pix-{row}-s{seed}")
            assert [part["adapter"] for part in info["start"]] == [start]
            assert info["prompt"]["instruction"] == row.split("+")[0]
            assert info["drift"]["train"] == info["drift"]["infer"] == [0.1] * 4
    assert adapter(asked.out, "full-start-s0")["drift"]["train"] == [0.1] * 4

    told = json.loads((asked.out / "bench.json").read_text())
    assert {row["variant"]: row["seeds"] for row in told["rows"]}["word+full"] == [0, 1]
    text = (asked.out / "bench.md").read_text()
    page = (asked.out / "bench.html").read_text()
    assert "| instruct-pix2pix | word+full |" in text and "| 15.25 | 0.75 | 0.13 | 32.78 |" in text
    assert "| – | no-change |" in text and "6 first visits of test patients" in text
    assert page.count("<figcaption>synthetic; ") == 2

    monkeypatch.setattr(
        bench_run, "run", lambda *_: pytest.fail("a result that is there was made again")
    )
    service.run("bench table2", asked, quiet=True)
    again = dry_run.run("bench table2", asked)
    assert [again[name] for name in ("fits", "images", "results_there", "seconds")] == [
        0,
        0,
        len(results(asked.out)),
        0,
    ]
    other = Bench(asked.model_copy(update={"image_guidance": 2.0}))
    assert len(other.missing(other.all_cells)) == 5


def test_a_start_is_fitted_without_instruction_and_the_rest_from_it(
    folder: Path, tmp_path: Path
) -> None:
    bench = Bench(table2(folder, "pocket", tmp_path, seeds=1, delta="auto"))
    firsts = bench.firsts(bench.all_cells)
    assert [cell.name for cell in firsts] == [
        "custom-diffusion-start-s0",
        "full-start-s0",
    ]  # one for three wordings
    fitting = bench.fitting(firsts[0])
    assert (fitting.method, fitting.instruction, fitting.start, fitting.drift) == (
        "custom-diffusion",
        None,
        (),
        "auto",
    )
    asked = {cell.fit: bench.fitting(cell) for cell in bench.all_cells if cell.fit}
    assert len(asked) == 9
    assert asked["numerical+custom-diffusion"].start == (str(fitting.out),)
    assert (asked["binned"].start, asked["binned"].instruction) == ((), "binned")


def test_what_cannot_be_run_is_said_before_any_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError,
        match="'instruct-pix2pix' does not fit the network of method 'full'; take instruct-pix2pix",
    ):
        Bench(table2(folder, "pocket", tmp_path, methods=("full",)))
    with pytest.raises(
        OptionError,
        match="'pix2pix-zero' does not fit the network of method 'instruct-pix2pix'; take full",
    ):
        Bench(config.BenchTable4Options(cohort=folder, out=tmp_path, methods=("instruct-pix2pix",)))
    few = tiny_cohort(tmp_path / "few", 30)
    with pytest.raises(
        CohortError,
        match="has 3 patients whose later visit is of another age or diagnosis, and 4 are needed",
    ):
        Bench(table2(few, "pocket", tmp_path))
