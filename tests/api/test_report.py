"""Report: the numbers of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import latentdrift as ld

pytestmark = pytest.mark.usefixtures("few_candidates")

FEW: dict[str, Any] = {"steps": 2, "seed": 3}


def test_a_report_has_the_numbers_of_its_file(
    model: ld.Model, cohort: ld.Cohort, tmp_path: Path
) -> None:
    images = model.generate(like=cohort, n=8, progress=False, **FEW)
    report = ld.evaluate(
        real=cohort, synthetic=images, split="train", bootstrap=10, device="cpu", progress=False
    )
    metric = report.content["metrics"]["copies"]
    assert report.metrics.loc["copies", "value"] == metric["value"]
    assert set(report.lights["light"]) <= {"green", "amber", "red", "grey"}
    assert report.page.is_file() and report.warnings == report.content["warnings"]
    assert (report.folder / "cache").is_dir()
    saved = report.save(tmp_path / "saved")
    assert not (saved / "cache").exists() and ld.Report(str(saved)).content == report.content
    assert "copies" in report._repr_html_() and "metrics; lights:" in repr(report)
