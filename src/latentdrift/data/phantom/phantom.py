"""A parametric longitudinal phantom: brains and chests whose anatomy, ageing, illness and
counterfactuals are known exactly.

    attributes = BrainAttributes(age=82, sex="F", diagnosis="dementia")
    image = brain(subject=7, attributes=attributes, visit=1)
    truth(7, attributes, "brain")  # {"brain_fraction": 0.61, "ventricle_fraction": ...}

The subject's number is the seed of the anatomy. The attributes change with age and disease. The
visit is the seed of the scanner (bias, gain, noise). With `noise=0` and the same visit, two
pictures of a subject differ by the change of attributes and by nothing else. Sex is part of the
anatomy: the same number with the other sex is another person of similar shape.

Pictures are float32 [size, size] in [0, 1], upright, with the patient's left on the image's right.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from latentdrift.attributes.ages import DAYS_PER_YEAR
from latentdrift.attributes.specification import Cell
from latentdrift.data.phantom import phantom_brain, phantom_chest, phantom_cortex
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
    "PhantomAttributes",
    "PhantomRow",
    "brain",
    "chest",
    "cohort_table",
    "labels",
    "table_cells",
    "truth",
    "write_phantom",
]

brain = phantom_brain.render
chest = phantom_chest.render

TABLE = "table.csv"
NO_FINDING = "No Finding"
"""Word of ChestX-ray14 for no finding. An empty cell would mean that nobody looked."""
SEXES: tuple[Literal["M", "F"], Literal["M", "F"]] = ("M", "F")
PhantomAttributes = BrainAttributes | ChestAttributes


@dataclass(frozen=True)
class Visit:
    """One visit of a phantom patient."""

    days: int
    """Days since the first visit."""
    attributes: PhantomAttributes


@dataclass(frozen=True)
class PhantomRow:
    """Row of a phantom study: one visit of one patient."""

    patient: str
    subject: int
    """Seed of the anatomy."""
    visit: int
    """Number of the visit, from 1; seed of the scanner."""
    days: int
    """Days since the first visit."""
    attributes: PhantomAttributes


def table_cells(attributes: PhantomAttributes) -> dict[str, Cell]:
    """Attributes of a phantom as cells of a table, by column name."""
    own: dict[str, Cell] = (
        {"diagnosis": attributes.diagnosis}
        if isinstance(attributes, BrainAttributes)
        else {"findings": "|".join(attributes.findings) or NO_FINDING}
    )
    return {"age": attributes.age, "sex": attributes.sex, **own}


def brain_history(rng: np.random.Generator, visits: int) -> list[Visit]:
    """Visits of a participant of 60 to 90 years, about every two years, as in OASIS-2.

    Half of all participants have dementia.

    Args:
        rng: Generator of the participant.
        visits: Number of visits.
    """
    is_ill = bool(rng.random() < 0.5)
    age = float(rng.uniform(60.0, 88.0))
    sex = SEXES[rng.choice(2)]
    days = np.concatenate([[0], np.cumsum(rng.integers(400, 1000, visits - 1))])
    return [
        Visit(int(day), BrainAttributes(_age_at(age, int(day)), sex, DIAGNOSES[is_ill]))
        for day in days
    ]


def chest_history(rng: np.random.Generator, visits: int) -> list[Visit]:
    """Visits of an adult, every few months.

    Half of the visits have findings. Effusions come and go; an enlarged heart stays.

    Args:
        rng: Generator of the patient.
        visits: Number of visits.
    """
    age = float(rng.uniform(20.0, 88.0))
    sex = SEXES[rng.choice(2)]
    has_cardiomegaly, has_nodule = rng.random(2) < (0.22, 0.18)
    days = np.concatenate([[0], np.cumsum(rng.integers(20, 500, visits - 1))])
    history = []
    for day in days:
        present = {
            "effusion": bool(rng.random() < 0.24),
            "cardiomegaly": bool(has_cardiomegaly),
            "nodule": bool(has_nodule),
        }
        findings = tuple(name for name in FINDINGS if present[name])
        history.append(Visit(int(day), ChestAttributes(_age_at(age, int(day)), sex, findings)))
    return history


def _age_at(age: float, days: int) -> float:
    """Age in years so many days after the first visit, to one decimal as in a table."""
    return round(age + days / DAYS_PER_YEAR, 1)


def save_nifti(path: Path, image: np.ndarray) -> None:
    """Write a NIfTI of one slice [H, W, 1], in RAS+ mm.

    Rows run from front to back, and columns from the patient's right to left.

    Args:
        path: File to write.
        image: [H, W].
    """
    import nibabel

    height, width = image.shape
    step = phantom_cortex.VIEW / width  # mm
    right = 0.5 * step * (width - 1)
    front = 0.5 * step * (height - 1)
    affine = np.array([[0, -step, 0, right], [-step, 0, 0, front], [0, 0, step, 0], [0, 0, 0, 1.0]])
    stored = nibabel.Nifti1Image(np.round(image[..., None] * 4095).astype(np.int16), affine)
    stored.header["descrip"] = b"synthetic: latentdrift phantom"
    stored.header["cal_min"] = 0
    stored.header["cal_max"] = 4095
    stored.header.set_xyzt_units("mm")
    nibabel.save(stored, path)


def save_png(path: Path, image: np.ndarray) -> None:
    """Write a 16-bit grey PNG that is labelled as synthetic.

    Args:
        path: File to write.
        image: [H, W] in [0, 1].
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Synthetic", "latentdrift phantom")
    Image.fromarray(np.round(image * 65535).astype(np.uint16)).save(path, pnginfo=text)


