"""Result of `inspect` as inspect.json and one HTML page with plots and a contact sheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from latentdrift.attributes.specification import ImageRow
from latentdrift.data.cohort.cohort import Cohort, background
from latentdrift.data.cohort.splits import SPLITS
from latentdrift.data.images.letterbox import Fit
from latentdrift.data.inspection.registered_visits import RegisteredPair, worst_pairs
from latentdrift.data.inspection.results import (
    CategoryAttribute,
    Inspection,
    NumberAttribute,
)
from latentdrift.data.inspection.statistics import inspect
from latentdrift.display import html_report
from latentdrift.display.counting import count
from latentdrift.storage import write_text

INK = {"train": "#2f6f8f", "validation": "#c98a12", "test": "#7a4f9a"}
MAX_IMAGES = 12
"""Images of each split on the contact sheet."""
MAX_PREVIEW_KINDS = 5
"""Sizes, spacings and windows listed by name."""
TILE = 160
"""Pixels of a contact sheet image's side."""


def write_inspection(cohort: Cohort, out: Path) -> Inspection:
    """Write `inspect.html` and `inspect.json`.

    Args:
        cohort: The cohort.
        out: Folder to write into.

    Returns:
        Result of `inspect`.
    """
    inspection = inspect(cohort)
    html_report.write_page(
        out / "inspect.html", f"Cohort: {cohort.describe}", _blocks(cohort, inspection)
    )
    text = json.dumps(inspection.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(out / "inspect.json", text + "\n")
    return inspection


def _blocks(cohort: Cohort, inspection: Inspection) -> list[html_report.Block]:
    people = (
        f" of {count(inspection.patients, 'patient')}"
        if inspection.patients
        else ", patients unknown"
    )
    return [
        html_report.text(
            f"{count(inspection.images, 'image')}{people}. "
            f"Fingerprint {inspection.fingerprint[:16]}."
        ),
        html_report.lights(_lights(inspection)),
        html_report.heading("Splits"),
        html_report.table(
            [
                {"split": split, "images": size.images, "patients": size.patients}
                for split, size in inspection.splits.items()
            ],
            caption=_split_caption(cohort),
        ),
        html_report.heading("Attributes"),
        *_attributes(inspection),
        html_report.heading("Ages and visits"),
        *_ages_and_visits(inspection),
        html_report.heading("Intensities and sizes"),
        _intensities(inspection),
        html_report.table(
            _counts("size", inspection.sizes)
            + _counts("spacing (mm)", inspection.spacing_mm)
            + _counts("bits", inspection.bits)
            + _counts("window", inspection.intensity.windows)
        ),
        *_left_out(inspection),
        *_registration(cohort, inspection),
        *_near_duplicates(cohort, inspection),
        html_report.heading("Contact sheet"),
        *_contact_sheet(cohort),
    ]


def _lights(inspection: Inspection) -> list[tuple[str, html_report.Colour, str]]:
    leak = inspection.leaks
    rows: list[tuple[str, html_report.Colour, str]] = [
        _light(
            "patients",
            len(leak.patients),
            "red",
            "No patient is in two splits.",
            "patient",
        )
        if inspection.patients
        else (
            "patients",
            "grey",
            "Patients are not known, so it cannot be checked that none is in two splits.",
        ),
        _light(
            "copies",
            len(leak.pixels),
            "red",
            "No picture is in two splits.",
            "image",
        ),
        _light(
            "near-duplicates",
            len(leak.near_duplicates),
            "amber",
            "No pair lies in two splits.",
            "pair",
        ),
    ]
    return rows + [
        ("note", "amber", sentence)
        for sentence in inspection.warnings
        if "In more than one split" not in sentence
    ]


def _light(
    label: str, number: int, colour: html_report.Colour, none: str, noun: str
) -> tuple[str, html_report.Colour, str]:
    if not number:
        return label, "green", none
    return label, colour, f"In more than one split: {count(number, noun)}."


def _split_caption(cohort: Cohort) -> str:
    split = cohort.info.split
    label = f", keeping the shares of {split.stratified_by}" if split.stratified_by else ""
    return f"Split by {split.by}{label}, seed {split.seed}." if split.by else ""


def _attributes(inspection: Inspection) -> list[html_report.Block]:
    numbers = [
        {"attribute": name, "split": part, **summary.to_dict()}
        for name, attribute in inspection.attributes.items()
        if isinstance(attribute, NumberAttribute)
        for part, summary in attribute.by_split.items()
    ]
    words = [
        {"attribute": name, "value": word, **counts}
        for name, attribute in inspection.attributes.items()
        if isinstance(attribute, CategoryAttribute)
        for word, counts in attribute.counts.items()
    ]
    missing = [{"column": name, "missing": number} for name, number in inspection.missing.items()]
    tables = ((words, "Images with each value"), (numbers, "Numbers"), (missing, "Empty cells"))
    blocks = [html_report.table(rows, caption=caption) for rows, caption in tables if rows]
    return blocks or [html_report.text("None: every prompt is the same.")]


def _ages_and_visits(inspection: Inspection) -> list[html_report.Block]:
    blocks = []
    visits = inspection.visits
    figure, axes = html_report.figure(columns=3, width=9.6)
    if inspection.ages:
        edges = np.array(inspection.ages.edges)
        base = np.zeros(len(edges) - 1)
        for split in SPLITS:
            counts = np.array(inspection.ages.counts[split])
            axes[0].bar(
                edges[:-1],
                counts,
                width=4.6,
                align="edge",
                bottom=base,
                color=INK[split],
                label=split,
            )
            base += counts
        axes[0].legend(frameon=False, fontsize=8)
    axes[0].set(xlabel="age (years)", ylabel="images")
    axes[1].bar(
        list(visits.images_per_patient),
        list(visits.images_per_patient.values()),
        color=INK["train"],
    )
    axes[1].set(xlabel="images per patient", ylabel="patients")
    if visits.days_between:
        axes[2].hist(visits.days_between, bins=24, color=INK["train"])
        axes[2].set(xlabel="days between visits", ylabel="pairs of visits")
    else:
        axes[2].text(0.5, 0.5, "no dates of visits", ha="center", va="center")
        axes[2].axis("off")
    if inspection.ages or visits.images_per_patient:
        blocks.append(
            html_report.picture(
                figure, "Ages by split, images per patient, time from one visit to the next"
            )
        )
    return blocks or [html_report.text("Neither ages nor patients are known.")]


def _intensities(inspection: Inspection) -> html_report.Block:
    figure, (axis,) = html_report.figure(height=2.6)
    edges = np.array(inspection.intensity.edges)
    for split, shares in inspection.intensity.by_split.items():
        axis.stairs(shares, edges, color=INK[split], label=split)
    axis.set(xlabel="intensity in the window, -1 to 1", ylabel="share of pixels", yscale="log")
    axis.legend(frameon=False, fontsize=8)
    low = inspection.intensity.clipped_low
    high = inspection.intensity.clipped_high
    return html_report.picture(
        figure,
        f"Intensities: {low:.1%} of the pixels lie at the lower end of the window, {high:.1%} at "
        "the upper",
    )


def _counts(what: str, counts: dict[str, int]) -> list[dict[str, str | int]]:
    frequent = list(counts.items())[:MAX_PREVIEW_KINDS]
    others = list(counts.values())[MAX_PREVIEW_KINDS:]
    rest = [(f"{len(others)} others", sum(others))] if others else []
    return [{"": what, "value": value, "images": number} for value, number in [*frequent, *rest]]


def _left_out(inspection: Inspection) -> list[html_report.Block]:
    rows = [{"reason": reason, "files": number} for reason, number in inspection.rejected.items()]
    return [html_report.heading("Not taken at import"), html_report.table(rows)] if rows else []


def _registration(cohort: Cohort, inspection: Inspection) -> list[html_report.Block]:
    """Counts of registered visits, and the pairs that resemble each other least."""
    found = inspection.registration
    if found is None:
        return []
    rows = [{"visits": "registered", "images": found.registered}]
    rows += [
        {"visits": f"not registered: {reason}", "images": number}
        for reason, number in found.failed.items()
    ]
    spread = [
        {"correlation with the first visit": name, **numbers}
        for name, numbers in (
            ("before", found.correlation_before),
            ("after", found.correlation),
        )
    ]
    worst = [html_report.gallery(_tiles(pair)) for pair in worst_pairs(cohort)]
    return [
        html_report.heading("Registration of visits"),
        html_report.table(rows),
        *([html_report.table(spread)] if found.registered else []),
        *([html_report.text("Least similar pairs:"), *worst] if worst else []),
    ]


def _tiles(pair: RegisteredPair) -> list[tuple[np.ndarray, str]]:
    """Images of a registered pair, with captions."""
    return [
        (_fitted(picture), caption)
        for picture, caption in (
            (pair.first, "first visit"),
            (pair.before, f"{pair.file_name} before"),
            (pair.after, f"after, r = {pair.correlation:.3f}"),
            (_difference(pair), "after - first visit, grey is 0"),
        )
    ]


def _difference(pair: RegisteredPair) -> np.ndarray:
    """Difference of a registered visit from the first one, in [-1, 1]."""
    result: np.ndarray = (pair.after - pair.first).clip(-1, 1)
    return result


def _near_duplicates(cohort: Cohort, inspection: Inspection) -> list[html_report.Block]:
    by_name = cohort.table.set_index("file_name", drop=False)
    tiles = [
        (
            _tile(cohort, by_name.loc[name].to_dict()),
            f"{name} · {split} · r = {pair.correlation}",
        )
        for pair in inspection.leaks.near_duplicates[:8]
        for name, split in zip(pair.files, pair.splits, strict=True)
    ]
    return (
        [html_report.heading("Near-duplicates in different splits"), html_report.gallery(tiles)]
        if tiles
        else []
    )


def _contact_sheet(cohort: Cohort) -> list[html_report.Block]:
    """Images evenly spaced through each split."""
    blocks = []
    for split in SPLITS:
        rows = cohort.rows(split).to_dict("records")
        chosen = (
            [rows[i] for i in sorted({int(i) for i in np.linspace(0, len(rows) - 1, MAX_IMAGES)})]
            if rows
            else []
        )
        blocks.append(
            html_report.gallery(
                [(_tile(cohort, row), f"{split} · {_caption(cohort, row)}") for row in chosen]
            )
        )
    return blocks


def _tile(cohort: Cohort, row: ImageRow) -> np.ndarray:
    return _fitted(cohort.pixels(row))


def _fitted(pixels: np.ndarray) -> np.ndarray:
    """Pixels letterboxed to a tile."""
    return Fit(pixels.shape[0], pixels.shape[1], TILE).apply(pixels, fill=background(pixels))


def _caption(cohort: Cohort, row: ImageRow) -> str:
    values = [row["patient"], row["visit"] and f"visit {row['visit']}"] + [
        row.get(name) for name in cohort.attributes
    ]
    parts = [
        f"{value:g}" if isinstance(value, float) else str(value)
        for value in values
        if value is not None and value == value
    ]
    return " · ".join(parts) or str(row["file_name"])
