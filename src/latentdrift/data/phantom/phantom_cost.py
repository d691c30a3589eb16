"""Time of a phantom study, from the scans of one patient."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from latentdrift.data.phantom.phantom import cohort_table, kind_of


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
    rows = cohort_table(kind, 2, 2, seed)
    seconds = []
    with TemporaryDirectory() as folder:
        for row in rows:
            began = time.perf_counter()
            image = spec.render(row.subject, row.attributes, visit=row.visit, size=size)
            spec.save(Path(folder) / f"scan{spec.suffix}", image)
            seconds.append(time.perf_counter() - began)
    _, _, first, further = seconds  # the scans of the first patient warm up
    return patients * (first + (visits - 1) * further)
