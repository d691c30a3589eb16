"""The report as blocks of a page: words first, then numbers, plots, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift import html_report
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.images.strips import edit_strip, side_by_side
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES
from latentdrift.evaluate.metrics.prdc import K
from latentdrift.evaluate.report.downstream_sections import (
    alignment_blocks,
    card_blocks,
    retrieval_blocks,
    utility_blocks,
)
from latentdrift.evaluate.report.realism_section import realism_blocks
from latentdrift.evaluate.report.report_style import (
    LIMIT,
    REAL,
    SYNTHETIC,
    dress,
    ordered,
    panels,
    sheet,
    table_rows,
    title,
)
from latentdrift.evaluate.report.set_comparison import by_value, compared

SHOWN = 14  # pictures of each set
PAIRS = 7  # nearest pairs
EDITS = 6


def draw_blocks(
    report: Mapping[str, Any], pictures: Mapping[str, ImageSet], edits: Sequence[Mapping[str, Any]]
) -> list[html_report.Block]:
    """Everything on the page, in reading order."""
    blocks = [html_report.lights(report["lights"])]
    if report["warnings"]:
        blocks += [
            html_report.heading("Read this first"),
            html_report.text("\n\n".join(report["warnings"])),
        ]
    blocks += [
        html_report.heading("Numbers"),
        html_report.table(table_rows(report["metrics"]), TABLE_CAPTION),
        html_report.text(_explained(report["metrics"])),
        html_report.table(_spaces(report["spaces"]), SPACES_CAPTION),
    ]
    blocks += _distances(report["metrics"]) + _maps(report["map"])
    blocks += realism_blocks(report["realism"], pictures["real"])
    blocks += by_value(report) if "by" in report else []
    blocks += compared(report, pictures) if "compared" in report else []
    blocks += utility_blocks(report["utility"]) if "utility" in report else []
    blocks += alignment_blocks(report["alignment"]) if "alignment" in report else []
    if report.get("alignment", {}).get("retrieval"):
        blocks += retrieval_blocks(report["alignment"]["retrieval"], pictures["synthetic"])
    blocks += card_blocks(report["card"], edits) if "card" in report else []
    blocks += [
        html_report.heading("Synthetic images"),
        html_report.gallery(sheet(pictures["synthetic"], "synthetic", SHOWN)),
    ]
    blocks += [
        html_report.heading("Real images"),
        html_report.gallery(sheet(pictures["real"], "real", SHOWN)),
    ]
    if "copies" in report and "train" in pictures:
        blocks += _pairs(report["copies"], pictures["synthetic"], pictures["train"])
    if report.get("duplicates", {}).get("pairs"):
        blocks += _twins(report["duplicates"]["pairs"], pictures["synthetic"])
    if edits:
        blocks += [
            html_report.heading("Edits"),
            *_edited(report["edits"], edits),
            html_report.table(
                _scores(report["edits"]),
                "Every edit: similarity of the original with the reconstruction and the "
                "counterfactual.",
            ),
        ]
    return blocks


TABLE_CAPTION = (
    "Synthetic: synthetic against real images. Real vs real: the same measure between two halves "
    "of the real patients; for copies and nearest images, held-out patients against training "
    "patients; for edits, two different patients; for similarities within a set, the real set. The "
    "range is that over the ways to halve the patients. 95 % intervals resample patients and "
    "synthetic images. Distances depend on the number of images: compare real vs real with the "
    "next column, which has the same number of images."
)
MEASURES = (
    "KID, MiFID and the Fréchet distance: 0 is best. Precision, density: how far synthetic images "
    "look like real ones. Recall, coverage: how far each kind of real image is found among the "
    f"synthetic ones. Both look at {K} nearest neighbours, or at all but one image of a smaller "
    "set; more is better, up to real vs real, which is not 1."
)
MIFID = (
    "MiFID is the Fréchet distance, divided by the mean cosine distance to the nearest training "
    "image where this distance is below 0.1. For real vs real, held-out real images take the place "
    "of the synthetic ones and are divided in the same way. Scans of one body part are near to "
    "each other, so held-out images are often divided by a smaller number than synthetic ones, and "
    "real vs real can be larger, that is worse, than the value of the synthetic set. Such a value "
    "is no praise: read it with the Fréchet distance, which is not divided."
)
SPACES_CAPTION = (
    "Feature spaces. Distances compare only within one feature space and one way of resizing."
)


def _explained(metrics: Mapping[str, Any]) -> str:
    """The measures of the table that need an explanation, in paragraphs."""
    rows = {name.split(".")[0] for name in metrics}
    return "\n\n".join([MEASURES] * bool(rows & set(DISTANCES)) + [MIFID] * ("mifid" in rows))


def _spaces(spaces: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "features": label,
            "numbers per image": space["dimension"],
            "size and values of the images": space["protocol"],
        }
        for label, space in spaces.items()
    ]


def _distances(metrics: Mapping[str, Any]) -> list[html_report.Block]:
    """Each distance with its interval, beside real against real."""
    shown = {
        name: m
        for name, m in ordered(metrics).items()
        if name.split(".")[0] in DISTANCES and m["floor"] is not None
    }
    if not shown:
        return []
    drawing, axes = panels(len(shown), height=1.7)
    for ax, (name, metric) in zip(axes, shown.items(), strict=True):
        lines = [
            ("real vs real", metric["floor"], metric["floor_ci"], REAL),
            (f"synthetic, n = {metric['floor_n']} (compare)", metric["matched"], None, SYNTHETIC),
            (
                f"synthetic, n = {metric['n']['synthetic']}",
                metric["value"],
                metric["ci"],
                SYNTHETIC,
            ),
        ]
        for height, (_, value, bounds, colour) in enumerate(lines):
            if bounds:
                ax.plot(bounds, [height, height], color=colour, linewidth=2)
            ax.plot(
                value,
                height,
                "o",
                color=colour,
                markersize=6,
                fillstyle="full" if bounds else "none",
            )
        dress(ax, name, {height: label for height, (label, *_) in enumerate(lines)})
    caption = (
        "Distances to the real images; lines are 95 % intervals. An open circle compares with real "
        "vs real, because it has the same number of images."
    )
    return [html_report.picture(drawing, caption)]


def _maps(maps: Mapping[str, Any]) -> list[html_report.Block]:
    blocks = []
    for label, points in maps.items():
        drawing, (ax,) = html_report.figure(width=5.0, height=3.4)
        for name, colour, mark in (("real", REAL, "o"), ("synthetic", SYNTHETIC, "x")):
            xy = np.asarray(points[name])
            ax.scatter(
                xy[:, 0], xy[:, 1], s=18, c=colour, marker=mark, alpha=0.7, linewidths=1, label=name
            )
        shares = [
            f"component {i + 1} ({share:.0%} of the real variance)"
            for i, share in enumerate(points["explained"])
        ]
        ax.set_xlabel(shares[0], fontsize=8)
        ax.set_ylabel(shares[1] if len(shares) > 1 else "", fontsize=8)
        ax.legend(fontsize=8, frameon=False)
        blocks.append(
            html_report.picture(
                drawing,
                f"The images in {label} features. A good set covers the real points and no others.",
            )
        )
    return blocks


def _pairs(
    copies: Mapping[str, Any], synthetic: ImageSet, train: ImageSet
) -> list[html_report.Block]:
    """How near the training images are, and the nearest pairs side by side."""
    drawing, (ax,) = html_report.figure(width=5.6, height=2.4)
    ours = [pair["similarity"] for pair in copies["pairs"]]
    bins = np.linspace(min([*ours, *copies["held_out"], copies["threshold"]]), 1.0, 31)
    for values, colour, name in (
        (copies["held_out"], REAL, "held-out real"),
        (ours, SYNTHETIC, "synthetic"),
    ):
        if values:
            ax.hist(
                values,
                bins=bins,
                weights=np.full(len(values), 1 / len(values)),
                color=colour,
                alpha=0.6,
                label=name,
            )
    ax.axvline(
        copies["threshold"], color=LIMIT, linestyle="--", linewidth=1, label="copies lie above"
    )
    ax.set_xlabel("similarity to the nearest training image (1: a copy)", fontsize=8)
    ax.set_ylabel("share of images", fontsize=8)
    ax.legend(fontsize=8, frameon=False)
    items = []
    for pair in copies["pairs"][:PAIRS]:
        both = [
            synthetic.images[synthetic.names.index(pair["synthetic"])],
            train.images[train.names.index(pair["train"])],
        ]
        mirrored = " mirrored" if pair["mirrored"] else ""
        found = f"similarity {pair['similarity']:.3f}, {'COPY' if pair['copy'] else 'no copy'}"
        items.append(
            (
                side_by_side(both, axis=0),
                f"synthetic {pair['synthetic']}, below it training {pair['train']}{mirrored}: "
                f"{found}",
            )
        )
    return [
        html_report.heading("Nearest training images"),
        html_report.picture(
            drawing,
            "Copies would lie to the right of the similarities that held-out patients reach by "
            "chance.",
        ),
        html_report.gallery(items),
    ]


def _twins(pairs: Sequence[Mapping[str, Any]], synthetic: ImageSet) -> list[html_report.Block]:
    """The synthetic images that repeat one another most."""
    items = []
    for pair in pairs[:PAIRS]:
        both = [synthetic.images[synthetic.names.index(pair[name])] for name in ("first", "second")]
        caption = (
            f"synthetic {pair['first']}, below it synthetic {pair['second']}: similarity "
            f"{pair['similarity']:.3f}"
        )
        items.append((side_by_side(both, axis=0), caption))
    return [
        html_report.heading("Synthetic images that repeat one another"),
        html_report.gallery(items),
    ]


def _scores(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Similarities of every edit under their names in words."""
    return [
        {"edit": row["name"], "change put on the image": row["detail"]}
        | {title(name): value for name, value in row.items() if "." in name}
        for row in rows
    ]


def _edited(
    rows: Sequence[Mapping[str, Any]], edits: Sequence[Mapping[str, Any]]
) -> list[html_report.Block]:
    blocks = []
    for row, edit in list(zip(rows, edits, strict=True))[:EDITS]:
        strip, words = edit_strip(edit)
        scores = (
            f"SSIM with the original: reconstruction {row['ssim.reconstruction']:.3f}, "
            "counterfactual"
        )
        blocks.append(
            html_report.picture(
                strip, f"{row['name']}: {words}. {scores} {row['ssim.counterfactual']:.3f}"
            )
        )
    return blocks
