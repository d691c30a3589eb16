"""Options of the verbs that make cohorts and look at them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentdrift.config.base import Count, Fraction, Options


class ImportOptions(Options):
    """Read scans and a table into a cohort: pixels, attributes, patient-wise splits, nothing that
    identifies anyone."""

    source: Path
    """Folder (or file) with PNG, JPEG, TIFF, DICOM or NIfTI images."""
    out: Path
    """The cohort folder to make; it appears whole or not at all."""
    table: Path | None = None
    """CSV, TSV or Excel table with one row per image, visit or patient."""
    sheet: str | None = None
    """Sheet of the Excel table; default: the first that is not empty."""
    map: Path | None = None
    """YAML file from the table's columns to ours."""
    preset: str | None = None
    """A known public data set or layout: oasis2, nih-chestxray14, imagefolder."""
    describe: str | None = None
    """What the pictures show, as it should stand in a prompt, e.g. "brain MRI"."""
    keep: tuple[str, ...] = ()
    """Header fields or table columns to keep by name, beyond the allow-list."""
    follow_links: bool = False
    """Follow symbolic links that lead out of the source folder; else what they lead to is left out,
    and listed."""
    include: tuple[Literal["localizer", "screen-save", "segmentation"], ...] = ()
    """DICOM objects that are otherwise left out, because they are no scans."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice taken from a 3-D volume; of DICOM slices, those in this plane are
    taken."""
    position: Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?(%|mm)?$")] | None = None
    """Where the slice lies in the volume: percent of its extent, millimetres in RAS, or a voxel
    index; default: 50%. If given, it also holds for DICOM series: one slice of each is taken."""
    slab: Annotated[float, Field(ge=0)] = 0.0
    """Thickness in mm over which slices are averaged; 0 takes one slice."""
    window: str | None = None
    """Intensities kept: `voi` (the header's), `full`, `LOW,HIGH`, or percentiles `p1,p99`; default:
    the header's, else full."""
    split: tuple[Fraction, Fraction, Fraction] = (0.70, 0.15, 0.15)
    """Shares of patients in train, validation and test."""
    stratify: str | None = None
    """Attribute whose shares the splits keep where they can; default: the first category."""
    seed: int = 0
    """Seed of the split."""
    salt: str | None = None
    """Secret for the patients' pseudonyms; default: a fresh random one, stored beside the
    mapping."""
    workers: Count = 2
    """Images read at a time."""


class InspectOptions(Options):
    """Look at a cohort before training: counts, ages, visits, intensities, leaks between splits."""

    cohort: Path
    """A cohort folder."""
    out: Path | None = None
    """Folder for `inspect.html` and `inspect.json`; default: `<cohort>-inspect`."""


class PhantomOptions(Options):
    """Write a folder of phantom scans with their table: a data set whose true counterfactuals are
    known."""

    out: Path
    """The folder to make."""
    kind: Literal["brain", "chest"] = "brain"
    """Longitudinal brain MRI (NIfTI) or frontal chest X-ray (16-bit PNG)."""
    patients: Count = 60
    """Number of patients."""
    visits: Count = 2
    """Visits per patient."""
    size: Annotated[int, Field(ge=64)] = 128
    """Pixels on a side."""
    seed: int = 0
    """Seed of the anatomy."""
