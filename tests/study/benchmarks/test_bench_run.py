"""Runs of a benchmark: each missing cell once, and a base where nothing is fitted."""

from __future__ import annotations

from pathlib import Path

import pytest
from benches import table1, table3

from latentdrift.study.benchmarks import bench_run
from latentdrift.study.benchmarks.bench_run import bench, fitted, open_classifier_test
from latentdrift.study.benchmarks.benchmark import Bench, Cell
from latentdrift.study.benchmarks.variant_result import VariantResult


def test_what_is_missing_is_run_once(
    folder: Path, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = Bench(table3(folder, tiny_base_folder, tmp_path))
    runs = []

    def run(benchmark: Bench, cell: Cell) -> None:
        runs.append(cell)
        for variant in cell.variants:
            benchmark.keep(VariantResult(cell.method, variant, cell.seed, 1, {}))

    monkeypatch.setattr(bench_run, "run", run)
    cells = benchmark.all_cells
    first = cells[0]
    for variant in first.variants:
        benchmark.keep(VariantResult(first.method, variant, first.seed, 1, {}))
    progress = []
    results = bench(benchmark, lambda done, total: progress.append((done, total)))
    assert runs == cells[1:]
    assert progress == [(done, len(cells)) for done in range(2, len(cells) + 1)]
    assert len(results) == sum(len(cell.variants) for cell in cells) and all(results)
    bench(benchmark, lambda done, total: pytest.fail("nothing was missing"))
    assert runs == cells[1:]


def test_the_base_stands_where_nothing_is_fitted(
    folder: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    options = table1(folder, tiny_base_folder, tmp_path, variants=("base",), device="cpu")
    benchmark = Bench(options)
    (cell,) = benchmark.all_cells
    model = fitted(benchmark, cell)
    assert cell.fit is None and not model.adapters and model.info.describe == "brain MRI"
    assert open_classifier_test(benchmark, model) is not None
    drawn = Bench(table3(folder, tiny_base_folder, tmp_path))
    assert open_classifier_test(drawn, model) is None
