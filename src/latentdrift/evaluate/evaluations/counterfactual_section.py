"""Section of the report on counterfactuals: tables, the collateral matrix, the worst cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift.display import html_report
from latentdrift.display.counting import count
from latentdrift.display.html_report import estimate
from latentdrift.evaluate.attributes.counterfactual_metrics import BEYOND, MATERIAL
from latentdrift.evaluate.attributes.counterfactual_results import (
    Card,
    Change,
    ChangeRealism,
    ClassChange,
    Collateral,
    CollateralCell,
    FollowUps,
    NumberChange,
    unit_words,
)
from latentdrift.evaluate.attributes.visit_metrics import VISIT_TITLES
from latentdrift.evaluate.images.attribute_words import FOLLOW_UP, attribute, change
from latentdrift.evaluate.images.recorded_edits import RecordedEdit
from latentdrift.evaluate.images.strips import edit_strip
from latentdrift.evaluate.privacy.repeat_visits import Identity
from latentdrift.evaluate.statistics.results import EditMean

COLOUR_LIMIT = 4.0
"""Units at which the colours of the collateral matrix end."""
WORST_TITLES = {
    "reconstruction": "worst reconstruction",
    "change": "largest change",
    "outside": "largest change outside of the mask",
    "reversed": "least reversible",
    "collateral": "largest change that was not requested",
}
MINIMALITY_TITLES = {
    "change": "minimality: change",
    "area": "minimality: area that changed",
    "outside": "minimality: change outside of the mask",
}


def card_blocks(scores: Card, edits: Sequence[RecordedEdit]) -> list[html_report.Block]:
    """Blocks of the scores.

    Args:
        scores: Scores of the counterfactuals.
        edits: The edits.
    """
    blocks = [
        html_report.heading("Did edits do what was asked, and nothing else?"),
        *_effectiveness(scores.effectiveness, ""),
    ]
    for value, rows in scores.subgroups.items():
        blocks += _effectiveness(rows, f" Originals with {scores.by}: {value}.")
    blocks.append(html_report.table(_amounts(scores), AMOUNTS))
    blocks.append(_matrix(scores.collateral))
    identities = [
        {"features": label, **_identity_cells(identity)}
        for label, identity in scores.identity.items()
        if identity
    ]
    if identities:
        blocks.append(html_report.table(identities, IDENTITY))
    if scores.realism:
        rows_of_realism = [_realism_row(row) for row in scores.realism]
        blocks.append(html_report.table(rows_of_realism, REALISM, keys=2))
    if scores.follow_ups:
        caption = FOLLOWED.format(n=scores.follow_ups.n, patients=scores.follow_ups.patients)
        blocks.append(html_report.table(_follow_up_rows(scores.follow_ups), caption))
        if scores.follow_ups.change:
            blocks.append(html_report.table(_change_rows(scores.follow_ups), TRUE_CHANGE))
    return blocks + _worst(scores.worst, {edit.name: edit for edit in edits})


JUDGED = (
    "Effectiveness: the requested change, as measured by classifiers that learned from "
    "real training images and guided no edit. The 95 % intervals resample patients."
)
OF_NUMBERS = (
    " Numeric attributes. Share made: how much of the requested change is seen; 1 is all "
    "of it. Share seen in real images: how much of a true difference between real images "
    "is seen. Error: mean distance of the result from the requested value. Error of the "
    "original: the same without any edit. Error in real images: mean distance of held-out "
    "real images from their own value, the best to expect."
)
OF_CLASSES = (
    " Classes. Reached: share of edits in which the classifiers see the target. Before: "
    "this share in the originals. In real images: this share in held-out real images that "
    "have the target, the best to expect. Shift: mean change of the log-odds towards the "
    "target; below 0, the edit moves away from it."
)
AMOUNTS = (
    "Means over edits as shares of the intensity range; areas are shares of the pixels. "
    "Brackets: 95 % intervals."
)
IDENTITY = (
    "Identity: cosine similarity of features between the original and its counterfactual, "
    "and its reconstruction. For comparison: two visits of one patient, and two different "
    "patients. Same patient: share of pairs that are at least as similar as 95 % of "
    "repeat visits."
)


REALISM = (
    "Realism of each change: KID between the counterfactuals and held-out real images "
    "that have the target; 0 is best. For comparison: KID of the untouched originals, and "
    "of two halves of these real patients (real vs real). Few images give wide intervals."
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


TRUE_CHANGE = (
    "The same edits: the change that was made beside the true change between the two scans, all "
    "edits together, 95 % intervals over patients. Reduction of squared error: 0 is no better than "
    "no change, 1 is perfect, below 0 is worse; blurs are in 1/256 of the image's side. R²: the "
    "same of a volume. Calibration slope: regression of the true on the made change; 1 is the "
    "right size. Position counts as change unless the scans are registered (`import` with "
    "`register`)."
)


def _realism_row(row: ChangeRealism) -> dict[str, Any]:
    n = row.n
    return {
        "requested change": change(row.change),
        "features": row.features,
        "counterfactuals [95 % interval]": estimate(row.value, row.ci),
        "originals": row.original,
        "real vs real [range]": estimate(row.floor, row.floor_ci),
        "counterfactuals, same number of images": row.matched,
        "n": f"{count(n['edits'], 'edit')} ({count(n['patients'], 'patient')}), {n['real']} real",
    }


def _follow_up_rows(follow_ups: FollowUps) -> list[dict[str, Any]]:
    columns = {
        "counterfactual": follow_ups.metrics,
        "untouched original": follow_ups.no_change,
        "difference": follow_ups.gain,
    }
    rows = []
    for name, title in FOLLOW_UP.items():
        row: dict[str, Any] = {"measure": title}
        for column, means in columns.items():
            mean = means.get(name)
            row[column] = None if mean is None else estimate(mean.value, mean.ci)
        rows.append(row)
    return rows


def _change_rows(follow_ups: FollowUps) -> list[dict[str, Any]]:
    return [
        {"measure": VISIT_TITLES[name], "value": estimate(mean.value, mean.ci), "edits": mean.n}
        for name, mean in follow_ups.change.items()
    ]


def _effectiveness(rows: Sequence[Change], subgroup: str) -> list[html_report.Block]:
    """A table of the numeric attributes and one of the classes, those that there are."""
    numbers = [_number_row(row) for row in rows if isinstance(row, NumberChange)]
    classes = [_class_row(row) for row in rows if isinstance(row, ClassChange)]
    blocks = []
    if numbers:
        blocks.append(html_report.table(numbers, JUDGED + OF_NUMBERS + subgroup))
    if classes:
        blocks.append(html_report.table(classes, JUDGED + OF_CLASSES + subgroup))
    return blocks


def _number_row(row: NumberChange) -> dict[str, Any]:
    unit = f" ({row.unit})" if row.unit else ""
    return {
        "requested change": change(row.change),
        "edits (patients)": f"{row.n} ({row.patients})",
        f"requested, mean{unit}": row.requested.value,
        f"seen, mean{unit}": estimate(row.moved.value, row.moved.ci),
        "share made": row.share,
        "share seen in real images": row.share_ceiling,
        f"error{unit}": estimate(row.error.value, row.error.ci),
        "error of the original": row.untouched,
        "error in real images": row.ceiling,
    }


def _class_row(row: ClassChange) -> dict[str, Any]:
    return {
        "requested change": change(row.change),
        "edits (patients)": f"{row.n} ({row.patients})",
        "reached": estimate(row.reached, row.reached_ci),
        "before": row.untouched,
        "in real images": row.ceiling,
        "shift": estimate(row.moved.value, row.moved.ci),
    }


def _amounts(scores: Card) -> list[dict[str, Any]]:
    means: dict[str, EditMean] = {"composition: error of the reconstruction": scores.composition}
    means |= {MINIMALITY_TITLES[name]: mean for name, mean in scores.minimality.items()}
    if scores.reversibility:
        means["reversibility: error after editing back"] = scores.reversibility
    return [
        {"measure": title, "mean": estimate(mean.value, mean.ci), "edits": mean.n}
        for title, mean in means.items()
    ]


def _matrix(collateral: Collateral) -> html_report.Block:
    """The collateral matrix. Rows: requested changes; columns: changes that are seen."""
    rows = collateral.rows
    columns = collateral.columns
    values = np.array([[_value(cell) for cell in cells] for cells in rows.values()])
    width = 2.6 + 0.75 * len(columns)
    figure, (ax,) = html_report.figure(width=width, height=1.5 + 0.5 * len(rows))
    ax.imshow(values, cmap="RdBu_r", vmin=-COLOUR_LIMIT, vmax=COLOUR_LIMIT, aspect="auto")
    titles = [attribute(name) for name in columns]
    ax.set_xticks(range(len(columns)), titles, fontsize=8, rotation=30, ha="right")
    ax.set_yticks(range(len(rows)), [change(kind) for kind in rows], fontsize=8)
    for i, cells in enumerate(rows.values()):
        for j, cell in enumerate(cells):
            if cell.value is not None:
                _write_cell(ax, j, i, cell, cell.value)
    caption = (
        "Collateral matrix. Rows: requested changes. Columns: mean change from original "
        "to counterfactual that the classifiers see; 1 is the difference between "
        f"{unit_words(collateral)}. Below: the change as a share of the difference between "
        "the real classes (for a number, of two standard deviations). In brackets: "
        f"requested. '!': not requested, and clearly above both {BEYOND:g} and "
        f"{MATERIAL:.0%}."
    )
    return html_report.picture(figure, caption)


def _value(cell: CollateralCell) -> float:
    return float("nan") if cell.value is None else cell.value


def _write_cell(ax: Any, x: int, y: int, cell: CollateralCell, value: float) -> None:
    """Write the value of a cell, and below it the share."""
    text = f"({value:+.1f})" if cell.is_requested else f"{value:+.1f}{'!' if cell.beyond else ''}"
    if cell.share is not None:
        text += f"\n{cell.share:+.0%}"
    weight = "bold" if cell.beyond else "normal"
    colour = "white" if abs(value) > 0.6 * COLOUR_LIMIT else "black"
    style: dict[str, Any] = {"fontsize": 8, "weight": weight, "color": colour}
    ax.text(x, y, text, ha="center", va="center", **style)


def _identity_cells(identity: Identity) -> dict[str, Any]:
    return {
        "counterfactual": identity.counterfactual,
        "reconstruction": identity.reconstruction,
        "two visits": identity.visits,
        "different patients": identity.strangers,
        "same patient: counterfactuals": estimate(identity.passing, identity.passing_ci),
        "same patient: pairs of different patients": identity.strangers_passing,
    }


def _worst(
    worst: Mapping[str, Sequence[str]], edits: Mapping[str, RecordedEdit]
) -> list[html_report.Block]:
    """Strips of the worst edits, each once, with all reasons."""
    reasons: dict[str, list[str]] = {}
    for key, names in worst.items():
        for name in names:
            reasons.setdefault(name, []).append(WORST_TITLES[key])
    blocks = [html_report.text("The worst cases. All pictures but the originals are synthetic.")]
    for name, titles in reasons.items():
        strip, caption = edit_strip(edits[name])
        blocks.append(html_report.picture(strip, f"{name}: {', '.join(titles)}. {caption}"))
    return blocks
