"""The visit before: whose, and which of several."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from latentdrift.data.visits import previous


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    """A cohort's table with these cells, as `Cohort.load` has it."""
    empty = {"patient": None, "view": None, "days": float("nan"), "visit": None, "age": float("nan")}
    return pd.DataFrame([{**empty, **row} for row in rows])


@pytest.mark.parametrize(
    ("column", "values"),
    [("days", (400.0, 0.0, 30.0)), ("visit", ("10", "2", "9")), ("visit", ("MR10", "MR2", "MR9")), ("age", (61.5, 60.0, 61.0))],
)
def test_visits_follow_one_another_in_time_and_not_in_the_table(column: str, values: tuple[Any, ...]) -> None:
    mine = [{"patient": "A", column: value} for value in values]
    assert previous(table(*mine, {"patient": "B", column: values[1]})) == {0: 2, 2: 1}


def test_the_most_exact_order_that_a_patient_has_throughout_counts() -> None:
    both = [{"patient": "A", "days": 5.0, "visit": "1"}, {"patient": "A", "days": 1.0, "visit": "2"}]
    assert previous(table(*both)) == {0: 1}
    assert previous(table(both[0], {**both[1], "days": float("nan")})) == {1: 0}
    named = [{"patient": "A", "visit": "first", "age": 70.0}, {"patient": "A", "visit": "second", "age": 71.0}]
    assert previous(table(*named)) == {1: 0}
    assert previous(table({"patient": "A"}, {"patient": "A"})) == {}
    assert previous(table({"days": 1.0}, {"days": 2.0})) == {}  # nobody's


def test_of_several_pictures_of_a_visit_it_is_the_same_view() -> None:
    visits = [("frontal", 0.0), ("lateral", 0.0), ("lateral", 9.0), ("oblique", 9.0), ("frontal", 9.0)]
    rows = [{"patient": "A", "view": view, "days": days} for view, days in visits]
    assert previous(table(*rows)) == {2: 1, 3: 0, 4: 0}


def test_any_index_is_taken_for_positions() -> None:
    rows = table({"patient": "A", "days": 0.0}, {"patient": "A", "days": 1.0})
    assert previous(rows.set_axis([7, 3])) == {1: 0}
