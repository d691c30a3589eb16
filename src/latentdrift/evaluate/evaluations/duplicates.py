"""Do synthetic images repeat one another?"""

from __future__ import annotations

import numpy as np

from latentdrift.display import html_report
from latentdrift.display.html_report import Colour
from latentdrift.evaluate.evaluations.copies import MAX_PAIRS, distance_lights
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    EvaluationResult,
    Inputs,
    Light,
    Page,
    Results,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.strips import side_by_side
from latentdrift.evaluate.privacy.copy_detection import (
    DuplicatePair,
    DuplicateSearch,
    find_duplicates,
)

MANY_DUPLICATES = 0.1
"""Share of the synthetic images above which the light is red (ours)."""


class DuplicatesResult(EvaluationResult):
    """Synthetic images that repeat another one."""

    duplicates: DuplicateSearch | None = None


def compute(inputs: Inputs) -> DuplicatesResult:
    """Count synthetic images that repeat another one, and note the size of the search."""
    warnings = []
    searched = len(inputs.searched_synthetic)
    if searched < len(inputs.synthetic):
        subject = "Duplicates" if inputs.train is None else "Copies and duplicates"
        warnings = [
            f"{subject} were looked for in {searched} of the {len(inputs.synthetic)} synthetic "
            "images, taken at random; `latentdrift generate --gate` looks at every one."
        ]
    if min(len(inputs.real), len(inputs.synthetic)) < 2:
        return DuplicatesResult(warnings=warnings)
    metric, duplicates = find_duplicates(
        inputs.searched_real, inputs.searched_synthetic, inputs.workers
    )
    return DuplicatesResult(
        metrics={"duplicates": metric}, warnings=warnings, duplicates=duplicates
    )


def lights(results: Results) -> list[Light]:
    """Traffic lights of the number of duplicates and of the distance to the training images."""
    result = results.get(DuplicatesResult)
    if result is None or result.duplicates is None:
        return distance_lights(results)
    metric = result.metrics["duplicates"]
    value = metric.value or 0
    n = metric.n["synthetic"]
    expected = metric.floor or 0.0
    colour: Colour = "red"
    if value <= max(1.0, expected):
        colour = "green"
    elif value <= MANY_DUPLICATES * n:
        colour = "amber"
    sentence = (
        f"{value} of {n} synthetic images repeat another synthetic image (similarity above "
        f"{result.duplicates.threshold:.3f}). Among as many real images, {expected:.1f} "
        "would repeat another. Green: at most one, or no more than among real images. "
        f"Red: more than {MANY_DUPLICATES:.0%} of the images; the model then draws the "
        "same few images again and again."
    )
    return [("Different from one another?", colour, sentence), *distance_lights(results)]


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: the most similar pairs of synthetic images; empty without any."""
    result = page.results.get(DuplicatesResult)
    if result is None or result.duplicates is None or not result.duplicates.pairs:
        return []
    pairs = [_pair(pair, page.images["synthetic"]) for pair in result.duplicates.pairs[:MAX_PAIRS]]
    return [
        html_report.heading("Synthetic images that repeat one another"),
        html_report.gallery(pairs),
    ]


def _pair(pair: DuplicatePair, synthetic: EvaluationImages) -> tuple[np.ndarray, str]:
    images = [synthetic.images[synthetic.names.index(name)] for name in (pair.first, pair.second)]
    caption = (
        f"synthetic {pair.first}, below it synthetic {pair.second}: similarity "
        f"{pair.similarity:.3f}"
    )
    return side_by_side(images, axis=0), caption


DUPLICATES = Evaluation(
    result=DuplicatesResult,
    compute=compute,
    lights=lights,
    section=section,
    titles={"duplicates": "Synthetic images that repeat another one"},
)
