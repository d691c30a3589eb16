"""Round trips on the page: a table and a plot, and nothing without them."""

from __future__ import annotations

from pathlib import Path

from latentdrift.display import html_report
from latentdrift.evaluate.statistics.results import EditMean
from latentdrift.study.editors.round_trip import RoundTrip, blocks


def test_every_editor_and_number_of_steps_is_a_row(tmp_path: Path) -> None:
    rows = [
        RoundTrip(editor=editor, steps=steps, error=EditMean(value=error, ci=ci, n=4))
        for editor, steps, error, ci in (
            ("autoencoder", 0, 0.01, None),
            ("ddim", 10, 0.08, [0.07, 0.09]),
            ("ddim", 50, 0.02, [0.015, 0.03]),
        )
    ]
    html_report.write_page(tmp_path / "page.html", "Round trips", blocks(rows))
    page = (tmp_path / "page.html").read_text()
    assert "0.08" in page and "0.02" in page and "svg" in page
    assert page.count("ddim") >= 2 and "autoencoder" in page


def test_without_round_trips_there_is_nothing() -> None:
    assert blocks([]) == []
