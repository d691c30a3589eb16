"""The end of an import: identity out, days and splits in, what was left out is said, and the cohort appears."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from latentdrift.config import ImportOptions
from latentdrift.data import duplicates, splits
from latentdrift.data.cohort import COLUMNS, write_tables
from latentdrift.data.identity import Mask, PrivateTable, choose_salt, pseudonym, write_private
from latentdrift.data.mapping import describe_map
from latentdrift.data.plan import Plan
from latentdrift.data.staging import Staging
from latentdrift.data.volume import MIDDLE
from latentdrift.data.walk import Refusal, readable
from latentdrift.errors import unknown

DESCRIBE = {
    "MR": "MRI",
    "CT": "CT scan",
    "CR": "X-ray",
    "DX": "X-ray",
    "MG": "mammogram",
    "US": "ultrasound scan",
    "PT": "PET scan",
}
"""What a picture of a modality (PS3.3 C.7.3.1.1.1) is called where nobody says what it shows."""


MUCH_UNUSED = 4
"""Times that the range of a number format may be as wide as the values of all pictures before it is worth a word."""


@dataclass(frozen=True)
class Taken:
    """A picture that enters the cohort, still under its real identity."""

    file: str
    staged: dict[str, Any]
    row: int | None
    values: dict[str, Any]

    @property
    def patient(self) -> str | None:
        """The raw patient id."""
        return self.values.get("patient")

    @property
    def day(self) -> date | None:
        """The date of the scan."""
        return date.fromisoformat(self.values["date"]) if "date" in self.values else None


def publish(plan: Plan, staging: Staging, taken: list[Taken], refused: list[Refusal], options: ImportOptions) -> None:
    """Identity out, splits in, and the cohort appears."""
    salt = choose_salt(options.out, options.salt)
    patients = sorted({image.patient for image in taken if image.patient})
    everyone = {*patients, *(values["patient"] for values in plan.rows.values.values() if "patient" in values)}
    conditions = [name for name in plan.map.attributes if any(name in image.values for image in taken)]
    split_of, split_info = _split(staging, taken, options, conditions)
    folder = staging.assemble()
    rows = []
    for position, (image, moment) in enumerate(zip(taken, _moments(taken), strict=True)):
        file_name = f"images/{position:06d}.png"
        staging.place(image.staged["png"], folder / file_name)
        rows.append(_row(image, salt) | moment | {"file_name": file_name, "split": split_of[position]})
    kept = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in (*COLUMNS, *conditions)]
    info = {"describe": options.describe or plan.map.describe or _describe(taken), "kept": kept, "split": split_info}
    write_tables(folder, rows, info | _account(plan, taken, refused, options, Mask(salt, everyone)))
    known = [(patient, pseudonym(salt, patient)) for patient in patients]
    origin = [(row["file_name"], readable(image.file), image.staged["frame"]) for row, image in zip(rows, taken, strict=True)]
    left_out = [(readable(refusal.file), refusal.reason, readable(refusal.sentence)) for refusal in refused]
    tables: dict[str, PrivateTable] = {
        "patients.csv": (("patient", "pseudonym"), known),
        "files.csv": (("file_name", "file", "frame"), origin),
        "rejected.csv": (("file", "reason", "sentence"), left_out),
    }
    write_private(options.out, salt, tables)
    staging.finish(options.out)


def counted(refused: Iterable[Refusal]) -> str:
    """`12 no row in the table, 1 truncated`."""
    counts = Counter(refusal.reason for refusal in refused)
    return ", ".join(f"{number} {reason}" for reason, number in counts.most_common()) or "no pictures were found"


def summary(info: dict[str, Any]) -> list[str]:
    """What an import did, in sentences, from cohort.json."""
    shares = ", ".join(f"{number} {name}" for name, number in info["splits"].items())
    people = f" of {info['patients']} patients" if info["patients"] else ""
    sentences = [f"Taken: {info['images']} images{people} ({shares})."]
    if info["rejected"]:
        reasons = ", ".join(f"{number} {reason}" for reason, number in info["rejected_by_reason"].items())
        sentences.append(f"Not taken: {len(info['rejected'])} ({reasons}); each is listed in cohort.json.")
    if info["table"]["rows_without_file"]:
        sentences.append(f"{info['table']['rows_without_file']} of {info['table']['rows']} rows of the table have no file here.")
    return (
        sentences
        + info["warnings"]
        + info["split"]["notes"]
        + [f"{number} images: {note}." for note, number in info["notes"].items()]
    )


def _warnings(taken: Sequence[Taken], window: str | None) -> list[str]:
    """What is odd about the intensities of all pictures together, in sentences."""
    told = []
    windows = Counter(tuple(image.staged["window"]) for image in taken if image.staged["unit"] == "HU")
    if window is None and len(windows) > 1:
        shown = ", ".join(f"{low:g} to {high:g} ({number})" for (low, high), number in windows.most_common(4))
        (low, high), _ = windows.most_common(1)[0]
        told.append(
            f"The {windows.total()} CT images have {len(windows)} different windows, their headers' or their own: {shown}"
            f"{', ...' if len(windows) > 4 else ''}. One grey means different densities; "
            f"import them with one, such as --window {low:g},{high:g}."
        )
    for full in (255.0, 65535.0):
        tops = [image.staged["extent"][1] for image in taken if _has_window(image, full)]
        if tops and 0 < max(tops) <= full / MUCH_UNUSED:
            share, wide = max(tops) / full, 2 ** int(max(tops)).bit_length() - 1
            told.append(
                f"{len(tops)} images use {share:.1%} of the range of their number format (values up to {max(tops):g} of "
                f"{full:g}) and are nearly black; import them with --window 0,{wide}."
            )
    return told


def _has_window(image: Taken, full: float) -> bool:
    """Whether a picture's window is that of a number format, which says nothing of what was measured."""
    return image.staged["kind"] == "raster" and tuple(image.staged["window"]) == (0.0, full)


