"""The report as blocks of a page: words first, then numbers, plots, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift import page
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.distances import DISTANCES
from latentdrift.evaluate.similarity import EDIT_PICTURES

SHOWN = 14  # pictures of each set
PAIRS = 7  # nearest pairs
EDITS = 6
REAL, SYNTHETIC, LIMIT = "#4878a8", "#d1603d", "#555555"

TITLES = {name: row.title for name, row in DISTANCES.items()} | {
    "copies": "Copies of training images",
    "recognised": "Repeat visits whose nearest image is of the same patient",
    "closer": "Nearer to a training image than a repeat visit to its patient",
    "duplicates": "Synthetic images that repeat another one",
    "nearest": "Distance to the nearest training image, relative",
    "ssim": "SSIM",
    "psnr": "PSNR (dB)",
}
OF = {
    "pixel": "in pixels",
    "nearest": "with the nearest training image",
    "reconstruction": "original and reconstruction",
    "counterfactual": "original and counterfactual",
}


def draw_blocks(
    report: Mapping[str, Any], pictures: Mapping[str, ImageSet], edits: Sequence[Mapping[str, Any]]
) -> list[page.Block]:
    """Everything on the page, in reading order."""
    blocks = [page.lights(report["lights"])]
    if report["warnings"]:
        blocks += [page.heading("Read this first"), page.text("\n\n".join(report["warnings"]))]
    blocks += [
        page.heading("Numbers"),
        page.table(_rows(report["metrics"]), TABLE_CAPTION),
        page.table(_spaces(report["spaces"]), SPACES_CAPTION),
    ]
    blocks += _distances(report["metrics"]) + _maps(report["map"])
    blocks += [page.heading("Synthetic images"), page.gallery(_sheet(pictures["synthetic"], "synthetic"))]
    blocks += [page.heading("Real images"), page.gallery(_sheet(pictures["real"], "real"))]
    if "copies" in report and "train" in pictures:
        blocks += _pairs(report["copies"], pictures["synthetic"], pictures["train"])
    if report.get("duplicates", {}).get("pairs"):
        blocks += _twins(report["duplicates"]["pairs"], pictures["synthetic"])
    if edits:
        blocks += [
            page.heading("Edits"),
            *_edited(report["edits"], edits),
            page.table(report["edits"], "Every edit."),
        ]
    return blocks


TABLE_CAPTION = (
    "Interval: 95 %, from resampling real patients and synthetic images. Floor: the same number for real against real (two "
    "halves of the patients, or held-out patients against training patients; for edits, two different patients). At the "
    "floor's n: the value with as many images as the halves have, which is what compares with the floor."
)
SPACES_CAPTION = "Feature spaces. Two distances compare only within one space and one resize protocol."


def _rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "metric": _title(name),
            "value": metric["value"],
            "95 % interval": _range(metric["ci"]),
            "floor": metric["floor"],
            "floor's range": _range(metric.get("floor_ci")),
            "at the floor's n": metric.get("matched"),
            "n": ", ".join(f"{count} {what}" for what, count in metric["n"].items() if what != "train"),
        }
        for name, metric in metrics.items()
    ]


def _title(name: str) -> str:
    row, _, of = name.partition(".")
    return f"{TITLES[row]}, {OF.get(of, f'{of} features')}" if of else TITLES[row]


def _range(pair: Sequence[float] | None) -> str | None:
    return f"{pair[0]:.4g} to {pair[1]:.4g}" if pair else None


def _spaces(spaces: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"features": label, "dimension": space["dimension"], "pictures enter as": space["protocol"]}
        for label, space in spaces.items()
    ]


def _distances(metrics: Mapping[str, Any]) -> list[page.Block]:
    """Each distance with its interval, beside real against real."""
    shown = {name: m for name, m in metrics.items() if name.split(".")[0] in DISTANCES and m["floor"] is not None}
    if not shown:
        return []
    drawing, axes = page.figure(width=4.2 * min(len(shown), 2), height=1.7 * ((len(shown) + 1) // 2), columns=1)
    drawing.delaxes(axes[0])
    for position, (name, metric) in enumerate(shown.items()):
        ax = drawing.add_subplot((len(shown) + 1) // 2, min(len(shown), 2), position + 1)
        lines = [
            ("real vs real", metric["floor"], metric["floor_ci"], REAL),
            (f"synthetic, n = {metric['floor_n']}", metric["matched"], None, SYNTHETIC),
            (f"synthetic, n = {metric['n']['synthetic']}", metric["value"], metric["ci"], SYNTHETIC),
        ]
        for height, (_, value, bounds, colour) in enumerate(lines):
            if bounds:
                ax.plot(bounds, [height, height], color=colour, linewidth=2)
            ax.plot(value, height, "o", color=colour, markersize=6, fillstyle="full" if bounds else "none")
        ax.set_yticks(range(len(lines)), [label for label, *_ in lines], fontsize=8)
        ax.set_ylim(-0.6, 2.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(axis="x", labelsize=8)
        ax.set_title(_title(name), fontsize=9)
    caption = (
        "Distances to the real images; lines are 95 % intervals. An open circle compares with real vs real: it has the same "
        "number of images."
    )
    return [page.picture(drawing, caption)]


def _maps(maps: Mapping[str, Any]) -> list[page.Block]:
    blocks = []
    for label, points in maps.items():
        drawing, (ax,) = page.figure(width=5.0, height=3.4)
        for name, colour, mark in (("real", REAL, "o"), ("synthetic", SYNTHETIC, "x")):
            xy = np.asarray(points[name])
            ax.scatter(xy[:, 0], xy[:, 1], s=18, c=colour, marker=mark, alpha=0.7, linewidths=1, label=name)
        shares = [f"component {i + 1} ({share:.0%} of the real variance)" for i, share in enumerate(points["explained"])]
        ax.set_xlabel(shares[0], fontsize=8)
        ax.set_ylabel(shares[1] if len(shares) > 1 else "", fontsize=8)
        ax.legend(fontsize=8, frameon=False)
        blocks.append(page.picture(drawing, f"Where the images lie in {label} features. Good sets mingle and cover each other."))
    return blocks


def _pairs(copies: Mapping[str, Any], synthetic: ImageSet, train: ImageSet) -> list[page.Block]:
    """How near the training images are, and the nearest pairs side by side."""
    drawing, (ax,) = page.figure(width=5.6, height=2.4)
    ours = [pair["similarity"] for pair in copies["pairs"]]
    bins = np.linspace(min([*ours, *copies["held_out"], copies["threshold"]]), 1.0, 31)
    for values, colour, name in ((copies["held_out"], REAL, "held-out real"), (ours, SYNTHETIC, "synthetic")):
        if values:
            ax.hist(values, bins=bins, weights=np.full(len(values), 1 / len(values)), color=colour, alpha=0.6, label=name)
    ax.axvline(copies["threshold"], color=LIMIT, linestyle="--", linewidth=1, label="copies lie above")
    ax.set_xlabel("similarity to the nearest training image (1: a copy)", fontsize=8)
    ax.set_ylabel("share of images", fontsize=8)
    ax.legend(fontsize=8, frameon=False)
    items = []
    for pair in copies["pairs"][:PAIRS]:
        both = [synthetic.images[synthetic.names.index(pair["synthetic"])], train.images[train.names.index(pair["train"])]]
        mirrored = " mirrored" if pair["mirrored"] else ""
        found = f"similarity {pair['similarity']:.3f}, {'COPY' if pair['copy'] else 'no copy'}"
        items.append(
            (_beside(both, axis=0), f"synthetic {pair['synthetic']}, below it training {pair['train']}{mirrored}: {found}")
        )
    return [
        page.heading("Nearest training images"),
        page.picture(
            drawing, "If synthetic images were copies, they would stand to the right of what held-out patients reach by chance."
        ),
        page.gallery(items),
    ]


def _twins(pairs: Sequence[Mapping[str, Any]], synthetic: ImageSet) -> list[page.Block]:
    """The synthetic images that repeat one another most."""
    items = []
    for pair in pairs[:PAIRS]:
        both = [synthetic.images[synthetic.names.index(pair[name])] for name in ("first", "second")]
        caption = f"synthetic {pair['first']}, below it synthetic {pair['second']}: similarity {pair['similarity']:.3f}"
        items.append((_beside(both, axis=0), caption))
    return [page.heading("Synthetic images that repeat one another"), page.gallery(items)]


def _edited(rows: Sequence[Mapping[str, Any]], edits: Sequence[Mapping[str, Any]]) -> list[page.Block]:
    blocks = []
    for row, edit in list(zip(rows, edits, strict=True))[:EDITS]:
        caption = (
            f"{row['name']}: original | synthetic reconstruction, SSIM {row['ssim.reconstruction']:.3f} | "
            f"synthetic counterfactual, SSIM {row['ssim.counterfactual']:.3f} | difference"
        )
        blocks.append(page.picture(_beside([edit[name] for name in EDIT_PICTURES]), caption))
    return blocks


def _beside(images: Sequence[np.ndarray], axis: int = 1) -> np.ndarray:
    """Pictures in one row (axis 1) or column (axis 0), filled up with black to one size."""
    height, width = (max(image.shape[i] for image in images) for i in (0, 1))
    padded = [np.pad(_pixels(x), ((0, height - x.shape[0]), (0, width - x.shape[1]), (0, 0))) for x in images]
    return np.concatenate(padded, axis=axis)


def _sheet(images: ImageSet, kind: str) -> list[tuple[np.ndarray, str]]:
    chosen = np.unique(np.linspace(0, len(images) - 1, min(SHOWN, len(images))).round().astype(int))
    return [(_pixels(images.images[i]), f"{kind}: {images.names[i]}") for i in chosen]


def _pixels(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
