"""Page of a report: lights first, then warnings, numbers, images and sections."""

from __future__ import annotations

from pathlib import Path

from evaluation_inputs import image_set, inputs_of, textures

from latentdrift.display import html_report
from latentdrift.evaluate.evaluations import diversity, duplicates
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.report.report import EvaluationResults
from latentdrift.evaluate.report.report_page import MAX_IMAGES, page_blocks
from latentdrift.resampling import Resampling


def test_the_page_is_in_reading_order(tmp_path: Path) -> None:
    images = textures(8, 2)
    images[1] = images[0]
    inputs = inputs_of(images)
    results = Results([diversity.compute(inputs), duplicates.compute(inputs)])
    report = EvaluationResults(
        {"real": 16, "synthetic": 8}, Resampling(20), results, ["A first sentence."]
    )
    blocks = page_blocks(report, {"real": inputs.real, "synthetic": inputs.synthetic}, [])
    html_report.write_page(tmp_path / "page.html", "A report", blocks)
    page = (tmp_path / "page.html").read_text()
    parts = (
        "Different from one another?",
        ">Read this first<",
        "A first sentence.",
        ">Numbers<",
        ">Synthetic images<",
        ">Real images<",
        ">Synthetic images that repeat one another<",
    )
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert "Several sets" not in page
    assert MAX_IMAGES < 16


def test_without_warnings_there_is_no_heading_for_them(tmp_path: Path) -> None:
    report = EvaluationResults({"real": 4, "synthetic": 4}, Resampling(20), Results([]), [])
    sets = {"real": image_set(textures(4, 0)), "synthetic": image_set(textures(4, 1))}
    html_report.write_page(tmp_path / "page.html", "A report", page_blocks(report, sets, []))
    assert "Read this first" not in (tmp_path / "page.html").read_text()
