"""Visits: which pictures of a patient come after which."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

NUMBER = r"(\d+(?:\.\d+)?)\D*$"
"""Number of a visit: 2 of `2`, `MR2` and `ses-02`."""


def clocks(table: pd.DataFrame) -> np.ndarray:
    """Values that order visits: days, number of the visit, age; the most exact first.

    Args:
        table: Rows of metadata.csv.

    Returns:
        float [N, 3]; NaN where unknown.
    """
    numbers = table["visit"].astype("string").str.extract(NUMBER, expand=False)
    columns = (table["days"], numbers, table["age"])
    return np.stack(
        [pd.to_numeric(values, errors="coerce").astype(float) for values in columns], axis=1
    )


def pairs(table: pd.DataFrame) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of visits of one patient in one split and view.

    The first value of `clocks` that both visits have gives the order. Visits without a patient or
    an order make no pair.

    Args:
        table: Rows of a cohort, indexed by their positions.

    Returns:
        Sorted pairs of positions in metadata.csv.
    """
    times = dict(zip(table.index, clocks(table), strict=True))
    known = table[table["patient"].notna() & (table["patient"] != "")]
    all_pairs = []
    for _, rows in known.groupby(["patient", "split", "view"], dropna=False, sort=False):
        for one, other in combinations(rows.index, 2):
            steps = times[other] - times[one]
            ahead = next(iter(steps[~np.isnan(steps)]), 0)
            if ahead:
                all_pairs.append((int(one), int(other)) if ahead > 0 else (int(other), int(one)))
    return sorted(all_pairs)


def first_visits(table: pd.DataFrame) -> dict[int, int]:
    """Position of a later visit -> position of the patient's first one in the same split and view.

    Args:
        table: Rows of a cohort, indexed by their positions.
    """
    ordered = pairs(table)
    later = {late for _, late in ordered}
    first: dict[int, int] = {}
    for early, late in ordered:
        if early not in later:
            first.setdefault(late, early)
    return dict(sorted(first.items()))


def previous(table: pd.DataFrame) -> dict[int, int]:
    """Position of an image -> position of the same patient's visit before, where there is one.

    A patient's visits are ordered by the first of `clocks` that all of that patient's images have.
    Of several images of the visit before, it is the first one that shows the same `view`, or else
    the first.

    Args:
        table: A cohort's; positions are counted, whatever its index.
    """
    numbers = clocks(table)
    views = table["view"].tolist()
    earlier = {}
    for rows in table.reset_index(drop=True).groupby("patient").indices.values():
        whole = ~np.isnan(numbers[rows]).any(0)
        if not whole.any():
            continue
        times = numbers[rows, whole.argmax()]
        for row, time in zip(rows, times, strict=True):
            if (times < time).any():
                before = rows[times == times[times < time].max()]
                earlier[int(row)] = int(
                    next((other for other in before if views[other] == views[row]), before[0])
                )
    return dict(sorted(earlier.items()))
