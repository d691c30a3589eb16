"""Options of the benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentdrift.config.base import Count, Options, Split, WorkerOptions


class BenchOptions(WorkerOptions):
    """Common options of the benchmarks: methods × variants × seeds at one budget, evaluated on the
    test split."""

    cohort: Path
    """Cohort folder."""
    out: Path
    """Folder of fits and results. The same command continues an interrupted run."""
    base: str = "pocket"
    """Base: a name, a local diffusers folder, or a Hugging Face Hub id."""
    methods: tuple[str, ...]
    """Fine-tuning methods."""
    variants: tuple[str, ...]
    """Variants, rows of the benchmark's table."""
    delta: str = "0.1"
    """Scalar drift in standard deviations of unit noise, or of a latent channel's mean
    (`6.4sd`)."""
    seeds: Count = 3
    """Number of fits per method, from `seed` on."""
    fit_steps: Count = 400
    """Optimiser steps of each fit."""
    fit_batch_size: Count = 8
    """Images per optimiser step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Learning rate, above 0; default: each method's."""
    n: Annotated[int, Field(ge=4)] = 64
    """Images per variant, at least 4."""
    steps: Count = 50
    """Number of sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight, at least 0; 1: no guidance."""
    features: tuple[str, ...] = ("pocket",)
    """Feature spaces: names, `name=PATH` for local weights, or the folder or id of a Hugging Face
    vision model."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Resolution in pixels on a side, a multiple of 8 from 32; default: the base's."""
    bootstrap: Annotated[int, Field(ge=10)] = 100
    """Bootstrap resamples of patients and images for the confidence interval of each run, at least
    10."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format. `auto` takes bf16 where the device is fast at it."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    seed: int = 0
    """First seed."""


class BenchDrawnOptions(BenchOptions):
    """Common options of the benchmarks that draw images from text."""

    sampler: str = "ddim"
    """Sampler."""
    batch_size: Count = 4
    """Images drawn at a time, in groups of 4. The number changes memory and speed, never an
    image."""


class BenchDriftOptions(BenchDrawnOptions):
    """Compare drift in every mode with its rivals: methods × variants × seeds at one budget,
    evaluated on the test split."""

    methods: tuple[str, ...] = ("full", "lora", "textual-inversion")
    """Fine-tuning methods."""
    variants: tuple[str, ...] = (
        "none",
        "infer",
        "calibrated",
        "closed-form",
        "pin",
        "pin-sample",
        "pin-zero",
        "search",
        "leak-pixel",
        "leak-low",
        "per-step-scaled",
        "both",
        "train",
        "both-closed-form",
        "offset",
        "offset+calibrated",
        "offset+pin",
        "pyramid",
        "input-perturbation",
        "zero-snr",
    )
    """Drift modes and other corrections of the noise mean that are compared."""


class BenchTable1Options(BenchDrawnOptions):
    """The paper's table 1 on a cohort: methods without and with drift, by distances and by the
    accuracy of classifiers trained on their images."""

    methods: tuple[str, ...] = (
        "custom-diffusion",
        "dreambooth",
        "textual-inversion",
        "full",
        "lora",
    )
    """Fine-tuning methods."""
    variants: tuple[str, ...] = ("none", "drift", "calibrated", "real+synthetic", "base", "real")
    """Variants: without drift, with drift, and with the calibrated start; half of a classifier's
    real images replaced by synthetic ones; the unadapted base; real images."""
    by: str | None = None
    """Classes of the classifier: a category with two values, or one `attribute=value` against the
    rest, such as `diagnosis=dementia` or `findings=Effusion`; default: the first category with
    exactly two values."""
    delta: str = "0.1"
    """Drift in training and sampling, in standard deviations of unit noise, or of a latent
    channel's mean (`6.4sd`). `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Images per variant, half of each class, at least 4. They are compared with real images and
    train the classifier."""
    classifier_steps: Count = 400
    """Optimiser steps of each classifier."""


class BenchTable2Options(BenchOptions):
    """The paper's table 2 on a cohort: InstructPix2Pix ages first visits of test patients, and the
    last visits are the truth."""

    methods: tuple[str, ...] = ("instruct-pix2pix",)
    """Methods whose networks take the source image as input."""
    variants: tuple[str, ...] = (
        "binned",
        "binned+custom-diffusion",
        "binned+full",
        "word",
        "word+custom-diffusion",
        "word+full",
        "numerical",
        "numerical+custom-diffusion",
        "numerical+full",
        "no-change",
        "autoencoder",
        "mean-change",
        "ridge-regression",
    )
    """Wordings of the instruction, and the adapter from which training starts; and the baselines of
    an edit."""
    delta: str = "0.1"
    """Drift in training and sampling, in standard deviations of unit noise, or of a latent
    channel's mean (`6.4sd`). `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Largest number of edits per variant, at least 4: one of each test patient and view."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Guidance weight of the instruction, at least 0; 1: no guidance."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """Guidance weight of the source image, at least 0; 1: no guidance."""


