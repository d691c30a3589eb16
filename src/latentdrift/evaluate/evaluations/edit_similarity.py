"""Do edits start from a faithful reconstruction? Similarity of each edit to its original."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from latentdrift.display import html_report
from latentdrift.display.counting import count
from latentdrift.display.html_report import Colour
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    EvaluationResult,
    Inputs,
    Light,
    Page,
    Request,
    Results,
)
from latentdrift.evaluate.evaluations.page_style import SIMILARITY_TITLES, metric_title
from latentdrift.evaluate.images.recorded_edits import RecordedEdit, edit_folders
from latentdrift.evaluate.images.strips import edit_strip
from latentdrift.evaluate.privacy.pairwise_metrics import EditScores, score_edits

FAITHFUL_SSIM = 0.9
POOR_SSIM = 0.75
"""Mean SSIM of the reconstructions (ours)."""
MAX_EDITS = 6
"""Edits on the page."""


class EditSimilarityResult(EvaluationResult):
    """Similarity of every edit to its original."""

    edits: list[EditScores]


def check(request: Request) -> list[str]:
    """Check that the folder of edits holds complete edits.

    Returns:
        Sentences for the report: none.

    Raises:
        InputError: There is no edit, or one lacks an image.
    """
    if request.options.edits:
        edit_folders(request.options.edits)
    return []


def compute(inputs: Inputs) -> EditSimilarityResult | None:
    """Compare reconstructions and counterfactuals with their originals; None without edits."""
    if not inputs.edits:
        return None
    rows, metrics = score_edits(inputs.edits, inputs.real, inputs.similarities, inputs.resampling)
    return EditSimilarityResult(edits=rows, metrics=metrics, warnings=patient_warnings(rows))


def patient_warnings(rows: Sequence[EditScores]) -> list[str]:
    """A sentence where records of edits name no patient."""
    unknown = sum(not row.patient_known for row in rows)
    if not unknown:
        return []
    return [
        (
            f"{unknown} of {len(rows)} edits record no patient. Edits of one image count as "
            "one patient, and intervals may be too narrow."
        )
    ]


def lights(results: Results) -> list[Light]:
    """Traffic light of the SSIM of reconstructions; empty without a result."""
    result = results.get(EditSimilarityResult)
    metric = None if result is None else result.metrics.get("ssim.reconstruction")
    if result is None or metric is None or metric.value is None:
        return []
    value = metric.value
    n = metric.n["edits"]
    detailed = sum(edit.detail for edit in result.edits)
    poor: Colour = "amber" if detailed == n else "red"
    colour: Colour = "green" if value >= FAITHFUL_SSIM else "amber" if value >= POOR_SSIM else poor
    sentence = (
        "Mean SSIM between the original and its reconstruction without any change: "
        f"{value:.3f} ({count(n, 'edit')}). Green: at least {FAITHFUL_SSIM}. Red: below "
        f"{POOR_SSIM}; the editor then loses the image that it should change."
    )
    if detailed:
        sentence += (
            f" {detailed} of the edits add only the change to the original, so the "
            "counterfactual keeps the detail that the reconstruction loses. Where all "
            "edits do so, the light is amber instead of red."
        )
    return [("Edits start faithful?", colour, sentence)]


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: strips of the first edits, and the similarities of all; empty without
    edits."""
    result = page.results.get(EditSimilarityResult)
    if result is None or not page.edits:
        return []
    caption = "Similarity of each original with its reconstruction and its counterfactual."
    strips = [
        _strip(scores, edit)
        for scores, edit in list(zip(result.edits, page.edits, strict=True))[:MAX_EDITS]
    ]
    rows = [_row(scores) for scores in result.edits]
    return [html_report.heading("Edits"), *strips, html_report.table(rows, caption)]


def _row(scores: EditScores) -> dict[str, Any]:
    row: dict[str, Any] = {"edit": scores.name, "change put on the image": scores.detail}
    for name, value in scores.similarities.items():
        row[metric_title(name, SIMILARITY_TITLES)] = value
    return row


def _strip(scores: EditScores, edit: RecordedEdit) -> html_report.Block:
    strip, description = edit_strip(edit)
    values = scores.similarities
    caption = (
        f"{scores.name}: {description}. SSIM with the original: reconstruction "
        f"{values['ssim.reconstruction']:.3f}, counterfactual {values['ssim.counterfactual']:.3f}"
    )
    return html_report.picture(strip, caption)


EDIT_SIMILARITY = Evaluation(
    result=EditSimilarityResult,
    check=check,
    compute=compute,
    lights=lights,
    section=section,
    titles=SIMILARITY_TITLES,
    first_set_only=True,
)
