"""Options of the verbs that judge images and adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentdrift.config.base import Count, Options, Split


class EvaluateOptions(Options):
    """Judge synthetic images against real ones: fidelity, coverage, copies; each number with its
    interval and floor."""

    real: Path
    """A cohort of real images."""
    synthetic: Path
    """A folder that `generate` made, or any cohort or folder of images."""
    out: Path
    """Folder for `report.json` and `report.html`."""
    features: tuple[str, ...] = ("pocket",)
    """Feature spaces: a name, `name=PATH` for local weights, or a Hugging Face vision model's
    folder or id."""
    split: Split | None = "test"
    """Which real images are the reference; the train split is where copies are looked for."""
    by: str | None = None
    """An attribute of both sets: every distance is also given for each of its values (findings one
    by one, age by decades)."""
    compare: tuple[Path, ...] = ()
    """Further synthetic sets, judged against the same real images and shown side by side."""
    cache: Path | None = None
    """Folder where features are kept, which come from patients' images; default: "cache" in
    `out`."""
    edits: Path | None = None
    """A folder that `edit` made, shown and scored in the report."""
    utility: str | None = None
    """A class, e.g. `findings=Effusion`, that classifiers learn from the first synthetic set, from
    real images, and from both; or `mask=COLUMN`, masks that a column names, which segmenters learn
    to outline."""
    alignment: bool = False
    """Judge whether the first synthetic set shows what its table says, by classifiers that learn it
    from real images."""
    scorer: str = "judges"
    """With `alignment`: what ranks prompts against images: `judges`, the same classifiers, or the
    folder or id of a Hugging Face dual encoder of images and texts, such as CLIP."""
    card: bool = True
    """With `edits`: judge by the same classifiers whether edits did what was asked for, and nothing
    else."""
    classifier: str = "small"
    """What classifiers are made of: `small`, or the folder or id of a Hugging Face vision model
    (`timm/...` needs timm)."""
    classifier_steps: Count = 200
    """Optimiser steps of each classifier, whatever it learns from."""
    classifier_seeds: Count = 3
    """Seeds that each classifier is trained with."""
    gan_steps: Annotated[int, Field(ge=0)] = 0
    """With `utility=ATTRIBUTE=VALUE`: steps of a small GAN whose images are two more rows to beat;
    thousands, or 0: none."""
    bootstrap: Annotated[int, Field(ge=10)] = 200
    """Resamples of patients behind each interval."""
    adapter: Path | None = None
    """The adapter or run folder that drew the images: its model card and adapter.json get the
    scores."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of subsets and resamples."""


class ReaderMakeOptions(Options):
    """Make a blinded reader study: real and synthetic images, shuffled, as one page whose answers
    are saved as a CSV file."""

    real: Path
    """A cohort of real images, of which each patient is shown once at the most."""
    synthetic: Path
    """A folder that `generate` made, or any cohort or folder of images."""
    out: Path
    """Folder for `study.html`, which is what readers get."""
    key: Path | None = None
    """File for the key, which readers do not get; default: `<out>-key.json` beside the folder."""
    n: Count = 50
    """Images of each kind."""
    split: Split | None = "test"
    """Which real images."""
    by: str | None = None
    """An attribute of both: the synthetic images get its values as often as the real ones, and
    answers are counted for each."""
    seed: int = 0
    """Seed of the choice and of the order."""


class ReaderScoreOptions(Options):
    """Score the answers of a reader study: accuracy with its interval, kappa with the truth and
    between readers, per class."""

    answers: tuple[Path, ...]
    """CSV files that the page saved, one for each reader."""
    key: Path
    """The key that `reader make` wrote."""
    out: Path
    """File for the result, JSON."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of images behind the intervals of kappa."""
    seed: int = 0
    """Seed of the resamples."""


class AuditOptions(Options):
    """Ask whether an adapter's loss betrays whom it was trained on (membership inference)."""

    adapter: str
    """An adapter or run folder."""
    cohort: Path
    """The cohort that it was trained on: patients of the train split are looked for among the
    others."""
    out: Path
    """Folder for `audit.json` and `audit.html`."""
    draws: Annotated[int, Field(ge=4)] = 24
    """Times of the schedule, each with noise of its own, at which every image's loss is taken."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of patients behind each interval."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of the noise and of the resamples."""
