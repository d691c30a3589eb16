"""Round trips: what an inversion of so many steps loses of an image when it is drawn again without
any change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift.display import html_report
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.progress import ProgressCallback
from latentdrift.study.editors import editor_benchmark
from latentdrift.study.editors.reference_edits import Case

ERROR = "round_trip"
COLOURS = ("#d1603d", "#4878a8", "#5a8f5a", "#8f5a8f", "#8f7a3a", "#3a7a8f", "#555555")


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
) -> list[dict[str, Any]]:
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
    rows = []
    for editor, steps in round_trip_settings(bench):
        values = [
            (bench.result(_row(editor, steps), case) or {}).get(ERROR) for case in bench.cases
        ]
        rows.append(
            {
                "editor": editor,
                "steps": steps,
                "error": editor_benchmark.mean(values, bench.cases, bench.options),
            }
        )
    if not rows:
        return []
    originals = [(case, editor_benchmark.picture_of(case)) for case in bench.cases]
    floor = [
        _error(
            original, editor_benchmark.baseline(bench, editor_benchmark.ROUND_TRIP, case, original)
        )
        for case, original in originals
    ]
    return [
        {
            "editor": editor_benchmark.ROUND_TRIP,
            "steps": 0,
            "error": editor_benchmark.mean(floor, bench.cases, bench.options),
        },
        *rows,
    ]


def blocks(rows: Sequence[Mapping[str, Any]]) -> list[html_report.Block]:
    """Table and plot of round trips for the page; empty without any.

    Args:
        rows: From `run`.
    """
    if not rows:
        return []
    table = [
        {
            "editor": row["editor"],
            "steps": row["steps"] or None,
            "error [95 % interval]": html_report.estimate(
                row["error"]["value"], row["error"]["ci"]
            ),
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


def _curves(rows: Sequence[Mapping[str, Any]]) -> html_report.Block:
    drawing, (ax,) = html_report.figure(width=5.6, height=3.0)
    editors = dict.fromkeys(row["editor"] for row in rows if row["steps"])
    for place, editor in enumerate(editors):
        own = sorted((row["steps"], row["error"]) for row in rows if row["editor"] == editor)
        colour = COLOURS[place % len(COLOURS)]
        ax.plot(
            [steps for steps, _ in own],
            [error["value"] for _, error in own],
            "o-",
            color=colour,
            markersize=4,
            label=editor,
        )
    ax.axhline(
        rows[0]["error"]["value"],
        color=COLOURS[-1],
        linestyle="--",
        linewidth=1,
        label=rows[0]["editor"],
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