@dataclass(frozen=True)
class Kind:
    """One kind of phantom."""

    render: Callable[..., np.ndarray]
    """Draws a picture."""
    truth: Callable[[int, Any], dict[str, float]]
    """Measures a subject."""
    labels: Callable[[int, Any, int], np.ndarray]
    """Draws the label map."""
    tissues: dict[str, int]
    """Names of the numbers in the label map."""
    history: Callable[[np.random.Generator, int], list[Visit]]
    """Draws the visits of a subject."""
    column: str
    """Name of the attribute that only this kind has."""
    describe: str
    """Content of the pictures, for prompts."""
    modality: str
    """DICOM modality (PS3.3 C.7.3.1.1.1)."""
    suffix: str
    """Suffix of the files."""
    save: Callable[[Path, np.ndarray], None]
    """Writes a picture to a file."""

    def map(self) -> str:
        """Text of the map file, from the columns of `table.csv` to those of a cohort."""
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
        render=brain,
        truth=phantom_brain.truth,
        labels=phantom_brain.labels,
        tissues=phantom_brain.TISSUES,
        history=brain_history,
        column="diagnosis",
        describe="brain MRI",
        modality="MR",
        suffix=".nii.gz",
        save=save_nifti,
    ),
    "chest": Kind(
        render=chest,
        truth=phantom_chest.truth,
        labels=phantom_chest.labels,
        tissues=phantom_chest.TISSUES,
        history=chest_history,
        column="findings",
        describe="chest X-ray",
        modality="DX",
        suffix=".png",
        save=save_png,
    ),
}


def kind_of(kind: str) -> Kind:
    """Row of KINDS.

    Raises:
        OptionError: The kind is unknown.
    """
    if kind not in KINDS:
        raise unknown("phantom", kind, KINDS)
    return KINDS[kind]


def truth(subject: int, attributes: PhantomAttributes, kind: str) -> dict[str, float]:
    """Measurements of a subject, free of any scanner.

    Args:
        subject: Seed of the anatomy.
        attributes: Age, sex, and diagnosis or findings.
        kind: A row of KINDS.

    Returns:
        brain: `brain_fraction`, `ventricle_fraction`, `lesion_fraction` of the intracranial area.
        chest: `cardiothoracic_ratio`, `effusion_height` (mm), `nodule_area` (mm^2).

    Raises:
        OptionError: The kind is unknown.
    """
    return kind_of(kind).truth(subject, attributes)


