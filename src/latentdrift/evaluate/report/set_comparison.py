"""Several groups of images beside each other on the page: the values of an attribute, or several
synthetic sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentdrift import html_report
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.report.report_style import (
    REAL,
    SYNTHETIC,
    dress,
    ordered,
    panels,
    sheet,
    table_rows,
    title,
)
from latentdrift.html_report import estimate

DRAWN = ("kid", "precision", "recall", "coverage")  # rows of DISTANCES that get a plot
SHOWN = 7  # pictures of each further set

Metrics = Mapping[str, Any]


def by_value(report: Mapping[str, Any]) -> list[html_report.Block]:
    """Distances for each value of an attribute, beside the overall ones."""
    column = report["by"]["column"]
    groups: dict[str, Metrics] = {
        value: part["metrics"] for value, part in report["by"]["values"].items()
    }
    groups = {
        "all": {name: m for name, m in report["metrics"].items() if name.split(".")[0] in DISTANCES}
    } | groups
    rows = [
        {column: value} | row for value, metrics in groups.items() for row in table_rows(metrics)
    ]
    words = (
        f"Every distance, as above, for the images of one value of {column} at a time; `all` "
        "stands for all images. Real vs real is computed from the images of that value, too."
    )
    return [
        html_report.heading(f"By {column}"),
        *_panels(groups),
        html_report.table(rows, words, keys=2),
    ]


def compared(
    report: Mapping[str, Any], pictures: Mapping[str, ImageSet]
) -> list[html_report.Block]:
    """Every metric of several synthetic sets in one table, and a few pictures of each."""
    further: Mapping[str, Any] = report["compared"]
    groups: dict[str, Metrics] = {"synthetic": report["metrics"]} | {
        name: part["metrics"] for name, part in further.items()
    }
    names = {name: None for metrics in groups.values() for name in metrics}
    rows = [
        {"measure": title(name), "real vs real": report["metrics"].get(name, {}).get("floor")}
        | {label: _cell(metrics.get(name)) for label, metrics in groups.items()}
        for name in ordered(names)
    ]
    n = ", ".join(
        f"{label} {m['n']['synthetic']}" for label, m in {"synthetic": report, **further}.items()
    )
    words = f"Each set is compared with the same real images; value [95 % interval]. Images: {n}."
    found: list[html_report.Block] = [
        html_report.heading("Several sets"),
        html_report.table(rows, words),
        *_panels(groups),
    ]
    for name, part in further.items():
        found += [html_report.heading(f"Set {name}"), html_report.lights(part["lights"])]
        own = [words for words in part["warnings"] if words not in report["warnings"]]
        found += [html_report.text("\n\n".join(own))] if own else []
        found += [html_report.gallery(sheet(pictures[name], name, SHOWN))]
    return found


def _cell(metric: Mapping[str, Any] | None) -> str | None:
    return None if metric is None else estimate(metric["value"], metric["ci"])


def _panels(groups: Mapping[str, Metrics]) -> list[html_report.Block]:
    """A plot for each of DRAWN and each feature space: one line per group, and real against real
    below it."""
    names = [
        n
        for n in dict.fromkeys(name for m in groups.values() for name in m)
        if n.split(".")[0] in DRAWN
    ]
    if not names:
        return []
    drawing, axes = panels(len(names), height=0.7 + 0.32 * len(groups))
    for ax, name in zip(axes, names, strict=True):
        for height, metrics in enumerate(groups.values()):
            metric = metrics.get(name)
            if not metric:
                continue
            if metric["floor"] is not None:
                ax.plot(metric["floor_ci"], [-height - 0.22] * 2, color=REAL, linewidth=2)
                ax.plot(
                    metric["matched"],
                    -height - 0.22,
                    "o",
                    color=SYNTHETIC,
                    markersize=5,
                    fillstyle="none",
                )
            if metric["ci"]:
                ax.plot(metric["ci"], [-height] * 2, color=SYNTHETIC, linewidth=2)
            ax.plot(metric["value"], -height, "o", color=SYNTHETIC, markersize=5)
        dress(ax, name, {-height: label for height, label in enumerate(groups)})
    words = (
        "Dots: synthetic against real, with the 95 % interval. Blue lines: real against real. An "
        "open circle compares with the blue line: it is the value with the same number of images."
    )
    return [html_report.picture(drawing, words)]
