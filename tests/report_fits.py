"""Fits to a small cohort with reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from tiny import tiny_cohort

from latentdrift.adapt.training.setup.training_setup import Job, job
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base


def report_cohort(folder: Path) -> Cohort:
    """A tiny cohort with findings, and with reports as an attribute."""
    tiny_cohort(folder)
    table = pd.read_csv(folder / "metadata.csv")
    table["findings"] = ["mass", "No Finding", ""] * 4
    table["report"] = [f"normal brain {n}" if n % 4 else "" for n in range(12)]
    table.to_csv(folder / "metadata.csv", index=False)
    info = json.loads((folder / "cohort.json").read_text())
    info["attributes"]["findings"] = {
        "type": "findings",
        "vocabulary": ["No Finding", "effusion", "mass"],
    }
    info["attributes"]["report"] = {
        "type": "category",
        "vocabulary": sorted(set(table["report"]) - {""}),
    }
    (folder / "cohort.json").write_text(json.dumps(info))
    return Cohort.load(folder)


def asked(base: Base, cohort: Cohort, **more: Any) -> tuple[FitOptions, Job]:
    where = {"cohort": cohort.folder, "out": cohort.folder / "run", "base": base.name}
    options = FitOptions(**{**where, "method": "lora", **more})
    return options, job(base, cohort, options)
