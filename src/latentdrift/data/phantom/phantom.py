"""A parametric longitudinal phantom: brains and chests whose anatomy, ageing, illness and
counterfactuals are known exactly.

    image = brain(subject=7, attributes=BrainAttributes(age=82, sex="F", diagnosis="dementia"),
    visit=1)
    truth(7, BrainAttributes(82, "F", "dementia"), "brain")      # {"brain_fraction": 0.61, "ventricle_fraction": ...}

The subject's number is the seed of the anatomy, the attributes are what a disease or a year
changes, and the visit is the seed of the scanner (bias, gain, noise). With `noise=0` and the same
visit, two pictures of a subject differ by the change of attributes and by nothing else. Sex is part
of the anatomy: the same number with the other sex is another person of similar shape.

Pictures are float32 [size, size] in [0, 1], upright, with the patient's left on the image's right.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.data.phantom import phantom_brain, phantom_chest
from latentdrift.data.phantom.phantom_brain import DIAGNOSES, BrainAttributes
from latentdrift.data.phantom.phantom_chest import FINDINGS, ChestAttributes
from latentdrift.data.phantom.phantom_scanner import generator
from latentdrift.errors import InputError, OptionError, unknown
from latentdrift.seeds import derive
from latentdrift.storage import write_text

__all__ = [
    "DIAGNOSES",
    "FINDINGS",
    "KINDS",
    "BrainAttributes",
    "ChestAttributes",
    "brain",
    "chest",
    "cohort_table",
    "labels",
    "truth",
    "write_phantom",
]

brain = phantom_brain.render
chest = phantom_chest.render

TABLE = "table.csv"
NO_FINDING = "No Finding"  # as ChestX-ray14 writes it; an empty cell would mean that nobody looked
Row = dict[str, Any]


def brain_history(rng: np.random.Generator, visits: int) -> list[Row]:
    """A participant of 60 to 90, half of them with dementia, seen about every two years (as in
    OASIS-2)."""
    ill = bool(rng.random() < 0.5)
    age = float(rng.uniform(60.0, 88.0))
    sex = str(rng.choice(["M", "F"]))
    days = np.concatenate([[0], np.cumsum(rng.integers(400, 1000, visits - 1))])
    return [
        {
            "days": int(day),
            "age": round(age + int(day) / 365.25, 1),
            "sex": sex,
            "diagnosis": DIAGNOSES[ill],
        }
        for day in days
    ]


def chest_history(rng: np.random.Generator, visits: int) -> list[Row]:
    """An adult seen every few months; half of the visits show something, effusions come and go, an
    enlarged heart stays."""
    age = float(rng.uniform(20.0, 88.0))
    sex = str(rng.choice(["M", "F"]))
    large, spot = rng.random(2) < (0.22, 0.18)
    days = np.concatenate([[0], np.cumsum(rng.integers(20, 500, visits - 1))])
    rows = []
    for day in days:
        present = {
            "effusion": bool(rng.random() < 0.24),
            "cardiomegaly": bool(large),
            "nodule": bool(spot),
        }
        findings = tuple(name for name in FINDINGS if present[name])
        rows.append(
            {
                "days": int(day),
                "age": round(age + int(day) / 365.25, 1),
                "sex": sex,
                "findings": findings,
            }
        )
    return rows


def save_nifti(path: Path, image: np.ndarray) -> None:
    """A one-slice NIfTI [H, W, 1]: rows run from front to back, columns from the patient's right to
    left, in RAS+ mm."""
    import nibabel

    height, width = image.shape
    step = phantom_brain.VIEW / width
    affine = np.zeros((4, 4))
    affine[0, 1], affine[1, 0], affine[2, 2], affine[3, 3] = -step, -step, step, 1.0
    affine[:2, 3] = 0.5 * step * (width - 1), 0.5 * step * (height - 1)
    stored = nibabel.Nifti1Image(np.round(image[..., None] * 4095).astype(np.int16), affine)
    stored.header["descrip"] = b"synthetic: latentdrift phantom"
    stored.header["cal_min"], stored.header["cal_max"] = 0, 4095
    stored.header.set_xyzt_units("mm")
    nibabel.save(stored, path)


def save_png(path: Path, image: np.ndarray) -> None:
    """A 16-bit grey PNG; its text says that the picture is synthetic."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Synthetic", "latentdrift phantom")
    Image.fromarray(np.round(image * 65535).astype(np.uint16)).save(path, pnginfo=text)


@dataclass(frozen=True)
class Kind:
    """One kind of phantom: how it is drawn, measured, labelled, followed over years, and stored."""

    attributes: Callable[[Row], Any]
    render: Callable[..., np.ndarray]
    truth: Callable[[int, Any], dict[str, float]]
    labels: Callable[[int, Any, int], np.ndarray]
    tissues: dict[str, int]  # names of the label map
    history: Callable[[np.random.Generator, int], list[Row]]
    column: str  # the attribute of its own
    describe: str  # what the pictures show
    modality: str
    suffix: str
    save: Callable[[Path, np.ndarray], None]

    def map(self) -> str:
        """The map file from the columns of `table.csv` to a cohort's."""
        own = (
            f"{{column: {self.column.capitalize()}, none: {NO_FINDING}}}"
            if self.column == "findings"
            else self.column.capitalize()
        )
        lines = {
            "describe": self.describe,
            "file": "File",
            "patient": "Patient",
            "visit": "Visit",
            "days": "Days",
            "age": "Age",
            "sex": "Sex",
            self.column: own,
            "modality": f"{{value: {self.modality}}}",
        }
        return "".join(f"{ours}: {theirs}\n" for ours, theirs in lines.items())


