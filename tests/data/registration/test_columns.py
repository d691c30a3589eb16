"""Columns of registered visits."""

from __future__ import annotations

from latentdrift.data.importing.visit_registration import RegisteredVisit
from latentdrift.data.registration import columns


def test_a_registered_visit_fills_all_columns() -> None:
    visit = RegisteredVisit("1 0 0 1 0 0", 1.1, 0.8, 0.9, None, "ab")
    cells = visit.cells("images/000001.png", {"row_mm": 0.5, "col_mm": 0.5})
    assert set(columns.ALL) <= set(cells)
    assert cells[columns.STATUS] == columns.REGISTERED
    assert cells[columns.UNREGISTERED] == "unregistered/000001.png"
    assert (cells["row_mm"], cells["sha256"]) == (0.5, "ab")


def test_a_failed_visit_says_why_and_keeps_its_image() -> None:
    visit = RegisteredVisit("1 0 0 1 0 0", 1.0, 0.3, 0.4, "correlation below 0.5", None)
    cells = visit.cells("images/000001.png", {"row_mm": 0.5, "col_mm": 0.5})
    assert cells[columns.STATUS] == "failed: correlation below 0.5"
    assert columns.UNREGISTERED not in cells and "row_mm" not in cells
