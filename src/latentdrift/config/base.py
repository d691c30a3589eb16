"""The base class of option models, and types that several of them share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Split = Literal["train", "validation", "test"]
Start = Literal["infer", "pin", "pin-sample", "leak-pixel", "leak-low"]
DriftMode = Literal["infer", "train", "both", "pin", "pin-sample", "leak-pixel", "leak-low"]
DriftForm = Literal["noise_mean", "target_unshifted", "per_step", "per_step_scaled", "prediction"]


class Options(BaseModel):
    """Options of a verb, frozen. Unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
