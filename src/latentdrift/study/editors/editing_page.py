"""Output of `bench editors`: editors.json, the table as Markdown, and a page with images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.registration.columns import STATUS
from latentdrift.display import html_report
from latentdrift.display.html_report import DASH, markdown
from latentdrift.evaluate.statistics.results import EditMean
from latentdrift.storage import write_json, write_text
from latentdrift.study.editors import round_trip
from latentdrift.study.editors.editor_benchmark import ROWS_BESIDE, EditorBenchmark, strips
from latentdrift.study.editors.editor_summary import TITLES, EditorRow
from latentdrift.study.editors.round_trip import RoundTrip


def write_editors(
    out: Path,
    bench: EditorBenchmark,
    rows: Sequence[EditorRow],
    trips: Sequence[RoundTrip] = (),
) -> Path:
    """Write editors.json, editors.md and editors.html.

    Args:
        out: Folder that exists.
        bench: The benchmark.
        rows: Rows of the table.
        trips: Round trips; empty: none.

    Returns:
        Path of editors.html.
    """
    table = people(rows)
    sentences = words(bench)
    settings = bench.options.model_dump(mode="json")
    document: dict[str, object] = {
        "rows": [row.to_dict() for row in rows],
        "settings": settings,
        "base": bench.model.base.hash,
    }
    if trips:
        document["round_trips"] = [trip.to_dict() for trip in trips]
    write_json(out / "editors.json", document)
    write_text(
        out / "editors.md", "\n".join([markdown(table), *(f"{part}\n" for part in sentences)])
    )
    blocks = [
        html_report.text("\n\n".join(sentences)),
        html_report.table(table, keys=2),
        *round_trip.blocks(trips),
    ]
    blocks += [html_report.heading("Pictures"), html_report.gallery(list(strips(bench)))]
    html_report.write_page(
        out / "editors.html", "Editors, compared with the true result of each edit", blocks
    )
    return out / "editors.html"


def people(rows: Sequence[EditorRow]) -> list[dict[str, str]]:
    """Table for readers: titles and formatted cells."""
    names = [name for name in TITLES if any(name in row.metrics for row in rows)]
    return [
        {"change": row.change, "editor": row.editor}
        | {TITLES[name]: cell(row.metrics.get(name)) for name in names}
        for row in rows
    ]


def _and_position(cohort: Cohort) -> str:
    """What registration would take away; nothing of registered visits."""
    return (
        ""
        if STATUS in cohort.table
        else " and position (`latentdrift import --register` removes it)"
    )


def cell(metric: EditMean | None) -> str:
    """Table cell of a metric with its 95 % interval, `0.31 [0.22, 0.41]`; a dash for None."""
    if metric is None or metric.value is None:
        return DASH
    ends = metric.ci
    return f"{metric.value:.3g}" + (f" [{ends[0]:.3g}, {ends[1]:.3g}]" if ends else "")


def words(bench: EditorBenchmark) -> list[str]:
    """Explain the table in paragraphs."""
    options = bench.options
    n = len(bench.cases)
    what = (
        (
            f"{n} first visits of patients of the {options.split} split, edited into the age "
            "and diagnosis of the last visit. The truth is that last visit. Two visits also "
            f"differ by noise{_and_position(bench.cohort)}, so a share of 1 cannot be reached. "
            "Compare each editor with the baselines. Errors after a blur, and changes of volumes, "
            "are sums over patients, divided by those of no change: 0 is no better than no "
            "change, 1 is perfect, below 0 is worse. A calibration slope is the regression of the "
            "true on the predicted change: 1 is the right size."
        )
        if bench.cohort is not None
        else (
            f"{n} phantoms that were not used in training. The truth is the same phantom with "
            "the change, scanned in the same way."
        )
    )
    measured_as = (
        f"{options.steps} steps, strength {options.strength:g}, guidance "
        f"{options.guidance:g}. Brackets: 95 % intervals, which resample patients. Errors "
        "are shares of the intensity range. The share of the true change is a regression "
        "through 0: 1 is the full change, 0 no change, below 0 the wrong direction."
    )
    sampling = (
        "Editors that invert the image add only the change to the original, so its detail "
        "is kept. Rows named 'as drawn' show the image as the editor drew it, without the "
        "detail that the autoencoder loses."
    )
    baselines = "; ".join(f"{name}: {ROWS_BESIDE[name]}" for name in bench.baselines)
    return [what, measured_as, sampling, f"Baselines: {baselines}."]
