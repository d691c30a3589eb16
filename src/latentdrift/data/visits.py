"""Visits of one patient in the order of time."""

from __future__ import annotations

import pandas as pd

ORDER = ("days", "visit", "age")
"""Columns that can say the order, the most exact one first."""


def previous(table: pd.DataFrame) -> dict[int, int]:
    """Position of an image -> position of the same patient's visit before, where there is one.

    A patient's visits are ordered by the first column of ORDER that has a number for all of that patient's images. Of several
    images of the visit before, it is the first one that shows the same `view`, or else the first.

    Args:
        table: A cohort's, with `patient`, `view` and the columns of ORDER.
    """
    numbers = {name: pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float) for name in ORDER}
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
