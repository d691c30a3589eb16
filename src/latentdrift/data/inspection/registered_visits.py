"""What the registration of visits did: how many, how well, and the worst ones in pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.visits import first_visits
from latentdrift.data.registration.columns import (
    AFTER,
    BEFORE,
    FAILED,
    REGISTERED,
    STATUS,
    UNREGISTERED,
)

WORST = 4
"""Registered visits that are shown."""


@dataclass(frozen=True)
class RegistrationStatistics:
    """Registration of later visits onto the first ones."""

    registered: int
    failed: dict[str, int]
    """Reason -> number of images."""
    correlation_before: dict[str, float]
    """Smallest, median and largest normalised correlation with the first visit before it."""
    correlation: dict[str, float]
    """The same after it."""


@dataclass(frozen=True, eq=False)
class RegisteredPair:
    """A registered visit beside the first one; images are float [H, W] or [H, W, 3] in [-1, 1]."""

    file_name: str
    first: np.ndarray
    before: np.ndarray
    """The later visit before registration."""
    after: np.ndarray
    correlation: float


def registration_statistics(cohort: Cohort) -> RegistrationStatistics | None:
    """Count registered visits; None where nothing was registered."""
    table = cohort.table
    if STATUS not in table:
        return None
    status = table[STATUS].dropna().astype(str)
    registered = table.loc[status.index[status == REGISTERED]]
    reasons = status[status.str.startswith(FAILED)].str.removeprefix(f"{FAILED}: ")
    return RegistrationStatistics(
        registered=len(registered),
        failed={str(reason): int(n) for reason, n in reasons.value_counts().items()},
        correlation_before=_spread(registered[BEFORE].to_numpy(float)),
        correlation=_spread(registered[AFTER].to_numpy(float)),
    )


def worst_pairs(cohort: Cohort, count: int = WORST) -> list[RegisteredPair]:
    """Registered visits that resemble their first visit least, the worst first.

    Args:
        cohort: The cohort.
        count: Number of visits, at most.
    """
    table = cohort.table
    if STATUS not in table:
        return []
    first = first_visits(table)
    registered = table[table[STATUS] == REGISTERED]
    registered = registered[registered.index.isin(list(first))].sort_values(AFTER).head(count)
    pairs = []
    for position, row in registered.iterrows():
        reference = table.loc[first[int(str(position))]].to_dict()
        original = {**row.to_dict(), "file_name": row[UNREGISTERED]}
        pairs.append(
            RegisteredPair(
                str(row["file_name"]),
                cohort.pixels(reference),
                cohort.pixels(original),
                cohort.pixels(row.to_dict()),
                float(row[AFTER]),
            )
        )
    return pairs


def _spread(values: np.ndarray) -> dict[str, float]:
    """Smallest, median and largest value; nothing of none."""
    if not len(values):
        return {}
    ends = np.quantile(values, (0, 0.5, 1))
    return {
        name: round(float(value), 4)
        for name, value in zip(("smallest", "median", "largest"), ends, strict=True)
    }
