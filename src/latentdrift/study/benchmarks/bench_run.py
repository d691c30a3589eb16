"""Runs a bench: a fit per cell, the pictures of its variants, and what is said of them. START
READING AT `run`."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any

import numpy as np

from latentdrift.adapt.training.train import fit
from latentdrift.config import BenchTable1Options, DriftSearchOptions, GenerateOptions
from latentdrift.evaluate.images import image_sets
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.progress import Report
from latentdrift.sample.generate import SamplingOptions
from latentdrift.sample.start_override import restart
from latentdrift.study.benchmarks.bench_edits import edit_and_judge
from latentdrift.study.benchmarks.benchmark import Bench, Cell
from latentdrift.study.benchmarks.downstream_auc import Exam
from latentdrift.study.benchmarks.variant_metrics import Judge
from latentdrift.study.drift.drift_report import write_search
from latentdrift.study.drift.search import load_fit, search
from latentdrift.study.model_images import draw_images, prompts_of_rows

SHOWN = 8  # synthetic pictures kept of each variant


def bench(asked: Bench, report: Report) -> list[Mapping[str, Any]]:
    """Every result, made or found."""
    for searched in (False, True):
        cells = asked.cells(searched=searched)
        missing = asked.missing(cells)
        for _ in _each(asked, asked.firsts(missing)):  # a fit that is there is found
            pass
        for name in sorted({cell.method or "" for cell in missing if searched}):
            searched_delta(asked, name)
        for done, _ in enumerate(_each(asked, missing), start=len(cells) - len(missing) + 1):
            report(done, len(cells))
    return asked.results()


def _each(asked: Bench, cells: Sequence[Cell]) -> Iterator[None]:
    workers = min(asked.options.workers, len(cells))
    if workers <= 1:
        for cell in cells:
            run(asked, cell)
            yield
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, asked, cell) for cell in cells]):
            yield future.result()


def run(asked: Bench, cell: Cell) -> None:
    """Fit, then draw or edit and judge every variant of a cell that is not there yet."""
    model = fitted(asked, cell)
    if asked.table.editor:
        edit_and_judge(asked, cell, model)
    else:
        draw_and_judge(asked, cell, model)


def draw_and_judge(asked: Bench, cell: Cell, model: Model) -> None:
    """Draw and judge; variants with one start share their pictures."""
    seed = cell.seed
    resolution = model.info.side
    judge = Judge.open(asked, image_sets.from_cohort(asked.cohort, "test", resolution))
    exam = examined(asked, model)
    for _, images in list(asked.shared([cell])):
        rows = asked.followed(max(images.values()), seed)
        prompts = prompts_of_rows(model, rows.to_dict("records"))
        drawn, drift = draw(asked, cell, next(iter(images)), model, prompts)
        for variant, n in images.items():
            pictures = drawn[:n]
            mixed = asked.table.variants[variant].real > 0
            metrics = {} if mixed else judge(model.base, np.stack(pictures), seed)
            if exam:
                metrics["auc"] = exam(pictures, rows.iloc[:n], real=mixed, seed=seed)
            told = {
                "n": n,
                "metrics": metrics,
                **({"drift": drift, "prompt": prompts[0]} if n else {}),
            }
            asked.keep(cell, variant, [] if mixed else pictures[:SHOWN], told)


def fitted(asked: Bench, cell: Cell) -> Model:
    """The adapter of a cell, made or found; the base where nothing is fitted."""
    options = asked.options
    base = Base.load(options.base, device=options.device, precision=options.precision)
    if cell.fit is None:
        return Model.of_base(base, options.resolution).about(asked.cohort)
    fitting = asked.fitting(cell)
    fit(base, asked.cohort, fitting, fitting.out, quiet=True, class_pictures=options.out / "class")
    for part in (
        "cache",
        "checkpoints",
    ):  # a finished fit does not need them, and there are many fits
        shutil.rmtree(fitting.out / part, ignore_errors=True)
    return load_fit(fitting)


def examined(asked: Bench, model: Model) -> Exam | None:
    """The classifier's examination, where one is asked for."""
    options = asked.options
    if asked.classes is None or not isinstance(options, BenchTable1Options):
        return None
    return Exam(
        asked.cohort,
        asked.classes,
        steps=options.classifier_steps,
        resamples=options.bootstrap,
        seed=options.seed,
        resolution=model.info.side,
        device=str(model.base.device),
    )


def draw(
    asked: Bench, cell: Cell, variant: str, model: Model, prompts: Mapping[int, str]
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Pictures [R, R, 3] in [0, 1] from a variant's start, one per prompt, and the drift that they
    were drawn with."""
    options = asked.options
    start = asked.table.variants[variant].start
    searched = (
        str(searched_delta(asked, cell.method or "")) if "{searched}" in start.values() else ""
    )
    given: dict[str, Any] = {
        name: value.format(delta=options.delta, searched=searched) for name, value in start.items()
    }
    how: Any = {
        name: getattr(options, name) for name in ("steps", "guidance", "sampler", "batch_size")
    }
    how |= {"seed": cell.seed, "resolution": model.info.side}
    wanted = GenerateOptions(adapter=model.base.name, out=options.out, **how, **given)
    sampling = SamplingOptions.of(wanted, wanted.resolution)
    drift = restart(model, wanted)
    return list(draw_images(model, drift, prompts, sampling)), drift.to_dict()


def searched_delta(asked: Bench, method: str) -> float:
    """What the L1 search chooses for the plain fit of a method and the first seed, on the
    validation split; for all seeds."""
    options = asked.options
    out = options.out / "searches" / f"{method}-{asked.key}"
    if not (out / "search.json").is_file():
        first = asked.fitting(Cell(method, "plain", options.seed, ()))
        same = (
            "steps",
            "guidance",
            "sampler",
            "batch_size",
            "n",
            "seed",
            "bootstrap",
            "workers",
            "device",
            "precision",
        )
        shared = {name: getattr(options, name) for name in same}
        wanted = DriftSearchOptions(
            cohort=options.cohort, out=out, adapter=str(first.out), base=options.base, **shared
        )
        write_search(
            out, *search(partial(load_fit, first), asked.cohort, wanted, lambda done, all: None)
        )
    return float(json.loads((out / "search.json").read_text(encoding="utf-8"))["delta"][0])