class BenchTable3Options(BenchDrawnOptions):
    """The paper's table 3 on a cohort: simple and diverse prompts, without and with the patient's
    information, with drift."""

    methods: tuple[str, ...] = ("full",)
    """Fine-tuning methods."""
    variants: tuple[str, ...] = ("simple", "simple+info", "diverse", "diverse+info")
    """Wordings of the prompts in training and sampling."""
    delta: str = "0.1"
    """Drift in training and sampling, in standard deviations of unit noise, or of a latent
    channel's mean (`6.4sd`). `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Images per variant, at least 4."""


class BenchTable4Options(BenchOptions):
    """The paper's table 4 on a cohort: Pix2Pix-Zero edits first visits of test patients into last
    visits, with the prompts of table 3."""

    methods: tuple[str, ...] = ("full",)
    """Methods whose networks draw from text."""
    variants: tuple[str, ...] = (
        "simple",
        "simple+info",
        "diverse",
        "diverse+info",
        "no-change",
        "autoencoder",
        "mean-change",
        "ridge-regression",
    )
    """Wordings of the prompts in training and in the edit, and the baselines of an edit."""
    delta: str = "0.1"
    """Drift in training and sampling, in standard deviations of unit noise, or of a latent
    channel's mean (`6.4sd`). `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Largest number of edits per variant, at least 4: one of each test patient and view."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the trajectory that the edit goes back towards noise, above 0, at most 1."""
    guidance: Annotated[float, Field(ge=0)] = 5.0
    """Guidance weight of the changed prompt, at least 0; 1: no guidance."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """Number of wordings of each state, 1 to 24. The edit direction is the difference of their mean
    embeddings."""


class BenchEditorsOptions(Options):
    """Compare all editors, and no change, on edits with a known result: phantoms, or patients with
    several visits."""

    adapter: str
    """Adapter or run folder, trained with the attributes that change."""
    out: Path
    """Folder of the results. The same command continues an interrupted run."""
    cohort: Path | None = None
    """Cohort with several visits of a patient. The first visit is edited into the attributes of the
    last."""
    phantom: Literal["brain", "chest"] | None = None
    """Instead of a cohort: phantoms, whose true counterfactuals are drawn."""
    also: tuple[str, ...] = ()
    """Further adapters to apply, `RUN` or `RUN=WEIGHT`."""
    editors: tuple[str, ...] = ()
    """Editors; default: all that this network supports without a mask."""
    split: Split = "test"
    """Split of the edited patients."""
    n: Count = 24
    """Largest number of edits."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the trajectory that the edit goes back towards noise, above 0, at most 1."""
    steps: Count = 50
    """Number of steps of the full trajectory."""
    round_trip: tuple[Count, ...] = ()
    """Numbers of steps, such as `10 20 50`, at which the error of inverting and redrawing an image
    is also measured."""
    guidance: Annotated[float, Field(ge=0)] = 5.0
    """Guidance weight of the changed prompt or of the instruction, at least 0; 1: no guidance."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """With instruct-pix2pix: guidance weight of the source image, at least 0; 1: no guidance."""
    seeds: Count = 1
    """Number of seeds of each editor that draws at random. From 2 on their mean has a row of its
    own, with the coverage of its 95 % interval."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """With pix2pix-zero: number of wordings of each state, 1 to 24."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Bootstrap resamples of patients for each confidence interval, at least 10."""
    base: str | None = None
    """Place of the adapter's base on this machine; default: its place at the fit."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format. `auto` takes bf16 where the device is fast at it."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    seed: int = 0
    """Seed of phantoms and edits."""
