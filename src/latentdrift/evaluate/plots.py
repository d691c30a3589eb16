"""The report as blocks of a page: words first, then numbers, plots, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift import page
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.answers import alignment_blocks, card_blocks, retrieval_blocks, utility_blocks
from latentdrift.evaluate.distances import DISTANCES
from latentdrift.evaluate.labels import LIMIT, REAL, SYNTHETIC, beside, dress, ordered, panels, sheet, table_rows
from latentdrift.evaluate.manifold import K
from latentdrift.evaluate.sidebyside import by_value, compared
from latentdrift.evaluate.similarity import EDIT_PICTURES

SHOWN = 14  # pictures of each set
PAIRS = 7  # nearest pairs
EDITS = 6


def draw_blocks(
    report: Mapping[str, Any], pictures: Mapping[str, ImageSet], edits: Sequence[Mapping[str, Any]]
) -> list[page.Block]:
    """Everything on the page, in reading order."""
    blocks = [page.lights(report["lights"])]
    if report["warnings"]:
        blocks += [page.heading("Read this first"), page.text("\n\n".join(report["warnings"]))]
    blocks += [
        page.heading("Numbers"),
        page.table(table_rows(report["metrics"]), TABLE_CAPTION),
        page.table(_spaces(report["spaces"]), SPACES_CAPTION),
    ]
    blocks += _distances(report["metrics"]) + _maps(report["map"])
    blocks += by_value(report) if "by" in report else []
    blocks += compared(report, pictures) if "compared" in report else []
    blocks += utility_blocks(report["utility"]) if "utility" in report else []
    blocks += alignment_blocks(report["alignment"]) if "alignment" in report else []
    if report.get("alignment", {}).get("retrieval"):
        blocks += retrieval_blocks(report["alignment"]["retrieval"], pictures["synthetic"])
    blocks += card_blocks(report["card"], edits) if "card" in report else []
    blocks += [page.heading("Synthetic images"), page.gallery(sheet(pictures["synthetic"], "synthetic", SHOWN))]
    blocks += [page.heading("Real images"), page.gallery(sheet(pictures["real"], "real", SHOWN))]
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
    "halves of the patients, or held-out patients against training patients; for edits, two different patients; between two "
    "images of the set, the same of the real set). At the floor's n: the value with as many images as the halves have, which is "
    f"what compares with the floor. Precision, recall, density and coverage look at {K} neighbours or as many as there are; more "
    "is better, up to the floor. Precision and density fall with pictures that are unlike any real one, recall and coverage with "
    "real ones that nothing synthetic is like. MiFID is the memorisation-informed Fréchet distance: divided by how far images "
    "keep from the training images."
)
SPACES_CAPTION = "Feature spaces. Two distances compare only within one space and one resize protocol."


def _spaces(spaces: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"features": label, "dimension": space["dimension"], "pictures enter as": space["protocol"]}
        for label, space in spaces.items()
    ]


def _distances(metrics: Mapping[str, Any]) -> list[page.Block]:
    """Each distance with its interval, beside real against real."""
    shown = {name: m for name, m in ordered(metrics).items() if name.split(".")[0] in DISTANCES and m["floor"] is not None}
    if not shown:
        return []
    drawing, axes = panels(len(shown), height=1.7)
    for ax, (name, metric) in zip(axes, shown.items(), strict=True):
        lines = [
            ("real vs real", metric["floor"], metric["floor_ci"], REAL),
            (f"synthetic, n = {metric['floor_n']}", metric["matched"], None, SYNTHETIC),
            (f"synthetic, n = {metric['n']['synthetic']}", metric["value"], metric["ci"], SYNTHETIC),
        ]
        for height, (_, value, bounds, colour) in enumerate(lines):
            if bounds:
                ax.plot(bounds, [height, height], color=colour, linewidth=2)
            ax.plot(value, height, "o", color=colour, markersize=6, fillstyle="full" if bounds else "none")
        dress(ax, name, {height: label for height, (label, *_) in enumerate(lines)})
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
            (beside(both, axis=0), f"synthetic {pair['synthetic']}, below it training {pair['train']}{mirrored}: {found}")
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
        items.append((beside(both, axis=0), caption))
    return [page.heading("Synthetic images that repeat one another"), page.gallery(items)]


def _edited(rows: Sequence[Mapping[str, Any]], edits: Sequence[Mapping[str, Any]]) -> list[page.Block]:
    blocks = []
    for row, edit in list(zip(rows, edits, strict=True))[:EDITS]:
        caption = (
            f"{row['name']}: original | synthetic reconstruction, SSIM {row['ssim.reconstruction']:.3f} | "
            f"synthetic counterfactual, SSIM {row['ssim.counterfactual']:.3f} | difference"
        )
        blocks.append(page.picture(beside([edit[name] for name in EDIT_PICTURES]), caption))
    return blocks
