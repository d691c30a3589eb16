"""Cells of a bench whose pictures are edits: first visits of test patients, changed into the last
ones, which are the truth.

It is `bench editors` (editing.py) with one editor, by the adapter of a cell, judged as a bench
judges.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from latentdrift.adapt.training.batches.edit_hints import sourced
from latentdrift.config import BenchEditorsOptions
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics.image_similarity import SIMILARITIES, compare
from latentdrift.evaluate.privacy.pairwise_metrics import similarities_of
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.study.benchmarks.benchmark import Bench, Cell
from latentdrift.study.benchmarks.variant_metrics import Judge
from latentdrift.study.benchmarks.variant_result import RunMetric, VariantResult
from latentdrift.study.editors.editor_benchmark import (
    EditorBenchmark,
    baseline,
    edited,
    outcomes,
    picture_of,
    score,
)
from latentdrift.study.editors.editor_summary import METRICS, mean, mean_over_patients

MAX_EDIT_IMAGES = 8  # edits kept of each variant


def editing(bench: Bench, model: Model, seed: int, editors: tuple[str, ...]) -> EditorBenchmark:
    """Set up the edits of a bench with one model.

    Args:
        bench: The bench.
        model: Model that edits.
        seed: Seed of the edits.
        editors: Editors to run; empty: baselines only.
    """
    shared = bench.options.model_dump(
        include=set(BenchEditorsOptions.model_fields) - {"adapter", "base", "seed"}
    )
    options = BenchEditorsOptions(
        adapter=model.base.name, split="test", editors=editors, seed=seed, **shared
    )
    hints = sourced(model, options.cohort)
    return EditorBenchmark(replace(model, adapters=()), options, hints)


def edit_and_judge(bench: Bench, cell: Cell, model: Model) -> None:
    """Edit, compare with the last visits, and store the missing variants of a cell.

    Args:
        bench: The bench.
        cell: The cell.
        model: Fitted model of the cell.
    """
    variants = [variant for variant in cell.variants if bench.result(cell, variant) is None]
    if not variants:
        return
    work = editing(
        bench, model, cell.seed, (bench.table.editor,) if cell.fit and bench.table.editor else ()
    )
    cases, originals = work.cases, [picture_of(case) for case in work.cases]
    patients = [case.patient for case in cases]
    truths = colours([case.truth for case in cases])
    judge = Judge.open(bench, EvaluationImages(truths, patients))
    for variant in variants:
        if cell.fit is None:
            row = variant.replace("-", " ")
            edited_images = [
                baseline(work, row, case, original)
                for case, original in zip(cases, originals, strict=True)
            ]
            drift = None
        else:
            editor = work.editors[0]
            edited_images = [
                outcomes(work, editor, edited(work, editor, case, cache=None))[editor].picture
                for case in cases
            ]
            drift = model.drift
        pictures = colours(edited_images)
        metrics = judge(model.base, pictures, cell.seed, patients)
        scores = [
            score(work, *three) for three in zip(cases, originals, edited_images, strict=True)
        ]
        for name in METRICS:
            metric = mean([one.get(name) for one in scores], cases, work.options)
            metrics[name] = None if metric is None else RunMetric(**metric.to_dict())
        perceptual = {
            name: similarity
            for name, similarity in similarities_of(judge.spaces).items()
            if name not in SIMILARITIES
        }
        for name, values in compare(truths, pictures, rows=perceptual).items():
            metric = mean_over_patients(values.tolist(), patients, work.options)
            metrics[name] = RunMetric(**metric.to_dict())
        strip_images = list(pictures[:MAX_EDIT_IMAGES]) if cell.fit else []
        result = VariantResult(cell.method, variant, cell.seed, len(cases), metrics, drift)
        bench.keep(result, strip_images)


def trial(bench: Bench, base: Base) -> None:
    """Make one edit with an unfitted network of the same shape, to find errors early; nothing is
    stored.

    Args:
        bench: The bench.
        base: Its base.
    """
    model = Model.of_base(base, bench.options.resolution).about(bench.cohort)
    editor = bench.table.editor or ""
    work = editing(bench, model, bench.options.seed, (editor,))
    edited(work, editor, work.cases[0], cache=None)


def colours(pictures: list[np.ndarray]) -> np.ndarray:
    """Stack grey images [R, R] to float32 [N, R, R, 3] in [0, 1]."""
    return np.repeat(np.stack(pictures)[..., None], 3, -1).clip(0, 1).astype(np.float32)
