"""Utility, alignment and the card of counterfactuals as blocks of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift import html_report
from latentdrift.evaluate.attributes.agreement_metrics import CLASSES, NUMBERS
from latentdrift.evaluate.attributes.counterfactual_metrics import BEYOND, MATERIAL
from latentdrift.evaluate.attributes.prompt_ranking import METRICS, OPPOSED
from latentdrift.evaluate.downstream.augmentation_experiment import IMITATED, REFERENCE, verdict
from latentdrift.evaluate.images.attribute_words import FOLLOW_UP, attribute, change
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.images.strips import edit_strip, pixels
from latentdrift.evaluate.report.report_style import LIMIT, REAL, SYNTHETIC
from latentdrift.html_report import estimate

Told = Mapping[str, Any]
SHOWN_AT = 4.0  # units at which the matrix's colours end
WORST = {
    "reconstruction": "worst reconstruction",
    "change": "largest change",
    "outside": "largest change outside of the mask",
    "reversed": "least reversible",
    "collateral": "largest change that was not requested",
}


def utility_blocks(told: Told) -> list[html_report.Block]:
    """Every arm in a table and a plot, and the curves."""
    unit = told["measure"]
    rows = [_arm(name, arm, told) for name, arm in told["arms"].items()]
    counts = zip(told["tested"]["images"], told["groups"], told["tested"]["patients"], strict=True)
    tested = ", ".join(
        f"{images} {group} ({patients} patients)" for images, group, patients in counts
    )
    words = (
        f"{attribute(told['classes'])}: {told['network']} networks ({told['steps']} steps, "
        f"{told['repeats']} seeds) learn from the images that a row names, and are tested on real "
        f"images: {tested}. {unit} without looking at the images: {told['chance']:.2f}. In "
        "brackets 95 % intervals, over patients and seeds. Augmented: turned by up to 10 degrees, "
        "shifted, brightened; never mirrored. Few: a tenth of the real images. Synthetic images "
        "are worth something where they are better than augmentation, which costs nothing."
    )
    if IMITATED in told["arms"]:
        words += " GAN: a small class-conditional GAN, ours, that learned from the same real images and draws 64 px; a baseline."
    groups = [_by_group(name, arm, told) for name, arm in told["arms"].items() if "gap" in arm]
    parts = (
        [
            html_report.table(
                groups, f"{unit} by {told['by']}, and the largest gap between two values."
            )
        ]
        if groups
        else []
    )
    return [
        html_report.heading("Are the synthetic images of use?"),
        html_report.table(rows, words),
        *parts,
        _arms(told),
    ]


def _arm(name: str, arm: Told, told: Told) -> dict[str, Any]:
    """A row of the table of utility."""
    stages = "; then ".join(", ".join(map(str, stage)) for stage in arm["trained"])
    row = {
        "learned from": name,
        f"{told['measure']} [95 % interval]": estimate(arm["value"], arm["ci"]),
    }
    row |= {"SD over seeds": arm["sd"]}
    for field, other in (
        ("difference", "real"),
        ("augmented_difference", "real, augmented"),
        ("gan_difference", "real + GAN"),
    ):
        if any(field in one for one in told["arms"].values()):
            row[f"difference to: {other}"] = estimate(arm.get(field), arm.get(f"{field}_ci"))
    return row | {
        "result": verdict(arm, told["tested"]),
        f"images ({', '.join(told['groups'])})": stages,
    }


def _by_group(name: str, arm: Told, told: Told) -> dict[str, Any]:
    """A row of the table of an arm by the values of an attribute."""
    values = {
        f"{told['by']}: {value}": number for value, number in arm.get("subgroups", {}).items()
    }
    return {
        "learned from": name,
        **values,
        "largest gap [95 % interval]": estimate(arm["gap"], arm["gap_ci"]),
    }


def _arms(told: Told) -> html_report.Block:
    drawing, (left, right) = html_report.figure(
        width=8.4, height=0.7 + 0.27 * len(told["arms"]), columns=2
    )
    for height, (name, arm) in enumerate(told["arms"].items()):
        colour = SYNTHETIC if "synthetic" in name else REAL
        if arm["ci"]:
            left.plot(arm["ci"], [-height] * 2, color=colour, linewidth=2)
        left.plot(arm["value"], -height, "o", color=colour, markersize=5)
    left.set_yticks(
        [-height for height in range(len(told["arms"]))], list(told["arms"]), fontsize=8
    )
    left.axvline(told["arms"][REFERENCE]["value"], color=LIMIT, linestyle="--", linewidth=1)
    left.set_xlabel(f"{told['measure']} on real test images", fontsize=8)
    for (name, points), dash in zip(told["curves"].items(), ("-", "--"), strict=True):
        right.plot(
            [p["n"] for p in points],
            [p["value"] for p in points],
            marker="o",
            linestyle=dash,
            color=SYNTHETIC,
            label=name,
        )
        if all(p["ci"] for p in points):
            low, high = zip(*(p["ci"] for p in points), strict=True)
            right.fill_between([p["n"] for p in points], low, high, color=SYNTHETIC, alpha=0.15)
    right.axhline(
        told["arms"][REFERENCE]["value"],
        color=REAL,
        linestyle="--",
        linewidth=1,
        label="real alone",
    )
    right.set_xlabel("synthetic images", fontsize=8)
    right.legend(fontsize=7, frameon=False)
    return html_report.picture(
        drawing,
        "Left: every arm; dashed: real images alone. Right: what more synthetic images bring.",
    )


def alignment_blocks(told: Told) -> list[html_report.Block]:
    """Every judged attribute, and the rules."""
    rows = []
    titles = {**NUMBERS, **CLASSES}
    for name, one in told["judged"].items():
        for key, metric in one["metrics"].items():
            title = titles[key].title + (
                f" ({one['unit']})" if key in ("mae", "bias") and one["unit"] else ""
            )
            row = {"attribute": attribute(name), "measure": title, **_ranked(metric)}
            n = f"{one['n']['synthetic']} synthetic, {one['n']['real']} real"
            rows.append(row | {"result": one["verdict"] if key in ("r", "auc") else None, "n": n})
    left_out = ", ".join(attribute(name) for name in told["left_out"])
    words = (
        "Classifiers that learned from real training images look at the synthetic ones. The table "
        "of the synthetic images says what was asked for. Held-out real images: the same "
        "classifiers and the labels of real images, the best that can be expected. Labels "
        "shuffled: the synthetic images with their labels in random order, which is chance."
        + (f" Not judged, too few training images: {left_out}." if left_out else "")
    )
    blocks = [
        html_report.heading("Do images show what was asked for?"),
        html_report.table(rows, words, keys=2),
    ]
    if told["rules"]:
        table = [
            {**rule, "values": " and ".join(map(attribute, rule["values"]))}
            for rule in told["rules"]
        ]
        caption = (
            "Pairs of values that no real image has together, although several would by chance."
        )
        blocks.append(
            html_report.table(
                [{RULES[key]: value for key, value in row.items()} for row in table], caption
            )
        )
    return blocks


RULES = {
    "values": "never together in a real image",
    "expected": "real images expected by chance",
    "asked": "synthetic images that were asked for both",
    "seen": "synthetic images recognised as both",
    "seen_share": "share of the synthetic images",
    "seen_real": "share of the real images (mistakes)",
}
"""Field of a rule -> its column."""


def retrieval_blocks(told: Told, pictures: ImageSet) -> list[html_report.Block]:
    """Ranks of prompts: tables, the curve, and the pictures that are farthest from theirs."""
    among = told["among"]
    n = told["n"]
    rows = [
        {"measure": METRICS[name].title, **_ranked(metric)}
        for name, metric in told["metrics"].items()
    ]
    words = (
        f"The {told['prompts']} prompts of {n['synthetic']} synthetic and {n['real']} held-out "
        f"real images, ranked for each image by {told['scorer']}. The best of {among} is chosen, "
        f"the own prompt and {among - 1} others at random, so that chance is {1 / among:.0%}. "
        "Held-out real images: with their own prompts. Labels shuffled: synthetic images with "
        "prompts in random order. Image withheld: every image is replaced by the mean of all; "
        "where this is above chance, some prompts fit any image."
    )
    parts = [
        {"attribute": name, "compared with a prompt": OPPOSED[way].title, **_ranked(metric)}
        for name, ways in told["attributes"].items()
        for way, metric in ways.items()
    ]
    blocks = [
        html_report.heading("Do images find their prompts?"),
        html_report.table(rows, words),
        _cumulated(told["curve"]),
    ]
    if parts:
        blocks.append(
            html_report.table(
                parts,
                "Share of images that fit their own prompt better than the prompt with one "
                "attribute changed.",
                keys=2,
            )
        )
    places = [pictures.names.index(one["name"]) for one in told["worst"]]
    captions = [
        f"{one['name']}. Asked for: {one['asked']}. Fits best: {one['best']}."
        for one in told["worst"]
    ]
    worst = [
        (pixels(pictures.images[place]), caption)
        for place, caption in zip(places, captions, strict=True)
    ]
    return [
        *blocks,
        html_report.text("The synthetic images that fit their prompts least:"),
        html_report.gallery(worst),
    ]


def _ranked(metric: Told) -> dict[str, Any]:
    """A number beside what can be expected of it at best and by chance."""
    row: dict[str, Any] = {
        "synthetic [95 % interval]": estimate(metric["value"], metric["ci"]),
        "held-out real (best expected)": estimate(metric["ceiling"], metric["ceiling_ci"]),
        "labels shuffled (chance) [range]": estimate(metric["floor"], metric["floor_range"]),
    }
    if "blind" in metric:
        row["image withheld"] = metric["blind"]
    if "n" in metric:
        row["n"] = f"{metric['n']['synthetic']} synthetic, {metric['n']['real']} real"
    return row


def _cumulated(curve: Told) -> html_report.Block:
    drawing, (ax,) = html_report.figure(width=4.4, height=2.9)
    for name, colour in (("real", REAL), ("synthetic", SYNTHETIC)):
        ax.plot(curve["x"], curve[name], color=colour, label=name)
    ax.plot([0, 1], [0, 1], color=LIMIT, linestyle="--", linewidth=1, label="chance")
    ax.set_xlabel("rank of the own prompt, as a share of all prompts", fontsize=8)
    ax.set_ylabel("share of the images", fontsize=8)
    ax.legend(fontsize=8, frameon=False, loc="lower right")
    return html_report.picture(
        drawing,
        "Share of images whose own prompt is among the best. The further to the upper left, the "
        "better images and prompts fit.",
    )


def card_blocks(told: Told, edits: Sequence[Told]) -> list[html_report.Block]:
    """The card: tables, the collateral matrix, the worst cases."""
    blocks = [
        html_report.heading("Did edits do what was asked, and nothing else?"),
        *_effectiveness(told["effectiveness"], ""),
    ]
    for value, rows in told["subgroups"].items():
        blocks += _effectiveness(rows, f" Originals with {told['by']}: {value}.")
    blocks += [html_report.table(_amounts(told), AMOUNTS)]
    blocks += [_matrix(told["collateral"])]
    rows = [{"features": label, **_identity(one)} for label, one in told["identity"].items() if one]
    blocks += [html_report.table(rows, IDENTITY)] if rows else []
    blocks += (
        [html_report.table([_realistic(row) for row in told["realism"]], REALISM, keys=2)]
        if told["realism"]
        else []
    )
    blocks += (
        [html_report.table(_followed(told["follow_ups"]), FOLLOWED.format(**told["follow_ups"]))]
        if told["follow_ups"]
        else []
    )
    return blocks + _worst(told["worst"], {edit["name"]: edit for edit in edits})


JUDGED = (
    "Effectiveness, as classifiers see it that learned from real training images and guided no "
    "edit. Intervals are 95 % and resample patients."
)
OF_NUMBERS = (
    " Numeric attributes. Share made: how much of the requested change is seen, 1 is all of it. "
    "Share seen in real images: how much of a true difference between real images is seen. Error: "
    "mean distance of the result from the requested value; for the original (nothing done), and of "
    "held-out real images from their own value (best expected)."
)
OF_CLASSES = (
    " Classes. Reached: share of edits in which the target is seen afterwards; in the originals "
    "(before), and in held-out real images that have it (best expected). Shift: mean change of the "
    "log-odds towards the target; below 0 is away from it."
)
AMOUNTS = (
    "Means over edits, as shares of the intensity range; for the area, share of the pixels. In "
    "brackets 95 % intervals."
)
IDENTITY = (
    "Identity: similarity (cosine of features) of the original with the counterfactual and with "
    "the reconstruction, beside two visits of a patient and two different patients. Same patient: "
    "share that is at least as similar as 95 % of repeat visits."
)


REALISM = (
    "Realism of each change: KID of the counterfactuals to held-out real images that have the "
    "target, beside that of the untouched originals; 0 is best. Real vs real: between two halves "
    "of these real patients. Few images give wide intervals."
)
FOLLOWED = (
    "{n} edits of {patients} patients ask for a state in which the patient was scanned again. "
    "Counterfactual and untouched "
    "original beside that other scan, 95 % intervals over patients. Difference: counterfactual "
    "minus untouched original, of the "
    "same edits; above 0 the counterfactual is nearer to the true scan. Two scans differ by "
    "position and noise, too, so that no "
    "counterfactual reaches 1."
)
ABSENT: Told = {"value": None, "ci": None}
"""Of a measure that an untouched original has not."""


def _realistic(row: Told) -> dict[str, Any]:
    return {
        "requested change": change(row["change"]),
        "features": row["features"],
        "counterfactuals [95 % interval]": estimate(row["value"], row["ci"]),
        "originals": row["original"],
        "real vs real [range]": estimate(row["floor"], row["floor_ci"]),
        "counterfactuals, same number of images": row["matched"],
        "n": (
            f"{row['n']['edits']} edits ({row['n']['patients']} patients), {row['n']['real']} real"
        ),
    }


def _followed(told: Told) -> list[dict[str, Any]]:
    rows = []
    for name, words in FOLLOW_UP.items():
        parts = {
            "counterfactual": "metrics",
            "untouched original": "no_change",
            "difference": "gain",
        }
        found = {column: told[part].get(name, ABSENT) for column, part in parts.items()}
        rows.append(
            {
                "measure": words,
                **{column: estimate(one["value"], one["ci"]) for column, one in found.items()},
            }
        )
    return rows


def _effectiveness(rows: Sequence[Told], of: str) -> list[html_report.Block]:
    """A table of the numeric attributes and one of the classes, those that there are."""
    numbers = [_number(row) for row in rows if "reached" not in row]
    classes = [_class(row) for row in rows if "reached" in row]
    found = [(numbers, JUDGED + OF_NUMBERS + of), (classes, JUDGED + OF_CLASSES + of)]
    return [html_report.table(table, words) for table, words in found if table]


def _number(row: Told) -> dict[str, Any]:
    unit = f" ({row['unit']})" if row["unit"] else ""
    return {
        "requested change": change(row["change"]),
        "edits (patients)": f"{row['n']} ({row['patients']})",
        f"requested, mean{unit}": row["asked"]["value"],
        f"seen, mean{unit}": estimate(row["moved"]["value"], row["moved"]["ci"]),
        "share made": row["share"],
        "share seen in real images": row["share_ceiling"],
        f"error{unit}": estimate(row["error"]["value"], row["error"]["ci"]),
        "error of the original": row["untouched"],
        "error in real images": row["ceiling"],
    }


def _class(row: Told) -> dict[str, Any]:
    return {
        "requested change": change(row["change"]),
        "edits (patients)": f"{row['n']} ({row['patients']})",
        "reached": estimate(row["reached"], row["reached_ci"]),
        "before": row["untouched"],
        "in real images": row["ceiling"],
        "shift": estimate(row["moved"]["value"], row["moved"]["ci"]),
    }


def _amounts(told: Told) -> list[dict[str, Any]]:
    names = {
        "change": "minimality: change",
        "area": "minimality: area that changed",
        "outside": "minimality: change outside of the mask",
    }
    found = {"composition: error of the reconstruction": told["composition"]}
    found |= {names[name]: one for name, one in told["minimality"].items()}
    found |= (
        {"reversibility: error after editing back": told["reversibility"]}
        if told["reversibility"]
        else {}
    )
    return [
        {"measure": name, "mean": estimate(one["value"], one["ci"]), "edits": one["n"]}
        for name, one in found.items()
    ]


def _matrix(told: Told) -> html_report.Block:
    """Rows: what was asked for; columns: what moved."""
    rows = told["rows"]
    columns = told["columns"]
    values = np.array(
        [
            [cell["value"] if cell["value"] is not None else np.nan for cell in cells]
            for cells in rows.values()
        ]
    )
    drawing, (ax,) = html_report.figure(
        width=2.6 + 0.75 * len(columns), height=1.5 + 0.5 * len(rows)
    )
    ax.imshow(values, cmap="RdBu_r", vmin=-SHOWN_AT, vmax=SHOWN_AT, aspect="auto")
    ax.set_xticks(
        range(len(columns)),
        [attribute(name) for name in columns],
        fontsize=8,
        rotation=30,
        ha="right",
    )
    ax.set_yticks(range(len(rows)), [change(kind) for kind in rows], fontsize=8)
    for i, cells in enumerate(rows.values()):
        for j, cell in enumerate(cells):
            if cell["value"] is None:
                continue
            weight = "bold" if cell["beyond"] else "normal"
            shown = (
                f"({cell['value']:+.1f})"
                if cell["asked"]
                else f"{cell['value']:+.1f}{'!' if cell['beyond'] else ''}"
            )
            dark = abs(cell["value"]) > 0.6 * SHOWN_AT
            shown += "" if cell["share"] is None else f"\n{cell['share']:+.0%}"
            ax.text(
                j,
                i,
                shown,
                ha="center",
                va="center",
                fontsize=8,
                weight=weight,
                color="white" if dark else "black",
            )
    whose = "two visits of a patient" if told["unit_of"] == "visits" else "two real patients"
    caption = (
        "Collateral matrix. Rows: requested changes. Columns: what the classifiers see change from "
        f"original to counterfactual, mean; 1 is the difference between {whose}. Below: as a share "
        "of the difference between the real classes (of a number, two standard deviations). In "
        f"brackets: requested. '!': not requested, and clearly more than {BEYOND:g} and "
        f"{MATERIAL:.0%}."
    )
    return html_report.picture(drawing, caption)


def _identity(one: Told) -> dict[str, Any]:
    return {
        "counterfactual": one["counterfactual"],
        "reconstruction": one["reconstruction"],
        "two visits": one["visits"],
        "different patients": one["strangers"],
        "same patient: counterfactuals": estimate(one["kept"], one["kept_ci"]),
        "same patient: pairs of different patients": one["strangers_kept"],
    }


def _worst(
    worst: Mapping[str, Sequence[str]], edits: Mapping[str, Told]
) -> list[html_report.Block]:
    blocks = [html_report.text("The worst cases. All pictures but the originals are synthetic.")]
    shown: dict[str, list[str]] = {}
    for key, names in worst.items():
        for name in names:
            shown.setdefault(name, []).append(WORST[key])
    for name, why in shown.items():
        strip, caption = edit_strip(edits[name])
        blocks.append(html_report.picture(strip, f"{name}: {', '.join(why)}. {caption}"))
    return blocks
