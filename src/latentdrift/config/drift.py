"""Options of the verbs that choose a drift."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from latentdrift.config.base import Count, Options, WorkerOptions


class DriftOptions(Options):
    """Common options of the drift verbs: cohort, model, and sampling."""

    cohort: Path
    """Cohort folder."""
    out: Path
    """Folder of the results. The same command continues an interrupted run."""
    adapter: str = "pocket"
    """Adapter or run folder, or a base."""
    base: str | None = None
    """Base to measure: a name, folder or Hub id. Beside `adapter`: place of the adapter's base on
    this machine."""
    steps: Count = 50
    """Number of sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight, at least 0; 1: no guidance."""
    sampler: str = "ddim"
    """Sampler."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Resolution in pixels on a side, a multiple of 8 from 32; default: the model's."""
    batch_size: Count = 4
    """Images drawn at a time, in groups of 4. The number changes memory and speed, never an
    image."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format. `auto` takes bf16 where the device is fast at it."""
    device: str = "auto"
    """Device: `cpu`, `cuda`, `mps` or `auto`."""
    seed: int = 0
    """Seed of images and resamples."""

    @model_validator(mode="before")
    @classmethod
    def _base_alone(cls, values: Any) -> Any:
        """Take `base` as the model where no adapter is given."""
        if isinstance(values, dict) and values.get("base") and "adapter" not in values:
            return {**values, "adapter": values["base"], "base": None}
        return values


class DriftEstimateOptions(DriftOptions):
    """Estimate in closed form the mean that sampling starts lack, and the share of a start's mean
    that the model copies."""

    copy_slope: bool = True
    """Draw images to measure whether the model copies a start's mean."""
    n: Annotated[int, Field(ge=3)] = 32
    """Number of images for the copy slope, at least 3. For an adapter: at least 3 more than the
    model has latent channels."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Bootstrap resamples of patients for each confidence interval, at least 10."""


class DriftSearchOptions(DriftOptions, WorkerOptions):
    """Search the drift: compare images of every delta on a grid with the validation split, by L1
    distances."""

    grid: str = "-0.2,-0.1,-0.05,0,0.05,0.1,0.2"
    """Values of delta in standard deviations of unit noise, or of a latent channel's mean
    (`3.2sd`). 0 is always among them."""
    stage: Literal["infer", "train"] = "infer"
    """`infer` drifts the start of the model; `train` makes a short fit per value from `base`."""
    n: Annotated[int, Field(ge=4)] = 64
    """Images per value, at least 4."""
    method: str = "lora"
    """With `stage=train`: fine-tuning method."""
    fit_steps: Count = 200
    """With `stage=train`: optimiser steps of each fit."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """With `stage=train`: learning rate, above 0; default: the method's."""
    rank: Count = 8
    """With `stage=train`: rank of the LoRA matrices."""
    bootstrap: Annotated[int, Field(ge=10)] = 200
    """Bootstrap resamples of patients and images for each confidence interval, at least 10."""
