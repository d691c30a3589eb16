"""Are all subgroups of patients as good? Distances for each value of an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentdrift.display import html_report
from latentdrift.evaluate.evaluations.evaluation import Evaluation, EvaluationResult, Inputs, Page
from latentdrift.evaluate.evaluations.page_style import (
    DISTANCE_TITLES,
    REAL_COLOUR,
    SYNTHETIC_COLOUR,
    metric_title,
    panel_grid,
    style_panel,
    table_rows,
)
from latentdrift.evaluate.images import subgroups
from latentdrift.evaluate.metrics import feature_metrics
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.statistics.results import Metric, ResultModel

PLOTTED_METRICS = ("kid", "precision", "recall", "coverage")
"""Distances of which several groups are plotted beside each other."""


class Subgroup(ResultModel):
    """Images with one value of the attribute."""

    n: dict[str, int]
    metrics: dict[str, Metric]


class SubgroupTable(ResultModel):
    """Distances for each value of an attribute."""

    column: str
    values: dict[str, Subgroup]


class SubgroupResult(EvaluationResult):
    """Distances for each value of `by`."""

    by: SubgroupTable


def compute(inputs: Inputs) -> SubgroupResult | None:
    """Compute the distances of each subgroup with enough images in both sets; None without `by`."""
    if inputs.by is None:
        return None
    parts, warnings = subgroups.shared(inputs.real, inputs.synthetic, inputs.by)
    values = {}
    for value, (real, synthetic) in parts.items():
        metrics: dict[str, Metric] = {}
        for vectors in inputs.vectors.values():
            metrics |= feature_metrics.distances(
                vectors.take(real, synthetic),
                inputs.real.take(real).patients,
                inputs.synthetic.take(synthetic).patients,
                resampling=inputs.resampling,
            )[0]
        n = {"real": len(real), "synthetic": len(synthetic)}
        values[value] = Subgroup(n=n, metrics=metrics)
    return SubgroupResult(warnings=warnings, by=SubgroupTable(column=inputs.by, values=values))


def section(page: Page) -> list[html_report.Block]:
    """Section of the page: distances of each subgroup beside those of all images; empty without
    `by`."""
    result = page.results.get(SubgroupResult)
    if result is None:
        return []
    column = result.by.column
    groups: dict[str, Mapping[str, Metric]] = {"all": _distances_of_all(page)}
    groups |= {value: group.metrics for value, group in result.by.values.items()}
    rows = [
        {column: value} | row
        for value, metrics in groups.items()
        for row in table_rows(metrics, DISTANCE_TITLES)
    ]
    caption = (
        f"Every distance above, for the images of one value of {column} at a time; `all` "
        "stands for all images. Real vs real also uses only the images of that value."
    )
    return [
        html_report.heading(f"By {column}"),
        *plot_groups(groups),
        html_report.table(rows, caption, keys=2),
    ]


def _distances_of_all(page: Page) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for result in page.results:
        metrics |= {
            name: metric
            for name, metric in result.metrics.items()
            if name.split(".")[0] in DISTANCES
        }
    return metrics


def plot_groups(groups: Mapping[str, Mapping[str, Metric]]) -> list[html_report.Block]:
    """A panel for each plotted distance and feature space: one line per group.

    Args:
        groups: Name of a group -> its metrics.
    """
    names: dict[str, None] = {}
    for metrics in groups.values():
        names |= {name: None for name in metrics if name.split(".")[0] in PLOTTED_METRICS}
    if not names:
        return []
    figure, axes = panel_grid(len(names), height=0.7 + 0.32 * len(groups))
    for ax, name in zip(axes, names, strict=True):
        for height, metrics in enumerate(groups.values()):
            if name in metrics:
                _plot_group(ax, -height, metrics[name])
        labels = {-height: label for height, label in enumerate(groups)}
        style_panel(ax, metric_title(name, DISTANCE_TITLES), labels)
    caption = (
        "Dots: synthetic against real images, with the 95 % interval. Blue lines: real "
        "against real images. Compare the open circles with the blue lines: both have the "
        "same number of images."
    )
    return [html_report.picture(figure, caption)]


def _plot_group(ax: Any, height: float, metric: Metric) -> None:
    below = height - 0.22
    if metric.floor is not None:
        ax.plot(metric.floor_ci, [below] * 2, color=REAL_COLOUR, linewidth=2)
        style: dict[str, Any] = {"color": SYNTHETIC_COLOUR, "markersize": 5}
        ax.plot(metric.matched, below, "o", fillstyle="none", **style)
    if metric.ci:
        ax.plot(metric.ci, [height] * 2, color=SYNTHETIC_COLOUR, linewidth=2)
    ax.plot(metric.value, height, "o", color=SYNTHETIC_COLOUR, markersize=5)


SUBGROUPS = Evaluation(result=SubgroupResult, compute=compute, section=section)
