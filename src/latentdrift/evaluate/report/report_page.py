"""The report as blocks of a page, in reading order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from latentdrift.display import html_report
from latentdrift.evaluate.evaluations.evaluation import Page
from latentdrift.evaluate.evaluations.evaluations import EVALUATIONS, METRIC_TITLES
from latentdrift.evaluate.evaluations.page_style import contact_sheet, table_rows
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import RecordedEdit
from latentdrift.evaluate.report.report import EvaluationResults
from latentdrift.evaluate.report.set_comparison import comparison_blocks

MAX_IMAGES = 14
"""Images of each set on the page."""
TABLE_CAPTION = (
    "Synthetic: synthetic against real images. Real vs real: the same measure between two "
    "halves of the real patients. For copies and nearest images it compares held-out with "
    "training patients; for edits, two different patients; for similarities within a set, "
    "images of the real set. The range is over different halves of the patients. The 95 % "
    "intervals resample patients and synthetic images. Distances depend on the number of "
    "images: compare real vs real with the next column, which has the same number of "
    "images."
)


def page_blocks(
    report: EvaluationResults,
    images: Mapping[str, EvaluationImages],
    edits: Sequence[RecordedEdit],
) -> list[html_report.Block]:
    """Blocks of the page: lights, warnings, numbers, images, and a section for each evaluation.

    Args:
        report: From `evaluate`.
        images: `real` and `synthetic`, `train` where it is known, and further sets by name.
        edits: Edits that were judged.
    """
    blocks = [html_report.lights(report.lights)]
    if report.warnings:
        blocks += [
            html_report.heading("Read this first"),
            html_report.text("\n\n".join(report.warnings)),
        ]
    blocks += [
        html_report.heading("Numbers"),
        html_report.table(table_rows(report.metrics, METRIC_TITLES), TABLE_CAPTION),
        html_report.heading("Synthetic images"),
        html_report.gallery(contact_sheet(images["synthetic"], "synthetic", MAX_IMAGES)),
        html_report.heading("Real images"),
        html_report.gallery(contact_sheet(images["real"], "real", MAX_IMAGES)),
    ]
    page = Page(report.results, images, edits)
    for evaluation in EVALUATIONS.values():
        blocks += evaluation.section(page)
    return blocks + comparison_blocks(report, images)
