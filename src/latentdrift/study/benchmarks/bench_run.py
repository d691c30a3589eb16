"""Runs a bench: a fit per cell, the pictures of its variants, and what is said of them. START
READING AT `run`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from latentdrift.adapt.training.train import fit
from latentdrift.config import BenchTable1Options, DriftSearchOptions, GenerateOptions
from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work
from latentdrift.evaluate.images import image_sets
from latentdrift.model.base import Base, takes_gpu
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.sample.generate import SamplingOptions
from latentdrift.sample.start_override import restart
from latentdrift.study.benchmarks.bench_edits import edit_and_judge
from latentdrift.study.benchmarks.benchmark import Bench, Cell
from latentdrift.study.benchmarks.downstream_auc import ClassifierTest
from latentdrift.study.benchmarks.variant_metrics import Judge
from latentdrift.study.benchmarks.variant_result import Metrics, RunMetric, VariantResult
from latentdrift.study.drift.drift_report import write_search
from latentdrift.study.drift.search import load_fit, search
from latentdrift.study.model_images import draw_images, prompts_of_rows

MAX_STRIP_IMAGES = 8  # synthetic pictures kept of each variant


def bench(benchmark: Bench, report: ProgressCallback) -> list[VariantResult]:
    """Run the missing cells of a bench, and return the results of all cells.

    Args:
        benchmark: The bench.
        report: Called with (cells done, all).
    """
    for searched in (False, True):
        cells = benchmark.cells(searched=searched)
        missing = benchmark.missing(cells)
        for _ in _each(benchmark, benchmark.firsts(missing)):  # a fit that is there is found
            pass
        for name in sorted({cell.method or "" for cell in missing if searched}):
            searched_delta(benchmark, name)
        for done, _ in enumerate(_each(benchmark, missing), start=len(cells) - len(missing) + 1):
            report(done, len(cells))
    return benchmark.results()


def _each(bench: Bench, cells: Sequence[Cell]) -> Iterator[None]:
    options = bench.options
    workers = Workers(options.workers, options.ray, uses_gpu=takes_gpu(options.device))
    return run_items(Work.on(bench, run), cells, workers)


def run(bench: Bench, cell: Cell) -> None:
    """Fit the model of a cell, and make and evaluate its missing variants.

    Args:
        bench: The bench.
        cell: The cell.
    """
    model = fitted(bench, cell)
    if bench.table.editor:
        edit_and_judge(bench, cell, model)
    else:
        draw_and_judge(bench, cell, model)


def draw_and_judge(bench: Bench, cell: Cell, model: Model) -> None:
    """Sample, evaluate and store the missing variants of a cell.

    Variants with equal starts share their images.

    Args:
        bench: The bench.
        cell: The cell.
        model: Fitted model of the cell.
    """
    seed = cell.seed
    resolution = model.info.side
    judge = Judge.open(bench, image_sets.from_cohort(bench.cohort, "test", resolution))
    classifier_test = open_classifier_test(bench, model)
    for _, images in list(bench.shared([cell])):
        rows = bench.followed(max(images.values()), seed)
        prompts = prompts_of_rows(model, rows.to_dict("records"))
        images_by_index, drift = draw(bench, cell, next(iter(images)), model, prompts)
        for variant, n in images.items():
            pictures = images_by_index[:n]
            mixed = bench.table.variants[variant].real > 0
            metrics: Metrics = {} if mixed else judge(model.base, np.stack(pictures), seed)
            if classifier_test:
                scores = classifier_test(pictures, rows.iloc[:n], real=mixed, seed=seed)
                metrics["auc"] = RunMetric(**scores.to_dict())
            result = VariantResult(cell.method, variant, seed, n, metrics)
            if n:
                result = replace(result, drift=drift, prompt=prompts[0])
            bench.keep(result, [] if mixed else pictures[:MAX_STRIP_IMAGES])


def fitted(bench: Bench, cell: Cell) -> Model:
    """Model of a cell: fitted now or before, or the base where the cell has no fit.

    Args:
        bench: The bench.
        cell: The cell.
    """
    options = bench.options
    base = Base.load(options.base, device=options.device, precision=options.precision)
    if cell.fit is None:
        return Model.of_base(base, options.resolution).about(bench.cohort)
    fitting = bench.fitting(cell)
    fit(base, bench.cohort, fitting, fitting.out, quiet=True, class_pictures=options.out / "class")
    for part in (
        "cache",
        "checkpoints",
    ):  # a finished fit does not need them, and there are many fits
        shutil.rmtree(fitting.out / part, ignore_errors=True)
    return load_fit(fitting)


def open_classifier_test(bench: Bench, model: Model) -> ClassifierTest | None:
    """Test of a classifier on real images; None where the bench has none.

    Args:
        bench: The bench.
        model: Model that gives the resolution.
    """
    options = bench.options
    if bench.classes is None or not isinstance(options, BenchTable1Options):
        return None
    return ClassifierTest(
        bench.cohort,
        bench.classes,
        steps=options.classifier_steps,
        resamples=options.bootstrap,
        seed=options.seed,
        resolution=model.info.side,
        device=str(model.base.device),
    )


def draw(
    bench: Bench, cell: Cell, variant: str, model: Model, prompts: Mapping[int, str]
) -> tuple[list[np.ndarray], Drift]:
    """Sample the images of a variant.

    Args:
        bench: The bench.
        cell: Cell of the variant.
        variant: Row of the table's variants; gives the start.
        model: Fitted model of the cell.
        prompts: Index -> prompt.

    Returns:
        Images [R, R, 3] in [0, 1], one for each prompt; and the drift of sampling.
    """
    options = bench.options
    start = bench.table.variants[variant].start
    searched = (
        str(searched_delta(bench, cell.method or "")) if "{searched}" in start.values() else ""
    )
    given: dict[str, Any] = {
        name: value.format(delta=options.delta, searched=searched) for name, value in start.items()
    }
    sampling_options: Any = {
        name: getattr(options, name) for name in ("steps", "guidance", "sampler", "batch_size")
    }
    sampling_options |= {"seed": cell.seed, "resolution": model.info.side}
    wanted = GenerateOptions(adapter=model.base.name, out=options.out, **sampling_options, **given)
    sampling = SamplingOptions.of(wanted, wanted.resolution)
    drift = restart(model, wanted)
    return list(draw_images(model, drift, prompts, sampling)), drift


def searched_delta(bench: Bench, method: str) -> float:
    """Delta with the least L1 distance for a method's plain fit, searched on the validation split.

    The fit of the first seed gives the delta of all seeds. A search that was made before is read.

    Args:
        bench: The bench.
        method: Row of METHODS.
    """
    options = bench.options
    out = options.out / "searches" / f"{method}-{bench.key}"
    if not (out / "search.json").is_file():
        first = bench.fitting(Cell(method, "plain", options.seed, ()))
        same = (
            "steps",
            "guidance",
            "sampler",
            "batch_size",
            "n",
            "seed",
            "bootstrap",
            "workers",
            "ray",
            "device",
            "precision",
        )
        shared = {name: getattr(options, name) for name in same}
        wanted = DriftSearchOptions(
            cohort=options.cohort, out=out, adapter=str(first.out), base=options.base, **shared
        )
        write_search(
            out, search(partial(load_fit, first), bench.cohort, wanted, lambda done, all: None)
        )
    return float(json.loads((out / "search.json").read_text(encoding="utf-8"))["delta"][0])
