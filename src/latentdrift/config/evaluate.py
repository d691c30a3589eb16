"""Options of the verbs that evaluate images and adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentdrift.config.base import Count, Options, Split, WorkerOptions


class EvaluateOptions(WorkerOptions):
    """Evaluate synthetic images against real ones: fidelity, coverage, copies. Each number has a
    confidence interval and a baseline of real against real."""

    real: Path
    """Cohort of real images."""
    synthetic: Path
    """Folder that `generate` made, or any cohort or folder of images."""
    out: Path
    """Folder of `report.json` and `report.html`."""
    features: tuple[str, ...] = ("pocket",)
    """Feature spaces: names, `name=PATH` for local weights, or the folder or id of a Hugging Face
    vision model."""
    split: Split | None = "test"
    """Split of the real images that are the reference. Copies are searched in the train split."""
    by: str | None = None
    """Attribute of both sets. Every distance is also given for each of its values: each finding, or
    decades of age."""
    compare: tuple[Path, ...] = ()
    """Further synthetic sets, evaluated against the same real images and shown side by side."""
    cache: Path | None = None
    """Folder with the cache of features, which are as private as the images; default: the folder
    "cache" in `out`."""
    edits: Path | None = None
    """Folder that `edit` made, to evaluate and show in the report."""
    utility: str | None = None
    """Class such as `findings=Effusion`, which classifiers learn from the first synthetic set, from
    real images, and from both. Or `mask=COLUMN`, masks that segmenters learn in the same way."""
    alignment: bool = False
    """Measure whether the first synthetic set shows the attributes in its table, by classifiers
    that are trained on real images."""
    scorer: str = "judges"
    """With `alignment`: scorer of prompts against images: `judges` (the classifiers), or the folder
    or id of a Hugging Face dual encoder such as CLIP."""
    card: bool = True
    """With `edits`: measure by the classifiers whether edits changed the intended attribute and
    nothing else."""
    classifier: str = "small"
    """Network of the classifiers: `small`, or the folder or id of a Hugging Face vision model
    (`timm/...` needs timm)."""
    classifier_steps: Count = 200
    """Optimiser steps of each classifier."""
    classifier_seeds: Count = 3
    """Number of seeds of each classifier."""
    gan_steps: Annotated[int, Field(ge=0)] = 0
    """With `utility=ATTRIBUTE=VALUE`: steps of a small GAN, whose images are a baseline in two more
    rows. Thousands are needed; 0: no GAN."""
    bootstrap: Annotated[int, Field(ge=10)] = 200
    """Bootstrap resamples of patients for each confidence interval, at least 10."""
    adapter: Path | None = None
    """Adapter or run folder that drew the images. Its model card and adapter.json get the
    scores."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    seed: int = 0
    """Seed of subsets and resamples."""


class ReaderMakeOptions(Options):
    """Make a blinded reader study: one page with shuffled real and synthetic images, which saves
    answers as a CSV file."""

    real: Path
    """Cohort of real images. Each patient appears at most once."""
    synthetic: Path
    """Folder that `generate` made, or any cohort or folder of images."""
    out: Path
    """Folder of `study.html`, the page for readers."""
    key: Path | None = None
    """File of the key, which readers do not get; default: `<out>-key.json` beside the folder."""
    n: Count = 50
    """Number of images of each kind."""
    split: Split | None = "test"
    """Split of the real images."""
    by: str | None = None
    """Attribute of both sets. Synthetic images match its frequencies in the real ones, and answers
    are counted for each value."""
    seed: int = 0
    """Seed of the choice and the order of images."""


class ReaderScoreOptions(Options):
    """Score a reader study: accuracy with its confidence interval, and Cohen's kappa with the truth
    and between readers, per class."""

    answers: tuple[Path, ...]
    """CSV files that the page saved, one for each reader."""
    key: Path
    """Key that `reader make` wrote."""
    out: Path
    """JSON file of the result."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Bootstrap resamples of images for the confidence intervals of kappa, at least 10."""
    seed: int = 0
    """Seed of the resamples."""


class AuditOptions(Options):
    """Measure by membership inference how far an adapter's loss reveals its training patients."""

    adapter: str
    """Adapter or run folder."""
    cohort: Path
    """Cohort of the adapter's training images. Patients of the train split are compared with all
    others."""
    out: Path
    """Folder of `audit.json` and `audit.html`."""
    draws: Annotated[int, Field(ge=4)] = 24
    """Timesteps at which each image's loss is measured, each with noise of its own; at least 4."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Bootstrap resamples of patients for each confidence interval, at least 10."""
    base: str | None = None
    """Place of the adapter's base on this machine; default: its place at the fit."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format. `auto` takes bf16 where the device is fast at it."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    seed: int = 0
    """Seed of noise and resamples."""