def _row(image: Taken, salt: str) -> dict[str, Any]:
    """A row of metadata.csv without identity: the patient under a pseudonym, no date."""
    spacing = image.staged["spacing"] or (None, None)
    low, high = image.staged["window"]
    return {
        **{name: value for name, value in image.values.items() if name != "date"},
        "patient": pseudonym(salt, image.patient) if image.patient else None,
        "row_mm": spacing[0],
        "col_mm": spacing[1],
        "window_low": low,
        "window_high": high,
        "sha256": image.staged["sha256"],
    }


def _moments(taken: Sequence[Taken]) -> list[dict[str, Any]]:
    """Days since the patient's first date, and the visit's number in their order, where the table gives none."""
    first: dict[str, date] = {}
    for image in taken:
        if image.patient and image.day:
            first[image.patient] = min(image.day, first.get(image.patient, image.day))
    since = [(image.day - first[image.patient]).days if image.patient and image.day else None for image in taken]
    days = [image.values.get("days", computed) for image, computed in zip(taken, since, strict=True)]
    seen: dict[str, set[float]] = defaultdict(set)
    for image, day in zip(taken, days, strict=True):
        if image.patient and day is not None:
            seen[image.patient].add(day)
    order: dict[tuple[str | None, float | None], str] = {
        (patient, day): str(visit) for patient, all in seen.items() for visit, day in enumerate(sorted(all), start=1)
    }
    return [
        {"days": day, "visit": image.values.get("visit", order.get((image.patient, day)))}
        for image, day in zip(taken, days, strict=True)
    ]


def _split(
    staging: Staging, taken: Sequence[Taken], options: ImportOptions, conditions: Sequence[str]
) -> tuple[list[str], dict[str, Any]]:
    """The split of each image, and how it was made: by patient, or by what looks alike where patients are not known."""
    patients = [image.patient for image in taken]
    unnamed = patients.count(None)
    groups = [str(patient) for patient in patients] if not unnamed else _look_alike(staging, taken)
    group_name = "patients" if not unnamed else "groups of look-alike images"
    notes = []
    if unnamed:
        who = "No image has a patient id" if unnamed == len(taken) else f"{unnamed} of {len(taken)} images have no patient id"
        notes.append(
            f"{who}: the images form {len(set(groups))} groups of near-duplicates, which stay together; "
            "different pictures of one patient may still lie in two splits."
        )
    label = _label(taken, options.stratify, conditions)
    of = splits.assign(groups, _strata(taken, label) if label else None, options.split, options.seed)
    notes += splits.notes(of, groups, options.split, group_name)
    by = "patient" if not unnamed else "near-duplicate group"
    return of, {"by": by, "seed": options.seed, "shares": list(options.split), "stratified_by": label, "notes": notes}


