"""What tables, plots and galleries of a report share: names of metrics, colours, rows, thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift import page
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.distances import DISTANCES
from latentdrift.evaluate.strips import pixels
from latentdrift.page import estimate

REAL, SYNTHETIC, LIMIT = "#4878a8", "#d1603d", "#555555"

LAST = ("mifid", "frechet")  # rows that stand below all others, because small sets say least by them
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

FOLLOW_UP = {
    "ssim": "SSIM",
    "ms-ssim": "MS-SSIM",
    "psnr": "PSNR (dB)",
    "difference_ssim": "SSIM of the change with the true change",
    "effect": "share of the true change (1: all, 0: none, below 0: the wrong way)",
}
"""Measure of `truth.against_visit` -> its title."""


def title(name: str) -> str:
    """`kid.pocket` in words."""
    row, _, of = name.partition(".")
    return f"{TITLES[row]}, {OF.get(of, f'{of} features')}" if of else TITLES[row]


def bounds(pair: Sequence[float] | None) -> str | None:
    """An interval in words."""
    return f"{pair[0]:.4g} to {pair[1]:.4g}" if pair else None


WAYS = {"up": "{} increased", "down": "{} decreased", "set": "{} set", "added": "{} added", "removed": "{} removed"}
"""Last word of a kind of change -> the change in words."""


def attribute(name: str) -> str:
    """What a judge looks for, in words: `sex=F` is "sex: F", `findings=Effusion` is "Effusion"."""
    column, _, value = name.partition("=")
    return name if not value else value if column == "findings" else f"{column}: {value}"


def change(kind: str) -> str:
    """A kind of change of `asked.Asked` in words: `age up` is "age increased", `sex=M` is "sex changed to M"."""
    name, _, way = kind.rpartition(" ")
    if name and way in WAYS:
        return WAYS[way].format(attribute(name))
    column, _, value = kind.partition("=")
    return f"{column} changed to {value}" if value else kind


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
            "n": ", ".join(f"{count} {what}" for what, count in metric["n"].items() if what != "train"),
        }
        for name, metric in ordered(metrics).items()
    ]


def sheet(images: ImageSet, kind: str, most: int) -> list[tuple[np.ndarray, str]]:
    """Some pictures of a set, evenly chosen, with their names."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int))
    return [(pixels(images.images[i]), f"{kind}: {images.names[i]}") for i in chosen]


def panels(count: int, height: float) -> tuple[Any, list[Any]]:
    """A figure of so many panels, two in a row, each so many inches high; and the panels."""
    drawing, (whole,) = page.figure(width=4.2 * min(count, 2), height=height * ((count + 1) // 2), columns=1)
    drawing.delaxes(whole)
    return drawing, [drawing.add_subplot((count + 1) // 2, min(count, 2), place + 1) for place in range(count)]


def dress(ax: Any, name: str, lines: Mapping[int, str]) -> None:
    """A panel of a metric: its title, and a label for the line at each height."""
    ax.set_yticks(list(lines), list(lines.values()), fontsize=8)
    ax.set_ylim(min(lines) - 0.6, max(lines) + 0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="x", labelsize=8)
    ax.set_title(title(name), fontsize=9)
