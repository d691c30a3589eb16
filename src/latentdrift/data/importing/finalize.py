"""The end of an import: identity out, days and splits in, what was left out is said, and the cohort
appears."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from latentdrift import record
from latentdrift.attributes.specification import Cell, ImageRow, as_number
from latentdrift.config import ImportOptions
from latentdrift.data.cohort import splits
from latentdrift.data.cohort.cohort import COLUMNS, Cohort, write_tables
from latentdrift.data.cohort.description import CohortInfo
from latentdrift.data.images.near_duplicates import near_duplicates
from latentdrift.data.images.thumbnails import alike, groups, thumbnail
from latentdrift.data.images.volume import MIDDLE
from latentdrift.data.importing.import_plan import Plan
from latentdrift.data.importing.staging import StagedImage, Staging
from latentdrift.data.importing.visit_registration import register_visits
from latentdrift.data.importing.walk import Refusal, readable
from latentdrift.data.inspection.statistics import mixed, modalities
from latentdrift.data.tables.cell_parsing import NOT_NAMED, Doubt, are_dates
from latentdrift.data.tables.column_map import describe_map, fitting_presets
from latentdrift.data.tables.pseudonymization import (
    PrivateTable,
    choose_salt,
    patient_key,
    pseudonym,
    write_private,
)
from latentdrift.data.tables.spellings import unite_spellings
from latentdrift.data.tables.tables import Table
from latentdrift.display.counting import count
from latentdrift.errors import unknown
from latentdrift.progress import ProgressCallback

log = logging.getLogger(__name__)
DESCRIBE = {
    "MR": "MRI",
    "CT": "CT scan",
    "CR": "X-ray",
    "DX": "X-ray",
    "MG": "mammogram",
    "US": "ultrasound scan",
    "PT": "PET scan",
}
"""Noun for an image of a modality (PS3.3 C.7.3.1.1.1), where no description is given."""
UNDESCRIBED = "medical image"
"""Description of images of an unknown modality."""


MAX_EXAMPLES = 24
"""Characters of a cell in a message."""
MAX_AGE_EXAMPLES = 5
"""Spellings of ages in a message."""
MUCH_UNUSED = 4
"""Times that the range of a number format may be as wide as the values of all pictures before it is
worth a word."""


@dataclass(frozen=True)
class AcceptedPicture:
    """A picture that enters the cohort, still under its real identity."""

    file: str
    staged: StagedImage
    rows: tuple[int, ...]
    """Rows of the table that belong to the image."""
    values: dict[str, Cell]
    doubts: tuple[Doubt, ...] = ()
    """Values of its header or of the map that cannot be read and were left out."""

    @cached_property
    def patient(self) -> str | None:
        """Normalised id of the patient; None if unknown."""
        return patient_key(str(self.values["patient"])) if self.values.get("patient") else None

    @cached_property
    def day(self) -> date | None:
        """Date of the scan; None if unknown."""
        return date.fromisoformat(str(self.values["date"])) if "date" in self.values else None


def publish(
    plan: Plan,
    staging: Staging,
    images: list[AcceptedPicture],
    refused: list[Refusal],
    options: ImportOptions,
    progress: ProgressCallback | None = None,
) -> None:
    """Replace identities by pseudonyms, assign splits, register visits, and write the cohort.

    Args:
        plan: Plan of the import.
        staging: Unfinished work, with the pixels.
        images: Pictures that enter the cohort.
        refused: Files and pictures that do not.
        options: Options of `import`.
        progress: Called with (visits registered, all); None: not called.
    """
    salt = choose_salt(options.out, options.salt)
    spellings = sorted(_spellings(images))
    conditions = [
        name for name in plan.map.attributes if any(name in image.values for image in images)
    ]
    joined = unite_spellings([image.values for image in images], (*conditions, "findings"))
    split_of, split_info = _split(staging, images, options, conditions)
    folder = staging.assemble()
    rows = []
    for position, (image, moment) in enumerate(zip(images, _moments(images), strict=True)):
        file_name = f"images/{position:06d}.png"
        staging.place(image.staged.png, folder / file_name)
        rows.append(
            _row(image, salt) | moment | {"file_name": file_name, "split": split_of[position]}
        )
    if options.register:
        rows = register_visits(folder, rows, options.register, options.workers, staging, progress)
    metadata = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if name not in (*COLUMNS, *conditions)
    ]
    describe = options.describe or plan.map.describe or _describe(images)
    if describe == UNDESCRIBED:
        log.info(_undescribed(plan.table))
    info = {
        "describe": describe,
        "kept": metadata,
        "split": split_info,
    }
    write_tables(folder, rows, info | _account(plan, images, refused, joined, options))
    tables = {
        "patients.csv": _patients_table(spellings, salt),
        "files.csv": _files_table(rows, images),
        "rejected.csv": _rejected_table(refused),
        "cells.csv": _cells_table(plan, images),
    }
    private = write_private(options.out, salt, tables)
    # the options name places and the salt, so the record lies with the private tables
    results = {"fingerprint": Cohort.load(folder).fingerprint}
    record.write(private, "import", options, inputs=plan.inputs, results=results, mode=0o600)
    staging.finish(options.out)


def _spellings(images: Iterable[AcceptedPicture]) -> set[str]:
    """Patient ids as they are written."""
    return {str(image.values["patient"]) for image in images if image.patient}


def _patients_table(spellings: Sequence[str], salt: str) -> PrivateTable:
    """Real ids of the patients, and their pseudonyms."""
    rows = [(patient, pseudonym(salt, patient)) for patient in spellings]
    return ("patient", "pseudonym"), rows


def _files_table(rows: Sequence[ImageRow], images: Sequence[AcceptedPicture]) -> PrivateTable:
    """Images of the cohort, by row of its table, and the files that they come from."""
    origins = [
        (row["file_name"], readable(image.file), image.staged.frame)
        for row, image in zip(rows, images, strict=True)
    ]
    return ("file_name", "file", "frame"), origins


def _rejected_table(refused: Sequence[Refusal]) -> PrivateTable:
    """Files and pictures that are not in the cohort, and why."""
    rows = [
        (readable(refusal.file), refusal.reason, readable(refusal.sentence)) for refusal in refused
    ]
    return ("file", "reason", "sentence"), rows


def _cells_table(plan: Plan, images: Sequence[AcceptedPicture]) -> PrivateTable:
    """Cells that were left empty or that the map does not name."""
    rows = [(place, doubt.name, doubt.cell, doubt.reason) for place, doubt in _doubts(plan, images)]
    return ("where", "column", "cell", "reason"), rows


def _doubts(plan: Plan, images: Sequence[AcceptedPicture]) -> list[tuple[str, Doubt]]:
    """Cells of the pictures' rows that were left empty or that the map does not name, by row, then
    those of no row, by file."""
    rows = sorted({row for image in images for row in image.rows})
    own = [(readable(image.file), doubt) for image in images for doubt in image.doubts]
    return [(f"row {row}", doubt) for row in rows for doubt in plan.rows.doubts.get(row, [])] + own


def counted(refused: Iterable[Refusal]) -> str:
    """Count refusals by reason: `12 no row in the table, 1 truncated`."""
    counts = Counter(refusal.reason for refusal in refused)
    return (
        ", ".join(f"{number} {reason}" for reason, number in counts.most_common())
        or "no pictures were found"
    )


def summary(info: CohortInfo, cells: Sequence[Mapping[str, str]] = ()) -> list[str]:
    """Summarise an import in sentences.

    Args:
        info: cohort.json.
        cells: Rows of the private cells.csv.
    """
    shares = ", ".join(f"{number} {name}" for name, number in info.splits.items())
    people = f" of {count(info.patients, 'patient')}" if info.patients else ""
    sentences = [f"Taken: {count(info.images, 'image')}{people} ({shares})."]
    if info.rejected:
        reasons = ", ".join(
            f"{number} {reason}" for reason, number in info.rejected_by_reason.items()
        )
        sentences.append(
            f"Not taken: {len(info.rejected)} ({reasons}); each is listed in rejected.csv of "
            "the private folder."
        )
    table = info.table
    if table.rows_without_file:
        sentences.append(
            f"{table.rows_without_file} of {table.rows} rows of the table have no file here."
        )
    if table.findings_joined:
        sentences.append(
            f"The findings of several rows were joined for {table.findings_joined} images."
        )
    sentences += _read_ages(table.ages_read)
    sentences += mixed(info.source.modalities)
    for column, by_reason in table.cells.items():
        own = [cell for cell in cells if cell["column"] == column]
        sentences += _doubtful(column, by_reason, own)
    sentences += info.warnings + info.split.notes
    return sentences + [f"{number} images: {note}." for note, number in info.notes.items()]


def _read_ages(ages: Mapping[str, int]) -> list[str]:
    """`Ages read from text: '>89' as 90 (2), '24M' as 2 (1).`"""
    examples = ", ".join(
        f"{reading} ({number})" for reading, number in list(ages.items())[:MAX_AGE_EXAMPLES]
    )
    more = (
        f", and {len(ages) - MAX_AGE_EXAMPLES} other spellings"
        if len(ages) > MAX_AGE_EXAMPLES
        else ""
    )
    return [f"Ages read from text: {examples}{more}."] if ages else []


def _warnings(images: Sequence[AcceptedPicture], window: str | None) -> list[str]:
    """Sentences on odd intensities of all images together."""
    sentences = []
    windows = Counter(image.staged.window for image in images if image.staged.unit == "HU")
    if window is None and len(windows) > 1:
        examples = ", ".join(
            f"{low:g} to {high:g} ({number})" for (low, high), number in windows.most_common(4)
        )
        (low, high), _ = windows.most_common(1)[0]
        sentences.append(
            f"The {windows.total()} CT images have {len(windows)} different windows, their "
            f"headers' or their own: {examples}{', ...' if len(windows) > 4 else ''}. One grey "
            f"means different densities; import them with one, such as `window={low:g},{high:g}`."
        )
    for full in (255.0, 65535.0):
        tops = [image.staged.extent[1] for image in images if _has_window(image, full)]
        if tops and 0 < max(tops) <= full / MUCH_UNUSED:
            share = max(tops) / full
            wide = 2 ** int(max(tops)).bit_length() - 1
            sentences.append(
                f"{len(tops)} images use {share:.1%} of the range of their number format (values "
                f"up to {max(tops):g} of {full:g}) and are nearly black; import them with "
                f"`window=0,{wide}`."
            )
    return sentences


def _has_window(image: AcceptedPicture, full: float) -> bool:
    """Whether a picture's window is that of a number format, which says nothing of what was
    measured."""
    return image.staged.kind == "raster" and image.staged.window == (0.0, full)


def _doubtful(
    name: str, reasons: Mapping[str, int], cells: Sequence[Mapping[str, str]]
) -> list[str]:
    """`2 cells of age are left empty: 1 age out of range ('300' in row 6), 1 age is a range
    ('45-50' in row 10).`"""
    of_table = [
        cell for cell in reversed(cells) if cell["where"].startswith("row ")
    ]  # headers and folders are not shown
    first = {
        cell["reason"]: f" ('{cell['cell'][:MAX_EXAMPLES]}' in {cell['where']})"
        for cell in of_table
    }
    empty = {reason: number for reason, number in reasons.items() if reason != NOT_NAMED}
    parts = [f"{number} {reason}{first.get(reason, '')}" for reason, number in empty.items()]
    sentence = (
        [f"{sum(empty.values())} cells of {name} are left empty: {', '.join(parts)}."]
        if empty
        else []
    )
    if NOT_NAMED in reasons:
        sentence.append(
            f"{reasons[NOT_NAMED]} cells of {name} are {NOT_NAMED}{first.get(NOT_NAMED, '')}."
        )
    return sentence


def _row(image: AcceptedPicture, salt: str) -> dict[str, Cell]:
    """A row of metadata.csv without identity: the patient under a pseudonym, no date."""
    spacing = image.staged.spacing or (None, None)
    low, high = image.staged.window
    return {
        **{name: value for name, value in image.values.items() if name != "date"},
        "patient": pseudonym(salt, image.patient) if image.patient else None,
        "row_mm": spacing[0],
        "col_mm": spacing[1],
        "window_low": low,
        "window_high": high,
        "sha256": image.staged.sha256,
    }


def _moments(images: Sequence[AcceptedPicture]) -> list[dict[str, Cell]]:
    """Days since the patient's first date, and the visit's number in their order, where the table
    gives none."""
    first: dict[str, date] = {}
    for image in images:
        if image.patient and image.day:
            first[image.patient] = min(image.day, first.get(image.patient, image.day))
    since = [
        (image.day - first[image.patient]).days if image.patient and image.day else None
        for image in images
    ]
    days = [
        as_number(image.values["days"]) if "days" in image.values else computed
        for image, computed in zip(images, since, strict=True)
    ]
    seen: dict[str, set[float]] = defaultdict(set)
    for image, day in zip(images, days, strict=True):
        if image.patient and day is not None:
            seen[image.patient].add(day)
    order: dict[tuple[str | None, float | None], str] = {
        (patient, day): str(visit)
        for patient, all in seen.items()
        for visit, day in enumerate(sorted(all), start=1)
    }
    return [
        {"days": day, "visit": image.values.get("visit", order.get((image.patient, day)))}
        for image, day in zip(images, days, strict=True)
    ]


def _split(
    staging: Staging,
    images: Sequence[AcceptedPicture],
    options: ImportOptions,
    conditions: Sequence[str],
) -> tuple[list[str], dict[str, Any]]:
    """The split of each image, and how it was made: by patient, or by what looks alike where
    patients are not known."""
    patients = [image.patient for image in images]
    unnamed = patients.count(None)
    groups = [str(patient) for patient in patients] if not unnamed else _look_alike(staging, images)
    group_name = "patients" if not unnamed else "groups of look-alike images"
    notes = []
    if unnamed:
        who = (
            "No image has a patient id"
            if unnamed == len(images)
            else f"{unnamed} of {len(images)} images have no patient id"
        )
        notes.append(
            f"{who}. The split is by groups: all {len(images)} images form {len(set(groups))}, "
            "each of one patient or of near-duplicates, and no group is cut. Different pictures of "
            "one patient without an id may still lie in two splits."
        )
    several = Counter(map(patient_key, _spellings(images)))
    if unlike := sum(number > 1 for number in several.values()):
        notes.append(
            f"The ids of {unlike} patients are written in several ways (case, blanks); each counts "
            "as one patient."
        )
    label = _label(images, options.stratify, conditions)
    of = splits.assign(
        groups, _strata(images, label) if label else None, options.split, options.seed
    )
    notes += splits.notes(of, groups, options.split, group_name)
    by = "patient" if not unnamed else "near-duplicate group"
    return of, {
        "by": by,
        "seed": options.seed,
        "shares": list(options.split),
        "stratified_by": label,
        "notes": notes,
    }


def _look_alike(staging: Staging, images: Sequence[AcceptedPicture]) -> list[str]:
    """Per image, the group that must stay together: one patient's, look-alike thumbnails, and the
    same fine structure."""

    def read(position: int) -> np.ndarray:
        with Image.open(staging.pixels(images[position].staged.png)) as picture:
            return np.asarray(picture)

    thumbnails = np.stack([thumbnail(read(position)) for position in range(len(images))])
    first: dict[str, int] = {}
    same_patient = [
        (first.setdefault(image.patient, i), i) for i, image in enumerate(images) if image.patient
    ]
    pairs = [*alike(thumbnails), *near_duplicates(thumbnails, read), *same_patient]
    return [str(group) for group in groups(len(images), pairs)]


def _label(
    images: Sequence[AcceptedPicture], label: str | None, conditions: Sequence[str]
) -> str | None:
    """The attribute whose shares the splits keep: the one asked for, else the first category, the
    findings, or the sex."""
    known = {name for image in images for name in image.values} - {
        "patient",
        "date",
        "days",
        "visit",
    }
    if label is not None and label not in known:
        raise unknown("attribute to stratify by", label, known)
    categories = [
        name
        for name in conditions
        if any(isinstance(image.values.get(name), str) for image in images)
    ]
    return label or next((name for name in (*categories, "findings", "sex") if name in known), None)


def _strata(images: Sequence[AcceptedPicture], label: str) -> list[str]:
    values = pd.Series([image.values.get(label) for image in images], dtype=object)
    present = values.dropna()
    if len(present) and all(isinstance(value, (int, float)) for value in present):
        values = splits.bins(values.astype(float))
    return [str(value) for value in values]


def _describe(images: Sequence[AcceptedPicture]) -> str:
    modality = Counter(str(image.values.get("modality")) for image in images).most_common(1)[0][0]
    return DESCRIBE.get(modality, UNDESCRIBED)


def _undescribed(table: Table | None) -> str:
    """Say how to describe images of an unknown modality.

    Args:
        table: Table of the import; None: there is none.
    """
    fitting = fitting_presets(table) if table else []
    preset = f" The titles of the table fit `preset={fitting[0]}`." if fitting else ""
    return (
        f"Prompts say '{UNDESCRIBED}', because neither headers nor a map give the modality. "
        f"Describe the images, for instance with `describe='chest X-ray'`.{preset}"
    )


def _account(
    plan: Plan,
    images: Sequence[AcceptedPicture],
    refused: Sequence[Refusal],
    joined: Sequence[str],
    options: ImportOptions,
) -> dict[str, Any]:
    """Account of the import: sources, processing, and files that were left out with their
    reasons."""
    used = {row for image in images for row in image.rows}
    without = plan.links.rows_without_file if plan.links else set(plan.rows.values) - used
    cells: dict[str, Counter[str]] = defaultdict(Counter)
    for _, doubt in _doubts(plan, images):
        cells[doubt.name][doubt.reason] += 1
    titles = list(plan.table.frame.columns) if plan.table else []
    named = {*plan.titles.values(), *plan.map.keep, *options.keep}
    return {
        "source": {
            "files": len(plan.files),
            "kinds": dict(Counter(image.staged.kind for image in images)),
            "units": dict(Counter(image.staged.unit for image in images)),
            "modalities": modalities(image.values.get("modality") for image in images),
            "plane": plan.plane,
            "position": options.position or MIDDLE,
            "slab_mm": options.slab,
            "window": plan.window,
            "preset": options.preset,
            "map": describe_map(plan.map),
        },
        "pixels": (
            "a PNG value v of b bits stands for window_low + v / (2^b - 1) * (window_high - "
            "window_low)"
        ),
        "table": {
            "rows": len(plan.table.frame) + len(plan.table.rejected) if plan.table else 0,
            "rows_without_file": len(set(without) - set(plan.rows.rejected)),
            "rows_rejected": dict(Counter(error.reason for error in plan.rows.rejected.values())),
            "findings_joined": sum(_joined(plan, image) for image in images),
            "ages_read": _ages_read(plan, used),
            "cells": {name: dict(reasons.most_common()) for name, reasons in cells.items()},
        },
        "deidentification": {
            "patients": (
                "pseudonyms: HMAC-SHA256 under a secret salt; salt and mapping lie outside the "
                "cohort"
            ),
            "dates": _dates(plan, options.keep),
            "header": ["age", "sex", "view", "modality", *plan.header_fields],
            "columns_left_out": [title for title in titles if title not in named],
            "file_names": (
                "replaced by numbers; the real ones lie outside the cohort, also of what was left "
                "out"
            ),
        },
        "rejected": [{"reason": refusal.reason} for refusal in refused],
        "rejected_by_reason": dict(Counter(refusal.reason for refusal in refused).most_common()),
        "warnings": [*joined, *_warnings(images, plan.window)],
        "notes": dict(Counter(note for image in images for note in image.staged.notes)),
    }


def _ages_read(plan: Plan, used: Iterable[int]) -> dict[str, int]:
    """Cells of ages that are no plain numbers, with the years that they are read as -> number of
    rows, the most first."""
    counts = Counter(plan.rows.ages_read[row] for row in used if row in plan.rows.ages_read)
    return dict(counts.most_common())


def _joined(plan: Plan, image: AcceptedPicture) -> bool:
    """Whether the findings of several rows were joined."""
    return len({plan.rows.values[row].get("findings") for row in image.rows} - {None}) > 1


def _dates(plan: Plan, keep: Sequence[str]) -> str:
    """Account of dates. Dates that are kept by name are named."""
    from pydicom.datadict import dictionary_VR

    dates = [name for name in plan.header_fields if dictionary_VR(name) in ("DA", "DT")]
    if plan.table:
        titles = [title for title in (*plan.map.keep, *keep) if title in plan.table.frame]
        dates += [title for title in titles if are_dates(plan.table.frame[title])]
    named = f", except these, kept by name: {', '.join(dates)}" if dates else ""
    return f"removed{named}; days since the patient's first scan are kept"
