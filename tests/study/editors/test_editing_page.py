"""Table of the editor benchmark for people: values with their intervals, and a dash for none."""

from __future__ import annotations

import pytest

from latentdrift.display.html_report import DASH
from latentdrift.evaluate.statistics.results import EditMean
from latentdrift.study.editors.editing_page import cell, people
from latentdrift.study.editors.editor_summary import METRICS, EditorRow


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (EditMean(value=0.3141, ci=[0.2222, 0.41], n=4), "0.314 [0.222, 0.41]"),
        (EditMean(value=12.0, ci=None, n=4), "12"),
        (None, DASH),
    ],
)
def test_a_cell_has_three_digits(metric: EditMean | None, text: str) -> None:
    assert cell(metric) == text


def test_a_metric_that_no_row_has_is_no_column() -> None:
    first, second, *_ = METRICS
    rows = [
        EditorRow(
            change="age",
            editor="ddim",
            n=1,
            metrics={first: EditMean(value=1.0, ci=None, n=1)},
        ),
        EditorRow(change="age", editor="sdedit", n=1, metrics={}),
    ]
    assert people(rows) == [
        {"change": "age", "editor": "ddim", METRICS[first]: "1"},
        {"change": "age", "editor": "sdedit", METRICS[first]: DASH},
    ]
    assert METRICS[second] not in people(rows)[0]
