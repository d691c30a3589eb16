"""Time of a phantom study, from the scans of a few patients."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from latentdrift.data.phantom.phantom import PhantomRow, cohort_table, kind_of

TRIED = 16
"""Patients whose scans are drawn at most."""
ENOUGH = 2.0
"""Seconds of drawing after which no further patient is begun."""


def phantom_seconds(*, kind: str, patients: int, visits: int, size: int, seed: int) -> float:
    """Estimate the time of `write_phantom`; a few scans are drawn and dropped.

    The first scan of a patient takes longer than the further ones, which share its anatomy.

    Args:
        kind: A row of KINDS.
        patients: Number of patients, at least 1.
        visits: Visits of each patient, at least 1.
        size: Pixels on a side.
        seed: Seed of the study.

    Raises:
        OptionError: The study is empty, or the kind is unknown.
    """
    spec = kind_of(kind)
    rows = cohort_table(kind, TRIED + 1, 2, seed)
    first: list[float] = []
    further: list[float] = []
    with TemporaryDirectory() as folder:

        def seconds(row: PhantomRow) -> float:
            began = time.perf_counter()
            image = spec.render(row.subject, row.attributes, visit=row.visit, size=size)
            spec.save(Path(folder) / f"scan{spec.suffix}", image)
            return time.perf_counter() - began

        seconds(rows[0])  # warms up
        for one, next_one in zip(rows[2::2], rows[3::2], strict=True):
            first.append(seconds(one))
            further.append(seconds(next_one))
            if sum(first) + sum(further) > ENOUGH:
                break
    return patients * (mean(first) + (visits - 1) * mean(further))
