"""Options of the verbs that make and inspect cohorts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentdrift.config.base import Count, Fraction, Options, Position

# hides ABCMeta.register, which nobody calls on options
warnings.filterwarnings("ignore", 'Field name "register" in "ImportOptions"', UserWarning)


class ImportOptions(Options):
    """Read scans and a table into a cohort: pixels, attributes and splits by patient, without
    identifiers."""

    source: Path
    """Folder or file with PNG, JPEG, TIFF, DICOM or NIfTI images."""
    out: Path
    """Cohort folder to make. It appears whole or not at all."""
    table: Path | None = None
    """CSV, TSV or Excel table with one row per image, visit or patient."""
    sheet: str | None = None
    """Sheet of the Excel table; default: the first that is not empty."""
    map: Path | None = None
    """YAML file that maps the table's columns to those of a cohort."""
    preset: str | None = None
    """Public data set or layout: `oasis2`, `nih-chestxray14`, `imagefolder`."""
    describe: str | None = None
    """Description of the images in prompts, for instance "brain MRI"."""
    keep: tuple[str, ...] = ()
    """Names of header fields or table columns to keep beyond the allow-list."""
    follow_links: bool = False
    """Follow symbolic links that lead out of the source folder. Otherwise their targets are left
    out and listed."""
    include: tuple[Literal["localizer", "screen-save", "segmentation"], ...] = ()
    """Kinds of DICOM objects to include although they are no scans."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice from a 3-D volume. Of DICOM slices, only those in this plane are
    imported."""
    position: Position | None = None
    """Position of the slice in the volume, in percent of its extent, millimetres in RAS, or a voxel
    index; default: 50%. If given, one slice of each DICOM series is imported, too."""
    slab: Annotated[float, Field(ge=0)] = 0.0
    """Thickness in mm over which slices are averaged; 0: one slice."""
    window: str | None = None
    """Intensity range: `voi` (the header's), `full`, `LOW,HIGH`, or percentiles `p1,p99`; default:
    the header's, else full."""
    split: tuple[Fraction, Fraction, Fraction] = (0.70, 0.15, 0.15)
    """Shares of patients in train, validation and test, 0 to 1 each."""
    stratify: str | None = None
    """Attribute whose proportions the splits preserve where they can; default: the first
    category."""
    seed: int = 0
    """Seed of the split."""
    salt: str | None = None
    """Secret of the patients' pseudonyms; default: a random one, stored beside the mapping."""
    register: Literal["rigid", "similarity", "affine"] | None = None
    """Register later visits of a patient onto the first one, so that they differ in anatomy and not
    in position. `similarity` also scales, `affine` stretches; take `rigid` where the size of the
    pixels is known. The images before it stay in `unregistered/`."""
    workers: Count = 2
    """Number of images read at a time."""


class InspectOptions(Options):
    """Inspect a cohort before training: counts, ages, visits, intensities, leaks between splits."""

    cohort: Path
    """Cohort folder."""
    out: Path | None = None
    """Folder of `inspect.html` and `inspect.json`; default: `<cohort>-inspect`."""

    @property
    def folder(self) -> Path:
        """The value of `out`, or its default beside the cohort."""
        return self.out or self.cohort.with_name(f"{self.cohort.name}-inspect")


class PhantomOptions(Options):
    """Write a folder of phantom scans with their table: a data set with known counterfactuals."""

    out: Path
    """Folder to make."""
    kind: Literal["brain", "chest"] = "brain"
    """Longitudinal brain MRI (NIfTI) or frontal chest X-ray (16-bit PNG)."""
    patients: Count = 60
    """Number of patients."""
    visits: Count = 2
    """Visits per patient."""
    size: Annotated[int, Field(ge=64)] = 128
    """Resolution in pixels on a side, at least 64."""
    seed: int = 0
    """Seed of the anatomy."""
