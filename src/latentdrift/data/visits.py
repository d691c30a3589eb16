"""Visits of one patient in the order of time."""

from __future__ import annotations

import pandas as pd

ORDER = ("days", "visit", "age")
"""Columns that can say the order, the most exact one first."""
NUMBER = r"(\d+(?:\.\d+)?)\D*$"
"""Of a visit: 2 of `2`, `MR2` and `ses-02`."""


def previous(table: pd.DataFrame) -> dict[int, int]:
    """Position of an image -> position of the same patient's visit before, where there is one.

    A patient's visits are ordered by the first column of ORDER that has a number for all of that patient's images. Of several
    images of the visit before, it is the first one that shows the same `view`, or else the first.

    Args:
        table: A cohort's, with `patient`, `view` and the columns of ORDER.
    """
    said = {**{name: table[name] for name in ORDER}, "visit": table["visit"].astype("string").str.extract(NUMBER, expand=False)}
    numbers = {name: pd.to_numeric(values, errors="coerce").astype(float).to_numpy() for name, values in said.items()}
    views, found = table["view"].tolist(), {}
    for rows in table.reset_index(drop=True).groupby("patient").indices.values():
        times = next((numbers[name][rows] for name in ORDER if not pd.isna(numbers[name][rows]).any()), None)
        if times is None:
            continue
        for row, time in zip(rows, times, strict=True):
            if (times < time).any():
                before = rows[times == times[times < time].max()]
                found[int(row)] = int(next((other for other in before if views[other] == views[row]), before[0]))
    return dict(sorted(found.items()))
