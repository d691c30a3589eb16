"""Are images copies of training images? Search, planted controls, distance to the training set."""

from __future__ import annotations

from typing import Any

import numpy as np

from latentdrift.display import html_report
from latentdrift.display.html_report import Colour
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    EvaluationResult,
    Inputs,
    Light,
    Page,
    Results,
)
from latentdrift.evaluate.evaluations.page_style import (
    REAL_COLOUR,
    SIMILARITY_TITLES,
    SYNTHETIC_COLOUR,
    THRESHOLD_COLOUR,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.strips import side_by_side
from latentdrift.evaluate.privacy import pairwise_metrics
from latentdrift.evaluate.privacy.copy_detection import NearestPair, PlantedCopies, planted
from latentdrift.evaluate.statistics.results import ResultModel

MIN_PLANTED_DETECTED = 0.9
"""Share of the planted copies that a search has to find before no copy means anything (ours)."""
FAR_ENOUGH = 0.9
TOO_NEAR = 0.6
"""Distance to the nearest training image over that of held-out patients (ours)."""
MAX_PAIRS = 7
"""Pairs of images on the page."""


class CopySearch(ResultModel):
    """Search for copies of training images."""

    threshold: float
    """Similarity above which an image is a copy."""
    held_out: list[float]
    """Similarity of held-out real images to their nearest training image."""
    pairs: list[NearestPair]
    planted: PlantedCopies


class CopiesResult(EvaluationResult):
    """Copies of training images; empty where the training images are not known."""

    copies: CopySearch | None = None


def compute(inputs: Inputs) -> CopiesResult:
    """Count copies of training images, and measure similarities; empty without training images."""
    if inputs.train is None or inputs.copies is None:
        return CopiesResult()
    search = inputs.copies
    metrics = search.metrics | pairwise_metrics.neighbours(
        inputs.searched_real,
        inputs.searched_synthetic,
        inputs.train,
        search,
        inputs.similarities,
        inputs.resampling,
    )
    copies = CopySearch(
        threshold=search.thresholds.threshold,
        held_out=search.held_out,
        pairs=search.pairs,
        planted=planted(inputs.train, search.thresholds, inputs.seed, inputs.workers),
    )
    return CopiesResult(metrics=metrics, copies=copies)


def lights(results: Results) -> list[Light]:
    """Traffic light of the number of copies; grey without training images."""
    result = results.get(CopiesResult)
    if result is None or result.copies is None:
        return [("Copies?", "grey", "Not judged: no training images were given.")]
    metric = result.metrics["copies"]
    search = result.copies
    finds_controls = search.planted.caught >= MIN_PLANTED_DETECTED * search.planted.n
    colour: Colour = "red" if metric.value else "green" if finds_controls else "amber"
    expected = ""
    if metric.floor:
        expected = f" Among as many held-out real images, {metric.floor:.1f} would count as copies."
    sentence = (
        f"{metric.value} of {metric.n['synthetic']} synthetic images are copies of one of "
        f"{metric.n['train']} training images (similarity above {search.threshold:.3f}, "
        f"also mirrored, cropped, shifted or rotated).{expected} Control: the search found "
        f"{search.planted.caught} of {search.planted.n} altered training images that were "
        f"added for this test. Green: no copy, and at least {MIN_PLANTED_DETECTED:.0%} of "
        "these controls found. Red: any copy."
    )
    return [("Copies?", colour, sentence)]


def distance_lights(results: Results) -> list[Light]:
    """Traffic light of the pixel distance to the training images; empty without a result."""
    result = results.get(CopiesResult)
    metric = None if result is None else result.metrics.get("nearest.pixel")
    if metric is None or metric.value is None:
        return []
    value = metric.value
    colour: Colour = "green" if value >= FAR_ENOUGH else "amber" if value >= TOO_NEAR else "red"
    sentence = (
        "The mean distance from a synthetic image to its nearest training image is "
        f"{value:.2f} times that of held-out patients. Green: at least {FAR_ENOUGH}. Red: "
        f"below {TOO_NEAR}; the images then follow single training patients."
    )
    return [("Keeps its distance?", colour, sentence)]


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: similarities to the training images, and the nearest pairs."""
    result = page.results.get(CopiesResult)
    if result is None or result.copies is None or "train" not in page.images:
        return []
    caption = (
        "Copies would lie to the right of the similarities that held-out patients reach by chance."
    )
    pairs = [
        _pair(pair, page.images["synthetic"], page.images["train"])
        for pair in result.copies.pairs[:MAX_PAIRS]
    ]
    return [
        html_report.heading("Nearest training images"),
        html_report.picture(_histogram(result.copies), caption),
        html_report.gallery(pairs),
    ]


def _histogram(search: CopySearch) -> Any:
    """Similarities of synthetic and of held-out images to their nearest training images."""
    figure, (ax,) = html_report.figure(width=5.6, height=2.4)
    synthetic = [pair.similarity for pair in search.pairs]
    lowest = min([*synthetic, *search.held_out, search.threshold])
    bins = np.linspace(lowest, 1.0, 31)
    for values, colour, name in (
        (search.held_out, REAL_COLOUR, "held-out real"),
        (synthetic, SYNTHETIC_COLOUR, "synthetic"),
    ):
        if values:
            shares = np.full(len(values), 1 / len(values))
            ax.hist(values, bins=bins, weights=shares, color=colour, alpha=0.6, label=name)
    style: dict[str, Any] = {"color": THRESHOLD_COLOUR, "linestyle": "--", "linewidth": 1}
    ax.axvline(search.threshold, label="copies lie above", **style)
    ax.set_xlabel("similarity to the nearest training image (1: a copy)", fontsize=8)
    ax.set_ylabel("share of images", fontsize=8)
    ax.legend(fontsize=8, frameon=False)
    return figure


def _pair(
    pair: NearestPair, synthetic: EvaluationImages, train: EvaluationImages
) -> tuple[np.ndarray, str]:
    """A synthetic image above its nearest training image, and the caption."""
    images = [
        synthetic.images[synthetic.names.index(pair.synthetic)],
        train.images[train.names.index(pair.train)],
    ]
    mirrored = " mirrored" if pair.mirrored else ""
    verdict = "COPY" if pair.is_copy else "no copy"
    caption = (
        f"synthetic {pair.synthetic}, below it training {pair.train}{mirrored}: similarity "
        f"{pair.similarity:.3f}, {verdict}"
    )
    return side_by_side(images, axis=0), caption


COPIES = Evaluation(
    result=CopiesResult,
    compute=compute,
    lights=lights,
    section=section,
    titles={
        "copies": "Copies of training images",
        "nearest": "Distance to the nearest training image, relative to held-out patients (1)",
        **SIMILARITY_TITLES,
    },
)
