"""One frozen model per verb: the only place where a default lives.

The command line, the YAML form (`--config`), the docs table and the record of a run are all derived from these classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Split = Literal["train", "validation", "test"]


class Options(BaseModel):
    """What a verb was asked to do; unknown names are refused, nothing changes after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ImportOptions(Options):
    """Read scans and a table into a cohort: pixels, attributes, patient-wise splits, nothing that identifies anyone."""

    source: Path
    """Folder (or file) with PNG, JPEG, TIFF, DICOM or NIfTI images."""
    out: Path
    """The cohort folder to make; it appears whole or not at all."""
    table: Path | None = None
    """CSV, TSV or Excel table with one row per image, visit or patient."""
    map: Path | None = None
    """YAML file from the table's columns to ours."""
    preset: str | None = None
    """A known public data set or layout: oasis2, nih-chestxray14, imagefolder."""
    describe: str | None = None
    """What the pictures show, as it should stand in a prompt, e.g. "brain MRI"."""
    keep: tuple[str, ...] = ()
    """Header fields or table columns to keep by name, beyond the allow-list."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice taken from a 3-D volume."""
    position: Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?(%|mm)?$")] = "50%"
    """Where the slice lies in the volume: percent of its extent, millimetres in RAS, or a voxel index."""
    slab: Annotated[float, Field(ge=0)] = 0.0
    """Thickness in mm over which slices are averaged; 0 takes one slice."""
    window: str | None = None
    """Intensities kept: `voi` (the header's), `full`, `LOW,HIGH`, or percentiles `p1,p99`; default: the header's, else full."""
    split: tuple[Fraction, Fraction, Fraction] = (0.70, 0.15, 0.15)
    """Shares of patients in train, validation and test."""
    stratify: str | None = None
    """Attribute whose shares the splits keep where they can; default: the first category."""
    seed: int = 0
    """Seed of the split."""
    salt: str | None = None
    """Secret for the patients' pseudonyms; default: a fresh random one, stored beside the mapping."""
    workers: Count = 2
    """Images read at a time."""


class InspectOptions(Options):
    """Look at a cohort before training: counts, ages, visits, intensities, leaks between splits."""

    cohort: Path
    """A cohort folder."""
    out: Path | None = None
    """Folder for `inspect.html` and `inspect.json`; default: `<cohort>-inspect`."""


class FitOptions(Options):
    """Adapt a base model to a cohort."""

    cohort: Path
    """A cohort folder."""
    out: Path
    """The run folder; its `adapter/` is the result. The same command again continues an interrupted run."""
    base: str = "pocket"
    """A named base, a local diffusers folder, or a hub id."""
    method: str = "lora"
    """A row of METHODS: full, lora, textual-inversion."""
    drift: str = "auto"
    """`none`, one value (`0.1`), one in sds of a latent mean (`6.4sd`), one per channel (`a,b,c,d`), or `auto`."""
    drift_mode: Literal["infer", "train", "both"] | None = None
    """Where drift acts; default: infer for auto, both for a given value."""
    steps: Count = 400
    """Optimiser steps."""
    batch_size: Count = 8
    """Images per step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: the method's own (see docs/methods.md)."""
    rank: Count = 8
    """Rank of the LoRA matrices."""
    vectors: Annotated[int, Field(ge=1, le=64)] = 8
    """Vectors learned per token in textual inversion."""
    token: Annotated[str, Field(pattern=r"^<[^<>\s]+>$")] = "<cohort>"
    """The new word that textual inversion learns."""
    prompt_style: Literal["simple", "diverse"] = "simple"
    """One sentence for all, or one of many wordings per image."""
    patient_info: bool = True
    """Put age, sex and findings into the sentence."""
    caption_dropout: Fraction = 0.1
    """Share of steps with the empty prompt, which guidance needs."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the base's own."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    checkpoint_every: Count = 100
    """Steps between checkpoints."""
    preview_every: Annotated[int, Field(ge=0)] = 200
    """Steps between preview pictures; 0 for none."""
    seed: int = 0
    """Seed of everything random in the run."""


class GenerateOptions(Options):
    """Make synthetic images."""

    adapter: str
    """An adapter or run folder, or a base (a name, folder or hub id) to sample it as it is."""
    out: Path
    """The folder to make: a cohort, so it can be evaluated, imported and trained on."""
    prompt: tuple[str, ...] = ()
    """Prompts; image i follows prompt i modulo their number."""
    like: Path | None = None
    """A cohort whose attribute table the images follow."""
    split: Split | None = None
    """With `--like`: only the rows of this split."""
    n: Count = 16
    """Number of images."""
    steps: Count = 50
    """Sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight; 1 is none."""
    sampler: str = "ddim"
    """A row of SAMPLERS."""
    drift: str | None = None
    """Drift of the start; default: what the adapter stores."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the adapter's own."""
    batch_size: Count = 4
    """Images drawn together, in fours; it takes memory and never changes a picture."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Image i of a seed is the same picture whatever else is drawn beside it."""


