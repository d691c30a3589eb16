"""Output of a bench: bench.json, a page with images, and the table as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from latentdrift.config import BenchDrawnOptions
from latentdrift.data.images.image_writers import SYNTHETIC
from latentdrift.display import html_report
from latentdrift.display.html_report import markdown
from latentdrift.sample.generate import SamplingOptions
from latentdrift.storage import write_json, write_text, written
from latentdrift.study.benchmarks.aggregation import (
    RealSummary,
    VariantSummary,
    people,
    real,
    runs,
    summarise,
)
from latentdrift.study.benchmarks.benchmark import Bench, Cell
from latentdrift.study.benchmarks.sensitivity import FEW, answers, figure
from latentdrift.study.benchmarks.variant_result import VariantResult
from latentdrift.study.drift.search import load_fit
from latentdrift.study.model_images import prompts_of_split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDITS = (
    "Two visits of one patient are so alike that SSIM and PSNR do not show a failed edit. "
    "Compare with the rows that are not edited; no seed changes these. The share of the "
    "true change is a regression through 0: 1 is the full change, 0 no change, below 0 "
    "the wrong direction. Two visits also differ by noise and position, so 1 cannot be "
    "reached."
)
PERCEPTUAL = (
    "The perceptual distance is LPIPS with SqueezeNet and without its linear weights; do "
    "not compare it with other LPIPS values. `features=squeezenet=PATH` computes it."
)


def write_bench(
    out: Path, bench: Bench, results: Sequence[VariantResult], sensitivity: Figure | None
) -> Path:
    """Write bench.json, bench.md, bench.html and, if there is a figure, sensitivity.png.

    Args:
        out: Folder that exists.
        bench: The bench.
        results: Results of all cells.
        sensitivity: Figure from `sensitivity`; None: no figure.

    Returns:
        Path of bench.html.
    """
    rows = summarise(results)
    reference = real(results)
    _write_rows(out / "bench.json", bench, rows, reference)
    table = people(rows, bench.table)
    sentences = words(bench, reference)
    variants = [
        {"variant": name, "what it is": bench.table.variants[name].summary}
        for name in bench.options.variants
    ]
    write_text(
        out / "bench.md",
        "\n".join([markdown(table), *(f"{part}\n" for part in sentences), markdown(variants)]),
    )
    blocks = [
        html_report.text("\n\n".join(sentences)),
        html_report.table(table),
        html_report.table(variants),
    ]
    if sensitivity is not None:
        with written(out / "sensitivity.png") as aside:
            sensitivity.savefig(aside, dpi=110, metadata={"Synthetic": SYNTHETIC})
        blocks += [
            html_report.heading("Answer to the drift of the start"),
            html_report.picture(sensitivity, "After Yeganeh et al. 2025, fig. 3."),
        ]
    blocks += [
        html_report.heading("Synthetic pictures of the first seed"),
        html_report.gallery(list(_strips(bench))),
    ]
    blocks += [
        html_report.heading("Every run"),
        html_report.table(
            runs(results, bench.table),
            "In brackets the 95 % interval of that run, from resampling patients and pictures.",
        ),
    ]
    html_report.write_page(out / "bench.html", bench.table.title, blocks)
    return out / "bench.html"


def _write_rows(
    path: Path, bench: Bench, rows: Sequence[VariantSummary], reference: RealSummary
) -> None:
    document = {
        "rows": [row.to_dict() for row in rows],
        "real": reference.to_dict(),
        "settings": json.loads(bench.options.model_dump_json()),
        "cohort": bench.cohort.fingerprint,
    }
    if bench.classes:
        document["by"] = str(bench.classes)
    write_json(path, document)


def words(bench: Bench, reference: RealSummary) -> list[str]:
    """Explain the table in paragraphs.

    Args:
        bench: The bench.
        reference: Summary of the real images, from `real`.
    """
    options = bench.options
    table = bench.table
    floors = [
        f"{name.replace('_', ', ')} {value:.3g}"
        for name, value in (reference.floors or {}).items()
        if value is not None
    ]
    halves = f" Real against real, in halves: {', '.join(floors)}." if floors else ""
    behind = (
        "which is hardly anywhere"
        if reference.background is None
        else f"{reference.background:.3g} in the real ones"
    )
    spread = (
        f"; spread is the sd of a picture's mean grey level ({reference.spread:.3g} in the real "
        "ones), the error of latent DC the mean over channels, background the mean where every "
        f"real picture is flat ({behind})"
        if "spread" in table.metric_titles
        else ""
    )
    compared = (
        f"{len(bench.visits)} first visits of test patients, whom no fit saw, per variant and "
        f"seed, changed by {table.editor} into the age and diagnosis of their last visits, which "
        "are the truth and what distances are from"
        if table.editor
        else f"{options.n} synthetic pictures per variant and seed against {len(bench.cohort.rows('test'))} test images of "
        "patients that no fit saw"
    )
    sentences = [
        f"{options.seeds} seeds, {options.fit_steps} steps of {options.fit_batch_size} images per "
        f"fit, {compared}. Values are means over seeds with the 95 % interval of that mean, or of "
        f"one seed its own; bench.html has each run's own interval{spread}.{halves}"
    ]
    sentences += [EDITS, PERCEPTUAL] if table.editor else []
    if bench.classes:
        sentences += [
            (
                f"AUC: a small classifier learns {bench.classes} against the rest from the "
                "synthetic images of a variant. It is tested on the real test images; 0.5 is "
                "chance. Half of the synthetic images are of each class."
            )
        ]
    if table.paper:
        sentences += [
            "The paper's columns (Yeganeh et al. 2025) are of another base (Stable Diffusion 1.4), "
            "other features and other data: compare the order of the rows, never the numbers. "
            f"{table.note}".strip()
        ]
    return sentences


def sensitivity(bench: Bench) -> Figure | None:
    """Plot the sensitivity of the first method's plain and drifted fits of the first seed.

    Returns:
        Matplotlib figure; None where the table has none, or neither fit exists.
    """
    options = bench.options
    responses = {}
    if not (bench.table.answers and isinstance(options, BenchDrawnOptions)):
        return None
    for kind, title in (
        ("plain", "trained without drift"),
        ("drift", f"trained with drift {options.delta}"),
    ):
        cell = Cell(options.methods[0], kind, options.seed, ())
        if not (bench.fitting(cell).out / "adapter").is_dir():
            continue
        model = load_fit(bench.fitting(cell))
        sampling = SamplingOptions.of(options, model.info.side)
        responses[f"{options.methods[0]}, {title}"] = answers(
            model, prompts_of_split(model, bench.cohort, "test", FEW), sampling
        )
    return figure(responses, options.sampler) if responses else None


def _strips(bench: Bench) -> Iterator[tuple[np.ndarray, str]]:
    from PIL import Image

    for cell in bench.all_cells:
        for variant in cell.variants:
            path = bench.path(cell, variant, ".png")
            if cell.seed == bench.options.seed and path.is_file():
                name = f"{cell.method}, {variant}" if cell.method else variant
                with Image.open(path) as picture:
                    yield (
                        np.asarray(picture),
                        f"synthetic; {name}: {bench.table.variants[variant].summary}",
                    )
