"""Options of the benches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from latentdrift.config.base import Count, Options, Split


class BenchOptions(Options):
    """What the benches share: methods x variants x seeds at one budget, judged on the test
    split."""

    cohort: Path
    """A cohort folder."""
    out: Path
    """The folder for fits and results; the same command again goes on where it was interrupted."""
    base: str = "pocket"
    """A named base, a local diffusers folder, or a hub id."""
    methods: tuple[str, ...]
    """Fine-tuning methods."""
    variants: tuple[str, ...]
    """Rows of the bench's table."""
    delta: str = "0.1"
    """The scalar drift, in sd of unit noise or in sds of a channel's mean (`6.4sd`)."""
    seeds: Count = 3
    """Fits per method, from `seed` on."""
    fit_steps: Count = 400
    """Optimiser steps of each fit."""
    fit_batch_size: Count = 8
    """Images per step."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Default: each method's own."""
    n: Annotated[int, Field(ge=4)] = 64
    """Images per variant."""
    steps: Count = 50
    """Sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight; 1 is none."""
    features: tuple[str, ...] = ("pocket",)
    """Feature spaces: a name, `name=PATH` for local weights, or a Hugging Face vision model's
    folder or id."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the base's own."""
    workers: Count = 1
    """Processes, each with a model of its own; give each its share of the cores with
    OMP_NUM_THREADS. Results do not change."""
    bootstrap: Annotated[int, Field(ge=10)] = 100
    """Resamples of patients and images behind each run's interval."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """The first seed."""


class BenchDrawnOptions(BenchOptions):
    """What the benches share whose pictures are drawn from text."""

    sampler: str = "ddim"
    """Sampler."""
    batch_size: Count = 4
    """Images drawn together, in fours; it takes memory and never changes a picture."""


class BenchDriftOptions(BenchDrawnOptions):
    """Drift in every mode beside its rivals: methods x variants x seeds at one budget, judged on
    the test split."""

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
    """Variants of drift."""


class BenchTable1Options(BenchDrawnOptions):
    """The paper's table 1 on a cohort: methods without and with drift, by distances and by what a
    classifier learns from them."""

    methods: tuple[str, ...] = (
        "custom-diffusion",
        "dreambooth",
        "textual-inversion",
        "full",
        "lora",
    )
    """Fine-tuning methods."""
    variants: tuple[str, ...] = ("none", "drift", "calibrated", "real+synthetic", "base", "real")
    """Without and with drift, and with the start that the fit without drift asks for; a
    classifier's real images replaced by synthetic ones to a half; the base as it is; real
    images."""
    by: str | None = None
    """What the classifier tells apart: a category of two values, or `attribute=value` against the
    rest, such as `diagnosis=dementia` or `findings=Effusion`; default: the first category that has
    exactly two values."""
    delta: str = "0.1"
    """Drift in training and sampling, in sd of unit noise or in sds of a channel's mean (`6.4sd`);
    `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Images per variant, half of each class; they are compared with real ones, and the classifier
    learns from them."""
    classifier_steps: Count = 400
    """Optimiser steps of each classifier, whatever it learns from."""


class BenchTable2Options(BenchOptions):
    """The paper's table 2 on a cohort: InstructPix2Pix ages first visits of test patients; the last
    ones are the truth."""

    methods: tuple[str, ...] = ("instruct-pix2pix",)
    """Methods whose networks are shown the picture to change."""
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
    )
    """How instructions are worded, and from which adapter's fit training starts; and what an edit
    has to beat."""
    delta: str = "0.1"
    """Drift in training and sampling, in sd of unit noise or in sds of a channel's mean (`6.4sd`);
    `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Edits per variant, at most; of each test patient and view there is one."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Guidance weight of the instruction; 1 is none."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """Guidance weight of the source image; 1 is none."""


class BenchTable3Options(BenchDrawnOptions):
    """The paper's table 3 on a cohort: simple and diverse prompts, without and with the patient's
    information, with drift."""

    methods: tuple[str, ...] = ("full",)
    """Fine-tuning methods."""
    variants: tuple[str, ...] = ("simple", "simple+info", "diverse", "diverse+info")
    """How prompts are worded in training and sampling."""
    delta: str = "0.1"
    """Drift in training and sampling, in sd of unit noise or in sds of a channel's mean (`6.4sd`);
    `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Images per variant."""


class BenchTable4Options(BenchOptions):
    """The paper's table 4 on a cohort: table 3's prompts when Pix2Pix-Zero edits first visits of
    test patients into last ones."""

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
    )
    """How prompts are worded in training and in the edit; and what an edit has to beat."""
    delta: str = "0.1"
    """Drift in training and sampling, in sd of unit noise or in sds of a channel's mean (`6.4sd`);
    `auto` is the closed form."""
    n: Annotated[int, Field(ge=4)] = 200
    """Edits per variant, at most; of each test patient and view there is one."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8
    """How far back towards noise the edit goes."""
    guidance: Annotated[float, Field(ge=0)] = 5.0
    """Guidance weight of the changed prompt; 1 is none."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """Wordings of each state, between whose means the direction of the edit leads."""


class BenchEditorsOptions(Options):
    """Every editor on edits whose right answer is known: phantoms, or patients who came again;
    beside doing nothing."""

    adapter: str
    """An adapter or run folder that knows the attributes that change."""
    out: Path
    """The folder for results; the same command again goes on where it was interrupted."""
    cohort: Path | None = None
    """A cohort whose patients came twice: the first visit is changed into what its table says of
    the last."""
    phantom: Literal["brain", "chest"] | None = None
    """Instead of a cohort: phantoms, whose true counterfactual can be drawn."""
    also: tuple[str, ...] = ()
    """Adapters, `RUN` or `RUN=WEIGHT`, that are put on top."""
    editors: tuple[str, ...] = ()
    """Editing methods; default: all that this network can be edited by without a mask."""
    split: Split = "test"
    """Whose patients are edited."""
    n: Count = 24
    """Edits, at most."""
    strength: Annotated[float, Field(gt=0, le=1)] = 0.8
    """How far back towards noise the edit goes."""
    steps: Count = 50
    """Steps of the full trajectory."""
    round_trip: tuple[Count, ...] = ()
    """Numbers of steps, such as `10 20 50`, at which the error of inverting an image and drawing it
    again is measured, too."""
    guidance: Annotated[float, Field(ge=0)] = 5.0
    """Guidance weight of the changed prompt, or of the instruction; 1 is none."""
    image_guidance: Annotated[float, Field(ge=0)] = 1.5
    """With instruct-pix2pix: guidance weight of the source image; 1 is none."""
    sentences: Annotated[int, Field(ge=1, le=24)] = 8
    """With pix2pix-zero: wordings of each state."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of patients behind each interval."""
    base: str | None = None
    """Where the adapter's base lies on this machine, if not where it was trained."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Of phantoms and of everything random in an edit."""