def _look_alike(staging: Staging, taken: Sequence[Taken]) -> list[str]:
    from PIL import Image

    thumbnails = []
    for image in taken:
        with Image.open(staging.pixels(image.staged["png"])) as picture:
            thumbnails.append(duplicates.thumbnail(np.asarray(picture)))
    first: dict[str, int] = {}
    same = [(first.setdefault(image.patient, i), i) for i, image in enumerate(taken) if image.patient]
    return [str(group) for group in duplicates.groups(len(taken), [*duplicates.alike(np.stack(thumbnails)), *same])]


def _label(taken: Sequence[Taken], asked: str | None, conditions: Sequence[str]) -> str | None:
    """The attribute whose shares the splits keep: the one asked for, else the first category, the findings, or the sex."""
    known = {name for image in taken for name in image.values} - {"patient", "date", "days", "visit"}
    if asked is not None and asked not in known:
        raise unknown("attribute to stratify by", asked, known)
    categories = [name for name in conditions if any(isinstance(image.values.get(name), str) for image in taken)]
    return asked or next((name for name in (*categories, "findings", "sex") if name in known), None)


def _strata(taken: Sequence[Taken], label: str) -> list[str]:
    values = pd.Series([image.values.get(label) for image in taken], dtype=object)
    present = values.dropna()
    if len(present) and all(isinstance(value, (int, float)) for value in present):
        values = splits.bins(values.astype(float))
    return [str(value) for value in values]


def _describe(taken: Sequence[Taken]) -> str:
    modality = Counter(str(image.values.get("modality")) for image in taken).most_common(1)[0][0]
    return DESCRIBE.get(modality, "medical image")


def _account(
    plan: Plan, taken: Sequence[Taken], refused: Sequence[Refusal], options: ImportOptions, mask: Mask
) -> dict[str, Any]:
    """Where the pictures came from, what was done to them, and what was left out and why."""
    used = {image.row for image in taken} | (set(plan.links.row_of.values()) if plan.links else set())
    titles = list(plan.table.frame.columns) if plan.table else []
    named = {*plan.titles.values(), *plan.map.keep, *options.keep}
    return {
        "source": {
            "files": len(plan.files),
            "kinds": dict(Counter(image.staged["kind"] for image in taken)),
            "units": dict(Counter(image.staged["unit"] for image in taken)),
            "plane": plan.plane,
            "position": options.position or MIDDLE,
            "slab_mm": options.slab,
            "window": plan.window,
            "preset": options.preset,
            "map": describe_map(plan.map),
        },
        "pixels": "a PNG value v of b bits stands for window_low + v / (2^b - 1) * (window_high - window_low)",
        "table": {
            "rows": len(plan.table.frame) + len(plan.table.rejected) if plan.table else 0,
            "rows_without_file": len(set(plan.rows.values) - used),
            "rows_rejected": dict(Counter(error.reason for error in plan.rows.rejected.values())),
        },
        "deidentification": {
            "patients": "pseudonyms: HMAC-SHA256 under a secret salt; salt and mapping lie outside the cohort",
            "dates": "removed; days since the patient's first scan are kept",
            "header": ["age", "sex", "view", "modality", *plan.header_fields],
            "columns_left_out": [title for title in titles if title not in named],
            "file_names": "replaced by numbers; in `rejected`, patient ids, dates and unique identifiers are masked",
        },
        "rejected": [{"file": mask(readable(refusal.file)), "reason": refusal.reason} for refusal in refused],
        "rejected_by_reason": dict(Counter(refusal.reason for refusal in refused).most_common()),
        "warnings": _warnings(taken, plan.window),
        "notes": dict(Counter(note for image in taken for note in image.staged["notes"])),
    }
