"""Several sets on the page: one column each, and a gallery of each further set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evaluation_inputs import image_set, textures

from latentdrift.display import html_report
from latentdrift.evaluate.evaluations.diversity import DiversityResult
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.report.report import EvaluationResults
from latentdrift.evaluate.report.set_comparison import comparison_blocks
from latentdrift.evaluate.statistics.results import Metric
from latentdrift.resampling import Resampling


def report_of(value: float, warnings: list[str]) -> EvaluationResults:
    """A report of one number."""
    metric = Metric(value=value, ci=None, n={"synthetic": 4}, floor=0.25)
    result = DiversityResult(metrics={"ms-ssim.within": metric})
    return EvaluationResults(
        {"real": 4, "synthetic": 4}, Resampling(20), Results([result]), warnings
    )


def test_each_set_is_a_column_with_its_own_warnings(tmp_path: Path) -> None:
    first = report_of(0.5, ["A warning of both."])
    second = report_of(0.75, ["A warning of both.", "A warning of its own."])
    report = replace(first, compared={"rival": second})
    images = {"rival": image_set(textures(4, 0))}
    html_report.write_page(tmp_path / "page.html", "Sets", comparison_blocks(report, images))
    page = (tmp_path / "page.html").read_text()
    for part in ("Several sets", "Set rival", "0.5", "0.75", "0.25", "A warning of its own."):
        assert part in page
    assert "A warning of both." not in page
    assert "Images: synthetic 4, rival 4." in page


def test_one_set_is_not_compared() -> None:
    assert comparison_blocks(report_of(0.5, []), {}) == []
