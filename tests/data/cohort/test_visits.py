"""Which visits come after which, with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from latentdrift.data.cohort.visits import first_visits, pairs, previous

ROW = {
    "patient": "A",
    "split": "train",
    "view": "axial",
    "days": np.nan,
    "visit": None,
    "age": np.nan,
}


def table(*rows: dict[str, Any], index: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame([{**ROW, **row} for row in rows], index=index)


def test_every_earlier_visit_pairs_with_every_later_one() -> None:
    assert pairs(table({"days": 400}, {"days": 0}, {"days": 100})) == [(1, 0), (1, 2), (2, 0)]


def test_all_later_visits_lead_to_the_first_one() -> None:
    assert first_visits(table({"days": 400}, {"days": 0}, {"days": 100})) == {0: 1, 2: 1}
    same_day = table({"days": 0}, {"days": 0}, {"days": 9})
    assert first_visits(same_day) == {2: 0}
    others = table({"days": 9}, {"days": 0, "view": "coronal"}, {"days": 0, "patient": "B"})
    assert first_visits(others) == {}
    assert first_visits(table({"days": 5}, {"days": 1}, index=[7, 3])) == {7: 3}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"days": 0}, {"days": 1}, [(0, 1)]),
        ({"days": 5}, {"days": 1}, [(1, 0)]),
        ({"days": 0, "visit": "2"}, {"days": 9, "visit": "1"}, [(0, 1)]),  # days decide
        ({"days": 0, "visit": "2"}, {"visit": "1"}, [(1, 0)]),  # where both have them
        ({"visit": "2"}, {"visit": "10"}, [(0, 1)]),  # as numbers
        ({"visit": "MR2"}, {"visit": "MR10"}, [(0, 1)]),
        ({"visit": "ses-02"}, {"visit": "ses-01"}, [(1, 0)]),
        ({"visit": "baseline", "age": 71}, {"visit": "year", "age": 70}, [(1, 0)]),
        ({"visit": "1", "age": 71}, {"visit": "2", "age": 70}, [(0, 1)]),
        ({"age": 70}, {"age": 70.5}, [(0, 1)]),
        ({"days": 3}, {"days": 3}, []),
        ({"days": 3, "visit": "1"}, {"days": 3, "visit": "2"}, []),  # a tie is not looked into
        ({}, {}, []),
        ({"days": 0}, {"visit": "1"}, []),  # nothing that both have
        ({"days": 0}, {"days": 1, "patient": "B"}, []),
        ({"days": 0, "patient": None}, {"days": 1, "patient": None}, []),
        ({"days": 0, "patient": ""}, {"days": 1, "patient": ""}, []),
        ({"days": 0}, {"days": 1, "split": "test"}, []),
        ({"days": 0}, {"days": 1, "view": "coronal"}, []),
        ({"days": 0, "view": None}, {"days": 1, "view": None}, [(0, 1)]),
        ({"days": 0, "view": None}, {"days": 1}, []),
    ],
)
def test_two_pictures(
    first: dict[str, Any], second: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    assert pairs(table(first, second)) == expected


def test_positions_are_those_of_the_whole_table_and_their_order_does_not_matter() -> None:
    rows = [{"days": 0}, {"days": 0, "patient": "B"}, {"days": 9}, {"days": 9, "patient": "B"}]
    assert pairs(table(*rows, index=[10, 11, 20, 21])) == [(10, 20), (11, 21)]
    assert pairs(table(*rows, index=[10, 11, 20, 21]).iloc[::-1]) == [(10, 20), (11, 21)]
    assert pairs(table(*rows).iloc[:0]) == []


def whose(*cells: dict[str, Any]) -> pd.DataFrame:
    """A table of nobody's pictures but for these cells."""
    return table(*({"patient": None, "view": None, **cell} for cell in cells))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("days", (400.0, 0.0, 30.0)),
        ("visit", ("10", "2", "9")),
        ("visit", ("MR10", "MR2", "MR9")),
        ("age", (61.5, 60.0, 61.0)),
    ],
)
def test_visits_follow_one_another_in_time_and_not_in_the_table(
    column: str, values: tuple[Any, ...]
) -> None:
    mine = [{"patient": "A", column: value} for value in values]
    assert previous(whose(*mine, {"patient": "B", column: values[1]})) == {0: 2, 2: 1}


def test_the_most_exact_order_that_a_patient_has_throughout_counts() -> None:
    both = [
        {"patient": "A", "days": 5.0, "visit": "1"},
        {"patient": "A", "days": 1.0, "visit": "2"},
    ]
    assert previous(whose(*both)) == {0: 1}
    assert previous(whose(both[0], {**both[1], "days": float("nan")})) == {1: 0}
    named = [
        {"patient": "A", "visit": "first", "age": 70.0},
        {"patient": "A", "visit": "second", "age": 71.0},
    ]
    assert previous(whose(*named)) == {1: 0}
    assert previous(whose({"patient": "A"}, {"patient": "A"})) == {}
    assert previous(whose({"days": 1.0}, {"days": 2.0})) == {}  # nobody's


def test_of_several_pictures_of_a_visit_it_is_the_same_view() -> None:
    visits = [
        ("frontal", 0.0),
        ("lateral", 0.0),
        ("lateral", 9.0),
        ("oblique", 9.0),
        ("frontal", 9.0),
    ]
    shown = [{"patient": "A", "view": view, "days": days} for view, days in visits]
    assert previous(whose(*shown)) == {2: 1, 3: 0, 4: 0}


def test_any_index_is_taken_for_positions() -> None:
    found = whose({"patient": "A", "days": 0.0}, {"patient": "A", "days": 1.0})
    assert previous(found.set_axis([7, 3])) == {1: 0}
