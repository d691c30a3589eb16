"""What tables, plots and galleries of a report share: names of metrics, colours, rows,
thumbnails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentdrift import html_report
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.images.strips import pixels
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.html_report import estimate

REAL = "#4878a8"
SYNTHETIC = "#d1603d"
LIMIT = "#555555"

LAST = (
    "mifid",
    "frechet",
)  # rows that stand below all others, because small sets say least by them
TITLES = {name: row.title for name, row in DISTANCES.items()} | {
    "c2st": "Real or synthetic? Classifier's AUC (0.5: cannot tell)",
    "copies": "Copies of training images",
    "recognised": "Share of repeat visits whose nearest image is of the same patient",
    "closer": "Share nearer to a training image than a repeat visit is to its own patient",
    "duplicates": "Synthetic images that repeat another one",
    "nearest": "Distance to the nearest training image, relative to held-out patients (1)",
    "ssim": "SSIM",
    "ms-ssim": "MS-SSIM",
    "psnr": "PSNR (dB)",
    "lpips-unweighted": "Perceptual distance (SqueezeNet; LPIPS without its linear weights)",
}
OF = {
    "pixel": "in pixels",
    "nearest": "with the nearest training image",
    "reconstruction": "original and reconstruction",
    "counterfactual": "original and counterfactual",
    "within": "between two images of the set",
}


def title(name: str) -> str:
    """`kid.pocket` in words."""
    row, _, of = name.partition(".")
    return f"{TITLES[row]}, {OF.get(of, f'{of} features')}" if of else TITLES[row]


def ordered(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The same metrics, those of LAST at the end."""
    return dict(sorted(metrics.items(), key=lambda item: item[0].split(".")[0] in LAST))


def table_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Metrics as rows of a table."""
    return [
        {
            "measure": title(name),
            "synthetic [95 % interval]": estimate(metric["value"], metric["ci"]),
            "real vs real [range]": estimate(metric["floor"], metric.get("floor_ci")),
            "synthetic, same number of images": metric.get("matched"),
            "n": ", ".join(
                f"{count} {what}" for what, count in metric["n"].items() if what != "train"
            ),
        }
        for name, metric in ordered(metrics).items()
    ]


def sheet(images: ImageSet, kind: str, most: int) -> list[tuple[np.ndarray, str]]:
    """Some pictures of a set, evenly chosen, with their names."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int))
    return [(pixels(images.images[i]), f"{kind}: {images.names[i]}") for i in chosen]


def panels(count: int, height: float) -> tuple[Any, list[Any]]:
    """A figure of so many panels, two in a row, each so many inches high; and the panels."""
    drawing, (whole,) = html_report.figure(
        width=4.2 * min(count, 2), height=height * ((count + 1) // 2), columns=1
    )
    drawing.delaxes(whole)
    return drawing, [
        drawing.add_subplot((count + 1) // 2, min(count, 2), place + 1) for place in range(count)
    ]


def dress(ax: Any, name: str, lines: Mapping[int, str]) -> None:
    """A panel of a metric: its title, and a label for the line at each height."""
    ax.set_yticks(list(lines), list(lines.values()), fontsize=8)
    ax.set_ylim(min(lines) - 0.6, max(lines) + 0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="x", labelsize=8)
    ax.set_title(title(name), fontsize=9)