def labels(
    subject: int, attributes: PhantomAttributes, kind: str, *, size: int = 128
) -> np.ndarray:
    """Label map of a subject.

    Args:
        subject: Seed of the anatomy.
        attributes: Age, sex, and diagnosis or findings.
        kind: A row of KINDS.
        size: Pixels on a side.

    Returns:
        [size, size] uint8. `KINDS[kind].tissues` has the names of the numbers.

    Raises:
        OptionError: The kind is unknown.
    """
    return kind_of(kind).labels(subject, attributes, size)


def cohort_table(kind: str, patients: int, visits: int, seed: int) -> list[PhantomRow]:
    """Plausible rows of a longitudinal study.

    Args:
        kind: A row of KINDS.
        patients: Number of patients, at least 1.
        visits: Visits of each patient, at least 1.
        seed: Seed of the study.

    Raises:
        OptionError: The study is empty, or the kind is unknown.
    """
    if patients < 1 or visits < 1:
        raise OptionError(
            f"a phantom cohort of {patients} patients with {visits} visits is empty; give at least "
            "1 of each"
        )
    rows = []
    for index in range(1, patients + 1):
        subject = derive(seed, "patient", index) % 2**31
        history = kind_of(kind).history(generator(seed, kind, "history", index), visits)
        rows += [
            PhantomRow(f"P{index:04d}", subject, number, visit.days, visit.attributes)
            for number, visit in enumerate(history, 1)
        ]
    return rows


def write_phantom(
    out: Path, *, kind: str, patients: int, visits: int, size: int = 128, seed: int = 0
) -> Path:
    """Write a raw folder as a hospital hands it over, with `table.csv` and the `map.yaml` for it.

    Args:
        out: The folder.
        kind: A row of KINDS.
        patients: Number of patients, at least 1.
        visits: Visits of each patient, at least 1.
        size: Pixels on a side.
        seed: Seed of the study.

    Returns:
        The folder. `scans/<patient>_<visit>` are NIfTI or 16-bit PNG files.

    Raises:
        OptionError: The study is empty, or the kind is unknown.
        InputError: `out` holds something else than this phantom, finished or stopped.
    """
    check_free(out, kind=kind, patients=patients, visits=visits, seed=seed)
    spec = kind_of(kind)
    rows = cohort_table(kind, patients, visits, seed)
    table = _table(spec, rows)
    (out / "scans").mkdir(parents=True, exist_ok=True)
    write_text(out / TABLE, table)  # first: by it, the same command knows the folder again
    write_text(out / "map.yaml", spec.map())
    for row in rows:
        image = spec.render(row.subject, row.attributes, visit=row.visit, size=size)
        spec.save(out / _file(spec, row), image)
    return out


def _file(spec: Kind, row: PhantomRow) -> str:
    """Path of a row's picture below the folder."""
    return f"scans/{row.patient}_{row.visit}{spec.suffix}"


def _table(spec: Kind, rows: list[PhantomRow]) -> str:
    """The text of `table.csv`."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["Patient", "Visit", "Days", "Age", "Sex", spec.column.capitalize(), "File"])
    for row in rows:
        own = table_cells(row.attributes).values()
        table.writerow([row.patient, row.visit, row.days, *own, _file(spec, row)])
    return text.getvalue()


def check_free(out: Path, *, kind: str, patients: int, visits: int, seed: int) -> None:
    """Check that a folder is new, empty, or of the same phantom, so that no scans and no table of
    others are lost.

    Args:
        out: The folder.
        kind: A row of KINDS.
        patients: Number of patients, at least 1.
        visits: Visits of each patient, at least 1.
        seed: Seed of the study.

    Raises:
        OptionError: The study is empty, or the kind is unknown.
        InputError: The folder is none of these.
    """
    table = _table(kind_of(kind), cohort_table(kind, patients, visits, seed))
    if out.is_file():
        raise InputError(f"{out} is a file; give an empty or new folder as `out`")
    if not out.is_dir():
        return
    there = out / TABLE
    same = there.is_file() and there.read_text(encoding="utf-8", errors="replace") == table
    if not same and any(not path.name.startswith(".") for path in out.iterdir()):
        raise InputError(
            f"{out} is not empty and holds no phantom of these options; give an empty or new "
            "folder as `out`"
        )
