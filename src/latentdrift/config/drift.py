"""Options of the verbs that choose a drift."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from latentdrift.config.base import Count, Options


class DriftOptions(Options):
    """What the verbs of drift share: a cohort, the model that is asked about it, how its pictures
    are drawn."""

    cohort: Path
    """A cohort folder."""
    out: Path
    """The folder for what is found; the same command again goes on where it was interrupted."""
    adapter: str = "pocket"
    """An adapter or run folder that is asked instead of a base."""
    base: str | None = None
    """The base that is asked: a name, folder or hub id; beside `adapter`, where the adapter's
    base lies on this machine."""
    steps: Count = 50
    """Sampling steps."""
    guidance: Annotated[float, Field(ge=0)] = 2.5
    """Classifier-free guidance weight; 1 is none."""
    sampler: str = "ddim"
    """Sampler."""
    resolution: Annotated[int, Field(ge=32, multiple_of=8)] | None = None
    """Pixels on a side; default: the model's own."""
    batch_size: Count = 4
    """Images drawn together, in fours; it takes memory and never changes a picture."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Number format; auto takes bf16 where the machine is fast at it."""
    device: str = "auto"
    """cpu, cuda, mps, or auto."""
    seed: int = 0
    """Seed of the images and of the resamples."""

    @model_validator(mode="before")
    @classmethod
    def _base_alone(cls, values: Any) -> Any:
        """`base` without an adapter is the model that is asked."""
        if isinstance(values, dict) and values.get("base") and "adapter" not in values:
            return {**values, "adapter": values["base"], "base": None}
        return values


class DriftEstimateOptions(DriftOptions):
    """Find the mean that the starts of sampling lack, in closed form, and how much of a start's
    mean the model copies."""

    copy_slope: bool = True
    """Draw images to see whether the model copies a start's mean at all."""
    n: Annotated[int, Field(ge=3)] = 32
    """Images drawn for the copy slope."""
    bootstrap: Annotated[int, Field(ge=10)] = 1000
    """Resamples of patients behind each interval."""


class DriftSearchOptions(DriftOptions):
    """Try drifts: pictures for every value of a grid against the validation split, by L1
    distances."""

    grid: str = "-0.2,-0.1,-0.05,0,0.05,0.1,0.2"
    """Values of delta in sd of unit noise, or in sds of a channel's mean (`3.2sd`); 0 is always
    among them."""
    stage: Literal["infer", "train"] = "infer"
    """`infer` drifts the start of the model as it is; `train` makes a short fit per value from
    `base`."""
    n: Annotated[int, Field(ge=4)] = 64
    """Images per value."""
    method: str = "lora"
    """With `stage=train`: fine-tuning method."""
    fit_steps: Count = 200
    """With `stage=train`: optimiser steps of each fit."""
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    """With `stage=train`: default, the method's own."""
    rank: Count = 8
    """With `stage=train`: rank of the LoRA matrices."""
    workers: Count = 1
    """Processes, each with a model of its own; give each its share of the cores with
    OMP_NUM_THREADS. Results do not change."""
    bootstrap: Annotated[int, Field(ge=10)] = 200
    """Resamples of patients and images behind each interval."""
