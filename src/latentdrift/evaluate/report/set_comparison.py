"""Several synthetic sets beside each other on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentdrift.display import html_report
from latentdrift.display.html_report import estimate
from latentdrift.evaluate.evaluations.evaluations import METRIC_TITLES
from latentdrift.evaluate.evaluations.page_style import (
    contact_sheet,
    in_reading_order,
    metric_title,
)
from latentdrift.evaluate.evaluations.subgroup_distances import plot_groups
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.report.report import EvaluationResults

MAX_IMAGES = 7
"""Images of each further set on the page."""


def comparison_blocks(
    report: EvaluationResults, images: Mapping[str, EvaluationImages]
) -> list[html_report.Block]:
    """Blocks of the page that compare synthetic sets: a table of metrics, and images of each.

    Args:
        report: Results; `compared` holds the further sets.
        images: Name of a set -> images.

    Returns:
        The blocks; empty for one set.
    """
    if not report.compared:
        return []
    reports = {"synthetic": report, **report.compared}
    groups = {label: one.metrics for label, one in reports.items()}
    n = ", ".join(f"{label} {one.n['synthetic']}" for label, one in reports.items())
    caption = f"Each set is compared with the same real images; value [95 % interval]. Images: {n}."
    blocks = [
        html_report.heading("Several sets"),
        html_report.table(_rows(reports), caption),
        *plot_groups(groups),
    ]
    for name, one in report.compared.items():
        blocks += [html_report.heading(f"Set {name}"), html_report.lights(one.lights)]
        own_warnings = [words for words in one.warnings if words not in report.warnings]
        if own_warnings:
            blocks.append(html_report.text("\n\n".join(own_warnings)))
        blocks.append(html_report.gallery(contact_sheet(images[name], name, MAX_IMAGES)))
    return blocks


def _rows(reports: Mapping[str, EvaluationResults]) -> list[dict[str, Any]]:
    """One row per metric, one column per set."""
    names: dict[str, None] = {}
    for report in reports.values():
        names |= dict.fromkeys(report.metrics)
    first = next(iter(reports.values()))
    rows = []
    for name in in_reading_order(names):
        floor = first.metrics[name].floor if name in first.metrics else None
        row: dict[str, Any] = {
            "measure": metric_title(name, METRIC_TITLES),
            "real vs real": floor,
        }
        for label, report in reports.items():
            metric = report.metrics.get(name)
            row[label] = None if metric is None else estimate(metric.value, metric.ci)
        rows.append(row)
    return rows
