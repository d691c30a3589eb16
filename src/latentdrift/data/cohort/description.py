"""The types of cohort.json: checked where a file enters, and plain values after that."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from latentdrift.attributes.specification import Attribute


class Checked(BaseModel):
    """A part of a JSON file; names that are not known here pass."""

    model_config = ConfigDict(extra="allow", strict=True)


class CohortInfo(Checked):
    """cohort.json."""

    format: int
    describe: str
    attributes: dict[str, Attribute]
    kept: dict[str, Attribute] = Field(default_factory=dict)
    images: int | None = None
    patients: int | None = None
    splits: dict[str, int] | None = None
    split: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    table: dict[str, Any] | None = None
    deidentification: dict[str, Any] | None = None
    rejected: list[dict[str, Any]] | None = None
    rejected_by_reason: dict[str, int] | None = None
    notes: dict[str, int] | None = None
    warnings: list[str] | None = None
    synthetic: bool | None = None
    gate: dict[str, Any] | None = None
