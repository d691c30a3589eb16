"""Round trips: what an inversion of so many steps loses of an image when it is drawn again without
any change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentdrift.display import html_report
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.evaluate.statistics.results import EditMean, ResultModel
from latentdrift.progress import ProgressCallback
from latentdrift.study.editors import editor_benchmark
from latentdrift.study.editors.editor_summary import mean_over_patients
from latentdrift.study.editors.reference_edits import Case

ERROR = "round_trip"
COLOURS = ("#d1603d", "#4878a8", "#5a8f5a", "#8f5a8f", "#8f7a3a", "#3a7a8f", "#555555")


class RoundTrip(ResultModel):
    """Error of an image that is inverted and sampled again."""

    editor: str
    """Editor, or the baseline of the autoencoder."""
    steps: int
    """Steps of the full trajectory; 0 for the autoencoder."""
    error: EditMean
    """Mean absolute error, as a share of the intensity range."""


def round_trip_settings(bench: editor_benchmark.EditorBenchmark) -> list[tuple[str, int]]:
    """All pairs of an editor that inverts images and a number of steps."""
    able = [name for name in bench.editors if EDITORS[name].inversion(None) is not None]
    return [(name, steps) for name in able for steps in bench.options.round_trip]


def unmade(bench: editor_benchmark.EditorBenchmark) -> list[tuple[str, int, Case]]:
    """Round trips without a stored result: (editor, steps, case)."""
    every = [
        (editor, steps, case)
        for editor, steps in round_trip_settings(bench)
        for case in bench.cases
    ]
    return [one for one in every if bench.result(_row(*one[:2]), one[2]) is None]


def run(
    bench: editor_benchmark.EditorBenchmark, cache: InversionCache, report: ProgressCallback
) -> list[RoundTrip]:
    """Mean absolute error of the reconstruction for each editor and number of steps.

    The error of the autoencoder alone stands at 0 steps.

    Args:
        bench: The benchmark.
        cache: Cache of inversions.
        report: Called with (round trips done, all).
    """
    missing = unmade(bench)
    for done, (editor, steps, case) in enumerate(missing, start=1):
        outcome = editor_benchmark.edited(bench, editor, case, cache, steps=steps)
        error = _error(
            editor_benchmark.picture_of(case), editor_benchmark.unit(outcome.reconstruction)
        )
        bench.keep(_row(editor, steps), case, {ERROR: error}, None)
        report(done, len(missing))
    settings = round_trip_settings(bench)
    if not settings:
        return []
    return [_autoencoder(bench), *(_summary(bench, editor, steps) for editor, steps in settings)]


def _summary(bench: editor_benchmark.EditorBenchmark, editor: str, steps: int) -> RoundTrip:
    """Mean of the stored errors of an editor with a number of steps."""
    stored = [(bench.result(_row(editor, steps), case), case.patient) for case in bench.cases]
    known = [(metrics[ERROR], patient) for metrics, patient in stored if metrics is not None]
    errors, patients = zip(*known, strict=True)
    mean = mean_over_patients(errors, patients, bench.options)
    return RoundTrip(editor=editor, steps=steps, error=mean)


def _autoencoder(bench: editor_benchmark.EditorBenchmark) -> RoundTrip:
    """Error of the autoencoder alone."""
    row = editor_benchmark.ROUND_TRIP
    errors = []
    for case in bench.cases:
        original = editor_benchmark.picture_of(case)
        again = editor_benchmark.baseline(bench, row, case, original)
        errors.append(_error(original, again))
    patients = [case.patient for case in bench.cases]
    mean = mean_over_patients(errors, patients, bench.options)
    return RoundTrip(editor=row, steps=0, error=mean)


def blocks(rows: Sequence[RoundTrip]) -> list[html_report.Block]:
    """Table and plot of round trips for the page; empty without any.

    Args:
        rows: From `run`.
    """
    if not rows:
        return []
    table = [
        {
            "editor": row.editor,
            "steps": row.steps or None,
            "error [95 % interval]": html_report.estimate(row.error.value, row.error.ci),
        }
        for row in rows
    ]
    words = (
        "Mean absolute error of an image that is inverted and sampled again with its own "
        "prompt, as a share of the intensity range. The intervals resample patients. No "
        "inversion can be better than the autoencoder alone."
    )
    return [
        html_report.heading("Round trips"),
        html_report.table(table, words, keys=2),
        _curves(rows),
    ]


def _curves(rows: Sequence[RoundTrip]) -> html_report.Block:
    drawing, (ax,) = html_report.figure(width=5.6, height=3.0)
    editors = dict.fromkeys(row.editor for row in rows if row.steps)
    for place, editor in enumerate(editors):
        own = sorted((row for row in rows if row.editor == editor), key=lambda row: row.steps)
        ax.plot(
            [row.steps for row in own],
            [row.error.value for row in own],
            "o-",
            color=COLOURS[place % len(COLOURS)],
            markersize=4,
            label=editor,
        )
    floor = rows[0]
    ax.axhline(
        floor.error.value, color=COLOURS[-1], linestyle="--", linewidth=1, label=floor.editor
    )
    ax.set_xlabel("steps of the full trajectory", fontsize=8)
    ax.set_ylabel("error of the reconstruction", fontsize=8)
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=7, frameon=False)
    return html_report.picture(drawing, "The error of a round trip against the number of steps.")


def _row(editor: str, steps: int) -> str:
    return f"{editor}, round trip of {steps}"


def _error(original: np.ndarray, again: np.ndarray) -> float:
    return float(np.abs(again - original).mean())