KINDS: dict[str, Kind] = {
    "brain": Kind(
        lambda row: BrainAttributes(row["age"], row["sex"], row["diagnosis"]),
        brain,
        phantom_brain.truth,
        phantom_brain.labels,
        phantom_brain.TISSUES,
        brain_history,
        "diagnosis",
        "brain MRI",
        "MR",
        ".nii.gz",
        save_nifti,
    ),
    "chest": Kind(
        lambda row: ChestAttributes(row["age"], row["sex"], row["findings"]),
        chest,
        phantom_chest.truth,
        phantom_chest.labels,
        phantom_chest.TISSUES,
        chest_history,
        "findings",
        "chest X-ray",
        "DX",
        ".png",
        save_png,
    ),
}


def of(kind: str) -> Kind:
    """The row of `KINDS`."""
    if kind not in KINDS:
        raise unknown("phantom", kind, KINDS)
    return KINDS[kind]


def truth(
    subject: int, attributes: BrainAttributes | ChestAttributes, kind: str
) -> dict[str, float]:
    """What can be measured on the subject's tissue maps, free of any scanner.

    brain: `brain_fraction`, `ventricle_fraction`, `lesion_fraction` of the intracranial area.
    chest: `cardiothoracic_ratio`, `effusion_height` (mm), `nodule_area` (mm^2).
    """
    return of(kind).truth(subject, attributes)


def labels(
    subject: int, attributes: BrainAttributes | ChestAttributes, kind: str, *, size: int = 128
) -> np.ndarray:
    """The label map [size, size] uint8; the names of its numbers are `KINDS[kind].tissues`."""
    return of(kind).labels(subject, attributes, size)


def cohort_table(kind: str, patients: int, visits: int, seed: int) -> list[Row]:
    """Plausible rows of a longitudinal study: patient, subject, visit, days, age (years), sex,
    diagnosis or findings."""
    if patients < 1 or visits < 1:
        raise OptionError(
            f"a phantom cohort of {patients} patients with {visits} visits is empty; give at least "
            "1 of each"
        )
    rows = []
    for index in range(1, patients + 1):
        person = {"patient": f"P{index:04d}", "subject": derive(seed, "patient", index) % 2**31}
        history = of(kind).history(generator(seed, kind, "history", index), visits)
        rows += [{**person, "visit": visit, **row} for visit, row in enumerate(history, 1)]
    return rows


def write_phantom(
    out: Path, *, kind: str, patients: int, visits: int, size: int = 128, seed: int = 0
) -> Path:
    """A raw folder as a user has it: `scans/<patient>_<visit>` (NIfTI or 16-bit PNG), `table.csv`
    and the `map.yaml` for it.

    Raises:
        InputError: `out` holds something else than this phantom, finished or stopped.
    """
    spec = of(kind)
    rows = cohort_table(kind, patients, visits, seed)
    table = _table(spec, rows)
    _check_free(out, table)
    (out / "scans").mkdir(parents=True, exist_ok=True)
    write_text(out / TABLE, table)  # first: by it, the same command knows the folder again
    write_text(out / "map.yaml", spec.map())
    for row in rows:
        image = spec.render(row["subject"], spec.attributes(row), visit=row["visit"], size=size)
        spec.save(out / _file(spec, row), image)
    return out


def _file(spec: Kind, row: Row) -> str:
    return f"scans/{row['patient']}_{row['visit']}{spec.suffix}"


def _table(spec: Kind, rows: list[Row]) -> str:
    """The text of `table.csv`."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["Patient", "Visit", "Days", "Age", "Sex", spec.column.capitalize(), "File"])
    for row in rows:
        own = row[spec.column]
        shown = own if isinstance(own, str) else "|".join(own) or NO_FINDING
        table.writerow(
            [
                row["patient"],
                row["visit"],
                row["days"],
                row["age"],
                row["sex"],
                shown,
                _file(spec, row),
            ]
        )
    return text.getvalue()


def _check_free(out: Path, table: str) -> None:
    """See that a folder is new, empty, or of the same phantom, so that no scans and no table of
    others are lost.

    Raises:
        InputError: It is none of these.
    """
    if not out.is_dir():
        return
    there = out / TABLE
    same = there.is_file() and there.read_text(encoding="utf-8", errors="replace") == table
    if not same and any(not path.name.startswith(".") for path in out.iterdir()):
        raise InputError(
            f"{out} is not empty and holds no phantom of these options; give an empty or new "
            "folder as `out`"
        )
