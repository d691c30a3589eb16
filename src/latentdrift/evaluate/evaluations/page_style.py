"""Parts that sections of the report share: names of metrics, colours, tables, thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from latentdrift.display import html_report
from latentdrift.display.html_report import estimate
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.strips import pixels
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.statistics.results import Metric

REAL_COLOUR = "#4878a8"
SYNTHETIC_COLOUR = "#d1603d"
THRESHOLD_COLOUR = "#555555"

LAST_METRICS = ("mifid", "frechet")
"""Metrics at the end of every table: they say least about small sets."""
DISTANCE_TITLES = {name: row.title for name, row in DISTANCES.items()}
SIMILARITY_TITLES = {
    "ssim": "SSIM",
    "ms-ssim": "MS-SSIM",
    "psnr": "PSNR (dB)",
    "lpips-unweighted": "Perceptual distance (SqueezeNet; LPIPS without its linear weights)",
}
PAIR_TITLES = {
    "pixel": "in pixels",
    "nearest": "with the nearest training image",
    "reconstruction": "original and reconstruction",
    "counterfactual": "original and counterfactual",
    "within": "between two images of the set",
}
Scores = TypeVar("Scores")


def metric_title(name: str, titles: Mapping[str, str]) -> str:
    """Title of a metric such as `kid.pocket`.

    Args:
        name: The metric.
        titles: Titles by the part of the name before the point.
    """
    row, _, pair = name.partition(".")
    if not pair:
        return titles[row]
    return f"{titles[row]}, {PAIR_TITLES.get(pair, f'{pair} features')}"


def in_reading_order(metrics: Mapping[str, Scores]) -> dict[str, Scores]:
    """Sort metrics for a table: those of LAST_METRICS stand last."""
    return dict(sorted(metrics.items(), key=lambda item: item[0].split(".")[0] in LAST_METRICS))


def table_rows(metrics: Mapping[str, Metric], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of a table of metrics.

    Args:
        metrics: Metrics by name, as `kid.pocket`.
        titles: First part of a name -> title.
    """
    rows = []
    for name, metric in in_reading_order(metrics).items():
        counts = [f"{count} {kind}" for kind, count in metric.n.items() if kind != "train"]
        rows.append(
            {
                "measure": metric_title(name, titles),
                "synthetic [95 % interval]": estimate(metric.value, metric.ci),
                "real vs real [range]": estimate(metric.floor, metric.floor_ci),
                "synthetic, same number of images": metric.matched,
                "n": ", ".join(counts),
            }
        )
    return rows


def contact_sheet(images: EvaluationImages, kind: str, limit: int) -> list[tuple[np.ndarray, str]]:
    """Images of a set, evenly spread over it, with captions.

    Args:
        images: The set.
        kind: Word before each name in the captions, as "synthetic".
        limit: Number of images at most.

    Returns:
        (uint8 [H, W, 3], caption) for each.
    """
    count = min(limit, len(images))
    chosen = np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))
    return [(pixels(images.images[i]), f"{kind}: {images.names[i]}") for i in chosen]


def panel_grid(count: int, height: float) -> tuple[Any, list[Any]]:
    """Make a figure with panels, two in a row.

    Args:
        count: Number of panels.
        height: Height of a panel in inches.

    Returns:
        The matplotlib figure, and its axes.
    """
    columns = min(count, 2)
    rows = (count + 1) // 2
    figure, (whole,) = html_report.figure(width=4.2 * columns, height=height * rows, columns=1)
    figure.delaxes(whole)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(count)]


def style_panel(ax: Any, title: str, lines: Mapping[int, str]) -> None:
    """Set the title of a panel, and the label of the line at each height.

    Args:
        ax: Matplotlib axes.
        title: Title.
        lines: Height -> label.
    """
    ax.set_yticks(list(lines), list(lines.values()), fontsize=8)
    ax.set_ylim(min(lines) - 0.6, max(lines) + 0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="x", labelsize=8)
    ax.set_title(title, fontsize=9)
