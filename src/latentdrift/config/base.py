"""The base class of option models, and types that several of them share."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Split = Literal["train", "validation", "test"]
Start = Literal["infer", "pin", "pin-sample", "leak-pixel", "leak-low"]
DriftMode = Literal["infer", "train", "both", "pin", "pin-sample", "leak-pixel", "leak-low"]
DriftForm = Literal["noise_mean", "target_unshifted", "per_step", "per_step_scaled", "prediction"]


def _check_position(position: str) -> str:
    """Check the form of a slice's position, and that a percentage lies within the volume.

    Raises:
        ValueError: Another form, or a percentage outside 0 to 100.
    """
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?)(%|mm)?", position)
    if match and (match[2] != "%" or 0 <= float(match[1]) <= 100):
        return position
    raise ValueError(
        "a position is a percentage of the volume's extent from 0% to 100%, millimetres "
        "(-12.5mm), or a voxel index (80)"
    )


Position = Annotated[str, AfterValidator(_check_position)]
"""Position of a slice in a volume."""


UNITS = {"s": 1, "min": 60, "h": 3600}
"""Unit of time -> seconds."""


def seconds_of(duration: str) -> float:
    """Seconds of a duration: `90s`, `10min`, `1.5h`.

    Raises:
        ValueError: It has another form, or is 0.
    """
    match = re.fullmatch(rf"(\d+(?:\.\d+)?) ?({'|'.join(UNITS)})", duration.strip())
    if match and float(match[1]) > 0:
        return float(match[1]) * UNITS[match[2]]
    raise ValueError("a time is a number above 0 with a unit: 90s, 10min, 1.5h")


def _check_duration(duration: str) -> str:
    seconds_of(duration)
    return duration


Duration = Annotated[str, AfterValidator(_check_duration)]
"""Time with its unit."""


def _check_ray_address(address: str) -> str:
    """Check the form of the address of a Ray cluster.

    Raises:
        ValueError: Another form, or a port that no machine has.
    """
    match = re.fullmatch(r"[^\s/]+:(\d{1,5})", address)
    if address == "auto" or (match and 0 < int(match[1]) < 2**16):
        return address
    raise ValueError(
        "the address of a Ray cluster is `auto` (the one on this machine) or HOST:PORT "
        "(10.0.0.5:6379)"
    )


RayAddress = Annotated[str, AfterValidator(_check_ray_address)]
"""Address of a Ray cluster."""


class Options(BaseModel):
    """Options of a verb, frozen. Unknown names are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class WorkerOptions(Options):
    """Options of verbs whose items several workers share."""

    workers: Count = 1
    """Number of workers, each with a model of its own and one thread, unless OMP_NUM_THREADS says
    another number; 1: this process does all. Results do not depend on it."""
    ray: RayAddress | None = None
    """Ray cluster whose machines run the workers, `auto` (the one on this machine) or `HOST:PORT`
    (see docs/workers.md); default: processes of this machine."""
