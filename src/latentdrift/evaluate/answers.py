"""Utility, alignment and the card of counterfactuals as blocks of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift import page
from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.alignment import CLASSES, NUMBERS
from latentdrift.evaluate.card import BEYOND, MATERIAL
from latentdrift.evaluate.labels import LIMIT, REAL, SYNTHETIC, beside, bounds, pixels
from latentdrift.evaluate.retrieval import METRICS, OPPOSED
from latentdrift.evaluate.similarity import EDIT_PICTURES
from latentdrift.evaluate.trial import IMITATED, REFERENCE, verdict

Told = Mapping[str, Any]
SHOWN_AT = 4.0  # units at which the matrix's colours end
WORST = {
    "reconstruction": "worst reconstruction",
    "change": "most changed",
    "outside": "most changed outside of the mask",
    "reversed": "least reversible",
    "collateral": "most moved in what was not asked for",
}


def utility_blocks(told: Told) -> list[page.Block]:
    """Every arm in a table and a plot, and the curves."""
    rows, unit = [], told["measure"]
    for name, arm in told["arms"].items():
        row = {"learned from": name, unit: arm["value"], "95 % interval": bounds(arm["ci"]), "sd over seeds": arm["sd"]}
        row |= {"less real": arm.get("difference"), "its interval": bounds(arm.get("difference_ci"))}
        row |= {"less augmented": arm.get("augmented_difference"), "interval of that": bounds(arm.get("augmented_difference_ci"))}
        if "gan_difference" in arm:
            row |= {"less GAN": arm["gan_difference"], "interval of this": bounds(arm["gan_difference_ci"])}
        row |= {f"{unit}, {told['by']} {value}": one for value, one in arm.get("subgroups", {}).items()}
        row |= {"largest gap": arm["gap"], "gap's interval": bounds(arm["gap_ci"])} if "gap" in arm else {}
        stages = "; then ".join(", ".join(map(str, stage)) for stage in arm["trained"])
        rows.append(row | {"reading": verdict(arm, told["tested"]), f"images ({', '.join(told['groups'])})": stages})
    counts = zip(told["tested"]["images"], told["groups"], told["tested"]["patients"], strict=True)
    tested = ", ".join(f"{images} {group} ({patients} patients)" for images, group, patients in counts)
    words = (
        f"{told['classes']}: {told['network']} learners ({told['steps']} steps, {told['repeats']} seeds) tested on real images: "
        f"{tested}. {unit} without looking at images: {told['chance']:.2f}. Intervals: 95 % over patients and seeds. "
        "Augmented: turned by up to 10 degrees, shifted, brightened; never mirrored. Few: a tenth of "
        "the real images. Synthetic images are worth something where they beat the augmented row, which costs nothing."
    )
    if IMITATED in told["arms"]:
        words += " GAN: a small class-conditional GAN, ours, that learned from the same real images and draws 64 px; a baseline."
    return [page.heading("Are the synthetic images of use?"), page.table(rows, words), _arms(told)]


def _arms(told: Told) -> page.Block:
    drawing, (left, right) = page.figure(width=8.4, height=0.7 + 0.27 * len(told["arms"]), columns=2)
    for height, (name, arm) in enumerate(told["arms"].items()):
        colour = SYNTHETIC if "synthetic" in name else REAL
        if arm["ci"]:
            left.plot(arm["ci"], [-height] * 2, color=colour, linewidth=2)
        left.plot(arm["value"], -height, "o", color=colour, markersize=5)
    left.set_yticks([-height for height in range(len(told["arms"]))], list(told["arms"]), fontsize=8)
    left.axvline(told["arms"][REFERENCE]["value"], color=LIMIT, linestyle="--", linewidth=1)
    left.set_xlabel(f"{told['measure']} on real test images", fontsize=8)
    for (name, points), dash in zip(told["curves"].items(), ("-", "--"), strict=True):
        right.plot(
            [p["n"] for p in points], [p["value"] for p in points], marker="o", linestyle=dash, color=SYNTHETIC, label=name
        )
        if all(p["ci"] for p in points):
            low, high = zip(*(p["ci"] for p in points), strict=True)
            right.fill_between([p["n"] for p in points], low, high, color=SYNTHETIC, alpha=0.15)
    right.axhline(told["arms"][REFERENCE]["value"], color=REAL, linestyle="--", linewidth=1, label="real alone")
    right.set_xlabel("synthetic images", fontsize=8)
    right.legend(fontsize=7, frameon=False)
    return page.picture(drawing, "Left: every arm; dashed: real images alone. Right: what more synthetic images bring.")


def alignment_blocks(told: Told) -> list[page.Block]:
    """Every judged attribute, and the rules."""
    rows, titles = [], {**NUMBERS, **CLASSES}
    for name, one in told["judged"].items():
        for key, metric in one["metrics"].items():
            title = titles[key].title + (f" ({one['unit']})" if key in ("mae", "bias") and one["unit"] else "")
            row = {"attribute": name, "number": title, "synthetic": metric["value"], "95 % interval": bounds(metric["ci"])}
            row |= {"real (ceiling)": metric["ceiling"], "its interval": bounds(metric["ceiling_ci"])}
            row |= {"shuffled (floor)": metric["floor"], "its range": bounds(metric["floor_range"])}
            n = f"{one['n']['synthetic']} synthetic, {one['n']['real']} real"
            rows.append(row | {"reading": one["verdict"] if key in ("r", "auc") else None, "n": n})
    left_out = f" Not judged, too few training images: {', '.join(told['left_out'])}." if told["left_out"] else ""
    words = (
        "Judges that learned from real training images look at the synthetic ones; their labels are what was asked for. Ceiling: "
        "the same judges on held-out real images. Floor: the synthetic images with their labels shuffled." + left_out
    )
    blocks = [page.heading("Do images show what was asked for?"), page.table(rows, words)]
    if told["rules"]:
        table = [{**rule, "values": " and ".join(rule["values"])} for rule in told["rules"]]
        names = {"values": "never together in a real image", "expected": "expected by chance", "asked": "asked for",
                 "seen": "seen by the judges", "seen_share": "share", "seen_real": "of real images (mistakes)"}  # fmt: skip
        blocks.append(page.table([{names[key]: value for key, value in row.items()} for row in table], "Rules."))
    return blocks


def retrieval_blocks(told: Told, pictures: ImageSet) -> list[page.Block]:
    """Ranks of prompts: tables, the curve, and the pictures that are farthest from theirs."""
    among, n = told["among"], told["n"]
    rows = [_ranked(METRICS[name].title, metric) for name, metric in told["metrics"].items()]
    words = (
        f"{told['prompts']} prompts, those of {n['synthetic']} synthetic and {n['real']} held-out real images, ranked against "
        f"each image by {told['scorer']}; a choice is among {among}, the own prompt and {among - 1} others at random, so that "
        f"chance is {1 / among:.0%}. Ceiling: real images and their own prompts. Floor: the synthetic ones, prompts shuffled. "
        "Withheld: every image taken for the mean of all; where that is above chance, some prompts go with anything."
    )
    parts = [
        {"attribute": name, "against a prompt": OPPOSED[way].title, **_ranked("", metric)}
        for name, ways in told["attributes"].items()
        for way, metric in ways.items()
    ]
    blocks = [page.heading("Do images find their prompts?"), page.table(rows, words), _cumulated(told["curve"])]
    if parts:
        blocks.append(
            page.table(parts, "Share of the images that go better with their prompt than with it changed in one attribute.")
        )
    places = [pictures.names.index(one["name"]) for one in told["worst"]]
    captions = [f"{one['name']}: asked {one['asked']}; goes best with {one['best']}" for one in told["worst"]]
    worst = [(pixels(pictures.images[place]), caption) for place, caption in zip(places, captions, strict=True)]
    return [*blocks, page.text("Farthest from their prompts:"), page.gallery(worst)]


def _ranked(title: str, metric: Told) -> dict[str, Any]:
    row: dict[str, Any] = {"number": title} if title else {}
    row |= {"synthetic": metric["value"], "95 % interval": bounds(metric["ci"])}
    row |= {"real (ceiling)": metric["ceiling"], "its interval": bounds(metric["ceiling_ci"])}
    row |= {"shuffled (floor)": metric["floor"], "its range": bounds(metric["floor_range"])}
    if "blind" in metric:
        row["images withheld"] = metric["blind"]
    if "n" in metric:
        row["n"] = f"{metric['n']['synthetic']} synthetic, {metric['n']['real']} real"
    return row


def _cumulated(curve: Told) -> page.Block:
    drawing, (ax,) = page.figure(width=4.4, height=2.9)
    for name, colour in (("real", REAL), ("synthetic", SYNTHETIC)):
        ax.plot(curve["x"], curve[name], color=colour, label=name)
    ax.plot([0, 1], [0, 1], color=LIMIT, linestyle="--", linewidth=1, label="chance")
    ax.set_xlabel("the own prompt is among so many of all", fontsize=8)
    ax.set_ylabel("share of the images", fontsize=8)
    ax.legend(fontsize=8, frameon=False, loc="lower right")
    return page.picture(drawing, "The more to the upper left, the more a prompt says of its image.")


def card_blocks(told: Told, edits: Sequence[Told]) -> list[page.Block]:
    """The card: tables, the collateral matrix, the worst cases."""
    blocks = [
        page.heading("Did edits do what was asked, and nothing else?"),
        page.table(_effective(told["effectiveness"]), EFFECTIVE),
    ]
    parts = [{str(told["by"]): value} | row for value, rows in told["subgroups"].items() for row in _effective(rows)]
    blocks += [page.table(parts, f"The same by {told['by']} of the original.")] if parts else []
    blocks += [page.table(_amounts(told), "Means over edits, as shares of the intensity range; area: share of the pixels.")]
    blocks += [_matrix(told["collateral"])]
    rows = [{"features": label, **_identity(one)} for label, one in told["identity"].items() if one]
    blocks += [page.table(rows, IDENTITY)] if rows else []
    return blocks + _worst(told["worst"], {edit["name"]: edit for edit in edits})


EFFECTIVE = (
    "Effectiveness, by judges that learned from real training images and guided no edit. Of a number: the change asked for, the "
    "share of it that the judges see, the share that they see of a difference between real images, and how far the result is "
    "from what was asked. Of a class: the share of edits in which the "
    "judges see it afterwards. Untouched: the same of the originals. Ceiling: what the judges make of held-out real images."
)
IDENTITY = (
    "Similarity (cosine of features) of counterfactuals to their originals, beside two visits of a real patient and two "
    "different patients. Kept: at least as alike as 95 % of repeat visits."
)


def _effective(rows: Sequence[Told]) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        told = {"change": row["change"], "judged": row["judged"], "n": row["n"]}
        if "reached" in row:
            told |= {"reached": row["reached"], "95 % interval": bounds(row["reached_ci"])}
        else:
            told |= {"asked": row["asked"]["value"], "share made": row["share"], "share seen of real": row["share_ceiling"]}
            told |= {"error": row["error"]["value"], "error's interval": bounds(row["error"]["ci"])}
        told |= {"moved": row["moved"]["value"], "moved, interval": bounds(row["moved"]["ci"])}
        found.append(told | {"untouched": row["untouched"], "ceiling": row["ceiling"]})
    return found


def _amounts(told: Told) -> list[dict[str, Any]]:
    names = {"change": "change, from the reconstruction", "area": "area that changed", "outside": "change outside of the mask"}
    found = {"composition: error of the reconstruction": told["composition"]}
    found |= {f"minimality: {names[name]}": one for name, one in told["minimality"].items()}
    found |= {"reversibility: error of editing back": told["reversibility"]} if told["reversibility"] else {}
    return [{"": name, "mean": one["value"], "95 % interval": bounds(one["ci"]), "n": one["n"]} for name, one in found.items()]


def _matrix(told: Told) -> page.Block:
    """Rows: what was asked for; columns: what moved."""
    rows, columns = told["rows"], told["columns"]
    values = np.array([[cell["value"] if cell["value"] is not None else np.nan for cell in cells] for cells in rows.values()])
    drawing, (ax,) = page.figure(width=2.6 + 0.75 * len(columns), height=1.5 + 0.5 * len(rows))
    ax.imshow(values, cmap="RdBu_r", vmin=-SHOWN_AT, vmax=SHOWN_AT, aspect="auto")
    ax.set_xticks(range(len(columns)), columns, fontsize=8, rotation=30, ha="right")
    ax.set_yticks(range(len(rows)), list(rows), fontsize=8)
    for i, cells in enumerate(rows.values()):
        for j, cell in enumerate(cells):
            if cell["value"] is None:
                continue
            weight = "bold" if cell["beyond"] else "normal"
            shown = f"({cell['value']:+.1f})" if cell["asked"] else f"{cell['value']:+.1f}{'!' if cell['beyond'] else ''}"
            dark = abs(cell["value"]) > 0.6 * SHOWN_AT
            shown += "" if cell["share"] is None else f"\n{cell['share']:+.0%}"
            ax.text(j, i, shown, ha="center", va="center", fontsize=8, weight=weight, color="white" if dark else "black")
    whose = "two visits of a patient" if told["unit_of"] == "visits" else "two real patients"
    caption = (
        f"Collateral matrix: mean shift that the judges see, from original to counterfactual; 1 is how far they see it move "
        f"between {whose}. In brackets: what was asked for. Below: the share of what lies between the real "
        f"classes (of a number, two standard deviations). '!': not asked for, above {BEYOND:g} and {MATERIAL:.0%}, clear of 0."
    )
    return page.picture(drawing, caption)


def _identity(one: Told) -> dict[str, Any]:
    names = ("counterfactual", "reconstruction", "visits", "strangers", "kept")
    return {name: one[name] for name in names} | {
        "kept, interval": bounds(one["kept_ci"]),
        "strangers kept": one["strangers_kept"],
    }


def _worst(worst: Mapping[str, Sequence[str]], edits: Mapping[str, Told]) -> list[page.Block]:
    blocks = [
        page.text("The worst cases: original, reconstruction, counterfactual and difference; all but the first are synthetic.")
    ]
    shown: dict[str, list[str]] = {}
    for key, names in worst.items():
        for name in names:
            shown.setdefault(name, []).append(WORST[key])
    for name, why in shown.items():
        blocks.append(page.picture(beside([edits[name][of] for of in EDIT_PICTURES]), f"{name}: {', '.join(why)}"))
    return blocks