class EditOptions(Options):
    """Change one thing about a patient's image, and nothing else."""

    adapter: str
    """An adapter or run folder, or a base."""
    source: Path
    """An image (PNG, DICOM, NIfTI) or a cohort."""
    out: Path
    """The folder to make, one sub-folder per image."""
    set: tuple[str, ...] = ()
    """Attributes of the counterfactual, `name=value`; may be repeated."""
    add: tuple[str, ...] = ()
    """Findings that the counterfactual has and the source has not; may be repeated."""
    remove: tuple[str, ...] = ()
    """Findings that the counterfactual has no longer; may be repeated."""
    given: tuple[str, ...] = ()
    """Attributes of the source image where no table says them, `name=value`; may be repeated."""
    editor: str = "ddim"
    """A row of EDITORS."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.6
    """How far back towards noise the edit goes."""
    steps: Count = 50
    """Steps of the full trajectory."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Guidance weight of the changed prompt; 1 is none."""
    split: Split | None = None
    """Of a cohort: only this split."""
    limit: Count | None = None
    """Of a cohort: at most this many images."""
    plane: Literal["axial", "coronal", "sagittal"] | None = None
    """Plane of the slice, where the source is a 3-D volume."""
    position: str = "50%"
    """Position of the slice, where the source is a 3-D volume."""
    window: str | None = None
    """Intensity range that maps to [-1, 1]; default: the header's, else that of the cohort the adapter saw."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of the editor's noise."""


class EvaluateOptions(Options):
    """Judge synthetic images against real ones: fidelity, coverage, copies; each number with its interval and floor."""

    real: Path
    """A cohort of real images."""
    synthetic: Path
    """A folder that `generate` made, or any cohort or folder of images."""
    out: Path
    """Folder for `report.json` and `report.html`."""
    features: tuple[str, ...] = ("pocket",)
    """Rows of FEATURES, optionally `name=PATH` for local weights, or a Hugging Face vision model's folder or id."""
    split: Split | None = "test"
    """Which real images are the reference; the train split is where copies are looked for."""
    edits: Path | None = None
    """A folder that `edit` made, shown and scored in the report."""
    bootstrap: Annotated[int, Field(ge=10)] = 200
    """Resamples of patients behind each interval."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of subsets and resamples."""


class PhantomOptions(Options):
    """Write a folder of phantom scans with their table: a data set whose true counterfactuals are known."""

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


class ReplayOptions(Options):
    """Run a record again and compare what comes out."""

    record: Path
    """The `record.json` of an earlier run."""
    out: Path
    """Where the repeated output goes."""


class DemoOptions(Options):
    """The whole job on the embedded base and a phantom cohort, in a few minutes."""

    out: Path = Path("demo")
    """Folder for everything the demo makes."""
    seed: int = 0
    """Seed of the demo."""
