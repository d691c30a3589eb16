"""The types of adapter.json: checked where a file enters, read as plain values after that."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from latentdrift.data.cohort.description import Attribute, Checked


class BaseInfo(Checked):
    """The base that an adapter belongs to."""

    name: str
    hash: str
    resolution: int | None = None
    latent_channels: int | None = None


class GroupInfo(Checked):
    """The drift of a class."""

    phrase: str
    train: list[float]
    infer: list[float]


class DriftInfo(Checked):
    """The drift; `Drift.from_dict` knows its forms and modes."""

    form: str
    mode: str
    start: str = "shift"
    train: list[float]
    infer: list[float]
    groups: list[GroupInfo] = Field(default_factory=list)


class ScheduleInfo(Checked):
    """What a fit changed of the base's schedule."""

    prediction_type: str | None = None
    zero_snr: bool | None = None


class StartInfo(Checked):
    """An adapter that this one was trained on."""

    adapter: str
    method: str
    weight: float
    sha256: str
    needed: bool


class AdapterInfo(Checked):
    """adapter.json; what older versions did not write is optional."""

    format: int
    method: str
    base: BaseInfo
    drift: DriftInfo
    options: dict[str, Any] = Field(default_factory=dict)
    hint: dict[str, Any] | None = None
    schedule: ScheduleInfo = Field(default_factory=ScheduleInfo)
    tokens: list[str] = Field(default_factory=list)
    describe: str = ""
    pictures: str = ""
    start: list[StartInfo] = Field(default_factory=list)
    prompt: dict[str, Any] = Field(default_factory=dict)
    attributes: dict[str, Attribute] = Field(default_factory=dict)
    resolution: int | None = Field(default=None, ge=1)
    colour: bool | None = None
    intensity: dict[str, Any] | None = None
    cohort: dict[str, Any] | None = None
    adopted: dict[str, Any] | None = None
