"""Page of a benchmark: means over seeds, every run, and sentences for the reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from benches import table3
from PIL import Image

from latentdrift.study.benchmarks.aggregation import real
from latentdrift.study.benchmarks.bench_page import sensitivity, words, write_bench
from latentdrift.study.benchmarks.benchmark import Bench
from latentdrift.study.benchmarks.variant_result import RunMetric, VariantResult


def run_of(folder: Path, base: Path, out: Path) -> Bench:
    """A benchmark whose results are known: the second seed's distance is 2 above the first's."""
    benchmark = Bench(table3(folder, base, out, seeds=2))
    for cell in benchmark.all_cells:
        for place, variant in enumerate(cell.variants):
            value = place + 2.0 * cell.seed
            distance = RunMetric(value=value, ci=[value - 1, value + 1], floor=0.5)
            metrics = {"frechet_pocket": distance}
            pictures = [np.full((16, 16, 3), 0.5)] * 2
            result = VariantResult(cell.method, variant, cell.seed, 2, metrics)
            benchmark.keep(result, pictures)
    return benchmark


def test_a_row_is_the_mean_over_seeds(folder: Path, tiny_base_folder: Path, tmp_path: Path) -> None:
    benchmark = run_of(folder, tiny_base_folder, tmp_path)
    page = write_bench(tmp_path, benchmark, benchmark.results(), None)
    assert page == tmp_path / "bench.html"
    document = json.loads((tmp_path / "bench.json").read_text())
    for row in document["rows"]:
        cell = next(cell for cell in benchmark.all_cells if row["variant"] in cell.variants)
        first = benchmark.result(cell, row["variant"])
        assert first is not None
        distance = first.metrics["frechet_pocket"]
        assert isinstance(distance, RunMetric) and distance.value is not None
        expected = distance.value + 1.0
        assert row["metrics"]["frechet_pocket"]["mean"] == expected
    assert document["cohort"] == benchmark.cohort.fingerprint
    text = page.read_text()
    for part in ("Every run", "Synthetic pictures of the first seed", *benchmark.options.variants):
        assert part in text
    assert "frechet, pocket" in (tmp_path / "bench.md").read_text()
    strip = next((tmp_path / "results").glob("*.png"))
    assert Image.open(strip).info["Synthetic"].startswith("YES")


def test_sentences_say_what_the_numbers_are(
    folder: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    benchmark = run_of(folder, tiny_base_folder, tmp_path)
    first, *_ = words(benchmark, real(benchmark.results()))
    assert first.startswith("2 seeds, 1 steps of 2 images per fit, 4 synthetic pictures")
    assert sensitivity(benchmark) is None  # no fit has left an adapter
