"""Options of small benchmarks, and the files of their folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from latentdrift import config


def results(out: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in (out / "results").glob("*.json")}


def adapter(out: Path, fit: str) -> dict[str, Any]:
    return json.loads((out / "fits" / fit / "adapter" / "adapter.json").read_text())


SMALL: dict[str, Any] = {
    "seeds": 1,
    "fit_steps": 1,
    "fit_batch_size": 2,
    "n": 4,
    "steps": 2,
    "bootstrap": 10,
}


def table1(folder: Path, base: Path | str, out: Path, **more: Any) -> config.BenchTable1Options:
    given = {"methods": ("full",), "by": "diagnosis", "classifier_steps": 2, **SMALL, **more}
    return config.BenchTable1Options(cohort=folder, base=str(base), out=out, **given)


def table3(folder: Path, base: Path | str, out: Path, **more: Any) -> config.BenchTable3Options:
    return config.BenchTable3Options(cohort=folder, base=str(base), out=out, **{**SMALL, **more})
