"""Are the images distributed like the real ones? Distances, coverage and a map of the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentdrift.display import html_report
from latentdrift.display.html_report import Colour
from latentdrift.evaluate.critics.anatomy_critics import Anatomy
from latentdrift.evaluate.evaluations.evaluation import (
    Evaluation,
    EvaluationResult,
    Inputs,
    Light,
    Page,
    Results,
)
from latentdrift.evaluate.evaluations.page_style import (
    DISTANCE_TITLES,
    REAL_COLOUR,
    SYNTHETIC_COLOUR,
    in_reading_order,
    metric_title,
    panel_grid,
    style_panel,
)
from latentdrift.evaluate.evaluations.realism import (
    NoAnatomy,
    RealismResult,
    anatomy_light,
)
from latentdrift.evaluate.metrics import feature_metrics
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.metrics.feature_metrics import FeatureMap
from latentdrift.evaluate.metrics.prdc import K
from latentdrift.evaluate.statistics.results import Metric, ResultModel

SIMILAR_RATIO = 1.5
FAR_RATIO = 3.0
"""Fréchet distance over real vs real at equal numbers of images (ours)."""
GOOD_COVERAGE = 0.8
POOR_COVERAGE = 0.5
"""Coverage over that of real vs real at equal numbers of images (ours)."""
MEASURES = (
    "KID, MiFID and the Fréchet distance measure how far the synthetic set is from the "
    "real images; 0 is best. Precision and density measure how closely synthetic images "
    "resemble real ones. Recall and coverage measure how much of the variety of the real "
    f"images the synthetic set has. These four use {K} nearest neighbours, or all other "
    "images of a smaller set. Larger values are better. The best value to expect is that "
    "of real vs real, which is not 1."
)
MIFID = (
    "MiFID is the Fréchet distance with a penalty for copying: where the mean cosine "
    "distance to the nearest training image is below 0.1, the Fréchet distance is divided "
    "by it. Real vs real has the same penalty, computed from held-out real images. Scans "
    "of one body part resemble each other, so held-out images often get the larger "
    "penalty. Real vs real can therefore be larger (worse) than the value of the "
    "synthetic set. This does not mean that synthetic images are better than real ones. "
    "Compare with the Fréchet distance, which has no penalty."
)
SPACES_CAPTION = (
    "Feature spaces. Compare distances only within one feature space and one way of resizing."
)


class SpaceInfo(ResultModel):
    """A feature space."""

    dimension: int
    """Features of an image."""
    protocol: str
    """Size and values of the images that enter the network."""


class DistributionResult(EvaluationResult):
    """Distances in every feature space."""

    spaces: dict[str, SpaceInfo]
    map: dict[str, FeatureMap]


def compute(inputs: Inputs) -> DistributionResult:
    """Compute every distance in every feature space."""
    metrics: dict[str, Metric] = {}
    warnings: list[str] = []
    for vectors in inputs.vectors.values():
        distances, sentences = feature_metrics.distances(
            vectors, inputs.real.patients, inputs.synthetic.patients, resampling=inputs.resampling
        )
        metrics |= distances
        warnings += sentences
    spaces = {
        label: SpaceInfo(
            dimension=inputs.vectors[label].real.shape[1],
            protocol=getattr(space, "protocol", "not stated"),
        )
        for label, space in inputs.spaces.items()
    }
    maps = {
        label: feature_metrics.chart(vectors, inputs.seed)
        for label, vectors in inputs.vectors.items()
    }
    return DistributionResult(metrics=metrics, warnings=warnings, spaces=spaces, map=maps)


def lights(results: Results) -> list[Light]:
    """Traffic lights of fidelity and variety in each feature space; empty without results."""
    result = results.get(DistributionResult)
    realism = results.get(RealismResult)
    if result is None or realism is None:
        return []
    lights_of_spaces: list[Light] = []
    for label in result.spaces:
        fidelity = _fidelity(label, result.metrics, realism.realism[label])
        lights_of_spaces += [fidelity, *_variety(label, result.metrics, fidelity[1])]
    return lights_of_spaces


def _fidelity(label: str, metrics: Mapping[str, Metric], anatomy: Anatomy | NoAnatomy) -> Light:
    """Red where anatomy or distances are red; green where both are; grey where one says nothing."""
    parts = (anatomy_light(anatomy), _distance(label, metrics))
    colours = {colour for colour, _ in parts}
    order: tuple[Colour, ...] = ("red", "grey", "amber", "green")
    worst = next(colour for colour in order if colour in colours)
    return f"Like the real ones? ({label})", worst, " ".join(sentence for _, sentence in parts)


def _distance(label: str, metrics: Mapping[str, Metric]) -> tuple[Colour, str]:
    """Colour and sentence of the distances."""
    kid = metrics.get(f"kid.{label}")
    frechet = metrics.get(f"frechet.{label}")
    if (
        kid is None
        or frechet is None
        or kid.floor is None
        or kid.ci is None
        or kid.floor_ci is None
        or frechet.floor is None
        or frechet.matched is None
    ):
        return (
            "grey",
            (
                "Distances: not judged. Two halves of the real patients are needed to measure "
                "how far real images are apart."
            ),
        )
    ratio = frechet.matched / frechet.floor if frechet.floor > 0 else float("inf")
    overlaps = kid.ci[0] <= kid.floor_ci[1]
    colour: Colour = "red"
    if ratio <= SIMILAR_RATIO or (overlaps and ratio <= FAR_RATIO):
        colour = "green"
    elif ratio <= FAR_RATIO:
        colour = "amber"
    comparison = "does not differ measurably from" if overlaps else "differs from"
    return (
        colour,
        (
            f"Distances: by KID, the synthetic set {comparison} a set of other real patients. "
            f"The Fréchet distance is {ratio:.1f} times that between two halves of the real "
            f"patients ({frechet.floor_n} images each). Green: this ratio is at most "
            f"{SIMILAR_RATIO}, or at most {FAR_RATIO:.0f} where the interval of KID reaches "
            f"real vs real. Red: the ratio is above {FAR_RATIO:.0f}."
        ),
    )


def _variety(label: str, metrics: Mapping[str, Metric], fidelity: Colour) -> list[Light]:
    metric = metrics.get(f"coverage.{label}")
    if metric is None or not metric.floor or metric.matched is None:
        return []
    ratio = metric.matched / metric.floor
    colour: Colour = (
        "green" if ratio >= GOOD_COVERAGE else "amber" if ratio >= POOR_COVERAGE else "red"
    )
    sentence = (
        f"Coverage {metric.matched:.0%} (real vs real: {metric.floor:.0%}): share of real "
        f"images with a synthetic image within their {metric.k}-nearest-neighbour radius "
        f"({metric.floor_n} images each). Green: at least {GOOD_COVERAGE:.0%} of real vs "
        f"real. Red: below {POOR_COVERAGE:.0%} of real vs real; whole kinds of real images "
        "are then missing."
    )
    if fidelity in ("red", "grey") and colour != "red":
        colour = "grey"
        unknown = (
            "Not judged: it is not known whether the images are realistic, and "
            "unrealistic images can be varied, too."
        )
        sentence = f"{unknown} {sentence}"
    return [(f"As varied? ({label})", colour, sentence)]


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: explanations, feature spaces, plots of the distances, and maps."""
    result = page.results.get(DistributionResult)
    if result is None:
        return []
    spaces = [
        {
            "features": label,
            "numbers per image": space.dimension,
            "size and values of the images": space.protocol,
        }
        for label, space in result.spaces.items()
    ]
    return [
        html_report.heading("Distances to the real images"),
        html_report.text(_explanations(result.metrics)),
        html_report.table(spaces, SPACES_CAPTION),
        *_distance_plots(result.metrics),
        *[_map(label, points) for label, points in result.map.items()],
    ]


