"""What tables, plots and galleries of a report share: names of metrics, colours, rows, thumbnails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift import page
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.distances import DISTANCES

REAL, SYNTHETIC, LIMIT = "#4878a8", "#d1603d", "#555555"

LAST = ("mifid", "frechet")  # rows that stand below all others, because small sets say least by them
TITLES = {name: row.title for name, row in DISTANCES.items()} | {
    "copies": "Copies of training images",
    "recognised": "Repeat visits whose nearest image is of the same patient",
    "closer": "Nearer to a training image than a repeat visit to its patient",
    "duplicates": "Synthetic images that repeat another one",
    "nearest": "Distance to the nearest training image, relative",
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


def bounds(pair: Sequence[float] | None) -> str | None:
    """An interval in words."""
    return f"{pair[0]:.4g} to {pair[1]:.4g}" if pair else None


def ordered(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The same metrics, those of LAST at the end."""
    return dict(sorted(metrics.items(), key=lambda item: item[0].split(".")[0] in LAST))


def table_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Metrics as rows of a table."""
    return [
        {
            "metric": title(name),
            "value": metric["value"],
            "95 % interval": bounds(metric["ci"]),
            "floor": metric["floor"],
            "floor's range": bounds(metric.get("floor_ci")),
            "at the floor's n": metric.get("matched"),
            "n": ", ".join(f"{count} {what}" for what, count in metric["n"].items() if what != "train"),
        }
        for name, metric in ordered(metrics).items()
    ]


def sheet(images: ImageSet, kind: str, most: int) -> list[tuple[np.ndarray, str]]:
    """Some pictures of a set, evenly chosen, with their names."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int))
    return [(pixels(images.images[i]), f"{kind}: {images.names[i]}") for i in chosen]


def pixels(image: np.ndarray) -> np.ndarray:
    """[H, W, 3] in [0, 1] as uint8."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def beside(images: Sequence[np.ndarray], axis: int = 1) -> np.ndarray:
    """Pictures in one row (axis 1) or column (axis 0), filled up with black to one size."""
    height, width = (max(image.shape[i] for image in images) for i in (0, 1))
    padded = [np.pad(pixels(x), ((0, height - x.shape[0]), (0, width - x.shape[1]), (0, 0))) for x in images]
    return np.concatenate(padded, axis=axis)


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
