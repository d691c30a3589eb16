"""Pairs of visits to learn from: each patient's first visit and each later one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdrift.attributes.specification import Spec
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.visits import first_visits
from latentdrift.longitudinal.visit_intervals import VisitInterval, interval


@dataclass(frozen=True, eq=False)
class VisitPairs:
    """N pairs of training patients."""

    first: np.ndarray
    """[N, R, R] in [0, 1]."""
    last: np.ndarray
    """[N, R, R] in [0, 1]."""
    intervals: tuple[VisitInterval, ...]
    patients: tuple[str, ...]

    @classmethod
    def of(cls, cohort: Cohort, split: str, resolution: int, spec: Spec) -> VisitPairs:
        """Read all pairs of a split: first visit and each later one in the same view.

        Args:
            cohort: The cohort.
            split: Its split.
            resolution: R, pixels on a side.
            spec: Attributes that are read.
        """
        table = cohort.rows(split)
        onto = first_visits(table)
        first, last = (
            (cohort.batch(table.loc[list(places)], resolution).mean(1) + 1) / 2
            if onto
            else np.zeros((0, resolution, resolution))
            for places in (onto.values(), onto)
        )
        return cls(
            first,
            last,
            tuple(interval(table, early, late, spec) for late, early in onto.items()),
            tuple(str(table.loc[late, "patient"]) for late in onto),
        )

    def __len__(self) -> int:
        return len(self.intervals)