def _explanations(metrics: Mapping[str, Metric]) -> str:
    """Explanations of the metrics in the table."""
    names = {name.split(".")[0] for name in metrics}
    paragraphs = [MEASURES] if names & set(DISTANCES) else []
    paragraphs += [MIFID] if "mifid" in names else []
    return "\n\n".join(paragraphs)


def _distance_plots(metrics: Mapping[str, Metric]) -> list[html_report.Block]:
    """Each distance with its interval, beside real vs real."""
    with_floor = {
        name: metric
        for name, metric in in_reading_order(metrics).items()
        if metric.floor is not None
    }
    if not with_floor:
        return []
    figure, axes = panel_grid(len(with_floor), height=1.7)
    for ax, (name, metric) in zip(axes, with_floor.items(), strict=True):
        _plot_distance(ax, name, metric)
    caption = (
        "Distances to the real images with 95 % intervals (lines). Compare the open "
        "circles with real vs real: both have the same number of images."
    )
    return [html_report.picture(figure, caption)]


def _plot_distance(ax: Any, name: str, metric: Metric) -> None:
    n = metric.n["synthetic"]
    lines = [
        ("real vs real", metric.floor, metric.floor_ci, REAL_COLOUR),
        (f"synthetic, n = {metric.floor_n} (compare)", metric.matched, None, SYNTHETIC_COLOUR),
        (f"synthetic, n = {n}", metric.value, metric.ci, SYNTHETIC_COLOUR),
    ]
    for height, (_, value, ends, colour) in enumerate(lines):
        if ends:
            ax.plot(ends, [height, height], color=colour, linewidth=2)
        fill = "full" if ends else "none"
        ax.plot(value, height, "o", color=colour, markersize=6, fillstyle=fill)
    labels = {height: line[0] for height, line in enumerate(lines)}
    style_panel(ax, metric_title(name, DISTANCE_TITLES), labels)


def _map(label: str, points: FeatureMap) -> html_report.Block:
    figure, (ax,) = html_report.figure(width=5.0, height=3.4)
    sets = (
        ("real", points.real, REAL_COLOUR, "o"),
        ("synthetic", points.synthetic, SYNTHETIC_COLOUR, "x"),
    )
    for name, coordinates, colour, marker in sets:
        xy = np.asarray(coordinates)
        style: dict[str, Any] = {"s": 18, "c": colour, "marker": marker, "alpha": 0.7}
        ax.scatter(xy[:, 0], xy[:, 1], linewidths=1, label=name, **style)
    shares = [
        f"component {i + 1} ({share:.0%} of the real variance)"
        for i, share in enumerate(points.explained)
    ]
    ax.set_xlabel(shares[0], fontsize=8)
    ax.set_ylabel(shares[1] if len(shares) > 1 else "", fontsize=8)
    ax.legend(fontsize=8, frameon=False)
    caption = (
        f"The images in {label} features. A good synthetic set covers the area of the real "
        "images and no other."
    )
    return html_report.picture(figure, caption)


DISTRIBUTION = Evaluation(
    result=DistributionResult,
    compute=compute,
    lights=lights,
    section=section,
    titles=DISTANCE_TITLES,
)
