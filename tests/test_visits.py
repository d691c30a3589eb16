"""Pairs of visits with known answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from latentdrift.data.visits import pairs

ROW = {"patient": "A", "split": "train", "view": "axial", "days": np.nan, "visit": None, "age": np.nan}


def table(*rows: dict[str, Any], index: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame([{**ROW, **row} for row in rows], index=index)


def test_every_earlier_visit_pairs_with_every_later_one() -> None:
    assert pairs(table({"days": 400}, {"days": 0}, {"days": 100})) == [(1, 0), (1, 2), (2, 0)]


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
def test_two_pictures(first: dict[str, Any], second: dict[str, Any], expected: list[tuple[int, int]]) -> None:
    assert pairs(table(first, second)) == expected


def test_positions_are_those_of_the_whole_table_and_their_order_does_not_matter() -> None:
    rows = [{"days": 0}, {"days": 0, "patient": "B"}, {"days": 9}, {"days": 9, "patient": "B"}]
    assert pairs(table(*rows, index=[10, 11, 20, 21])) == [(10, 20), (11, 21)]
    assert pairs(table(*rows, index=[10, 11, 20, 21]).iloc[::-1]) == [(10, 20), (11, 21)]
    assert pairs(table(*rows).iloc[:0]) == []
