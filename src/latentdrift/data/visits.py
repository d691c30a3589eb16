"""Visits: which pictures of a patient come after which."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

NUMBER = r"(\d+(?:\.\d+)?)\D*$"
"""Of a visit: 2 of `2`, `MR2` and `ses-02`."""


def pairs(table: pd.DataFrame) -> list[tuple[int, int]]:
    """All (earlier, later) of two visits of one patient in one split and view, as positions in metadata.csv, sorted.

    Days decide where both are known, else the visits' numbers, else the ages. Pictures without a patient, and two that this puts
    in no order, make no pair.

    Args:
        table: rows of a cohort, indexed by their positions.
    """
    numbers = table["visit"].astype("string").str.extract(NUMBER, expand=False)
    clocks = [pd.to_numeric(values, errors="coerce").astype(float) for values in (table["days"], numbers, table["age"])]
    times = dict(zip(table.index, zip(*clocks, strict=True), strict=True))
    known = table[table["patient"].notna() & (table["patient"] != "")]
    found = []
    for _, rows in known.groupby(["patient", "split", "view"], dropna=False, sort=False):
        for one, other in combinations(rows.index, 2):
            steps = (then - now for now, then in zip(times[one], times[other], strict=True))
            ahead = next((step for step in steps if step == step), 0)  # a missing value is not equal to itself
            if ahead:
                found.append((int(one), int(other)) if ahead > 0 else (int(other), int(one)))
    return sorted(found)
