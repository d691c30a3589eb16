"""The types of cohort.json: checked where a file enters, and kept as they were checked."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from latentdrift.attributes.specification import Attribute


class Checked(BaseModel):
    """A part of a JSON file; names that are not known here pass."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class NullIsAbsent(Checked):
    """A part of a JSON file in which an optional value that is null is absent."""

    @model_validator(mode="before")
    @classmethod
    def null_is_absent(cls, content: Any) -> Any:
        """Leave out optional values that are null."""
        if not isinstance(content, dict):
            return content
        optional = {
            field.alias or name
            for name, field in cls.model_fields.items()
            if not field.is_required()
        }
        return {
            name: value
            for name, value in content.items()
            if value is not None or name not in optional
        }


class SplitInfo(NullIsAbsent):
    """How images were assigned to splits."""

    by: str | None = None
    """Unit that no split cuts: "patient" or "near-duplicate group"; None: unknown."""
    seed: int | None = None
    stratified_by: str | None = None
    """Attribute whose shares the splits keep."""
    notes: list[str] = Field(default_factory=list)
    """Warnings."""


class SourceInfo(NullIsAbsent):
    """Files that the images come from."""

    units: dict[str, int] = Field(default_factory=dict)
    """Unit of the intensities -> number of images."""
    modalities: dict[str, int] = Field(default_factory=dict)
    """DICOM modality -> number of images."""


class TableInfo(NullIsAbsent):
    """The table that an import read."""

    rows: int = 0
    rows_without_file: int = 0
    rows_rejected: dict[str, int] = Field(default_factory=dict)
    """Reason -> number of rows."""
    findings_joined: int = 0
    """Images whose findings come from several rows."""
    ages_read: dict[str, int] = Field(default_factory=dict)
    """Age as text with its reading -> number of rows."""
    cells: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Column -> reason -> number of cells that were left empty or are not in the map."""


class Deidentification(NullIsAbsent):
    """What an import removed."""

    dates: str = ""
    columns_left_out: list[str] = Field(default_factory=list)


class RejectedFile(NullIsAbsent):
    """File or picture that is not in the cohort."""

    reason: str | None = None
    """Short, countable; None: not recorded."""


class AppliedAdapter(NullIsAbsent):
    """Adapter that drew synthetic images."""

    sha256: str | None = None


class CohortInfo(NullIsAbsent):
    """cohort.json."""

    format: int
    describe: str
    attributes: dict[str, Attribute]
    kept: dict[str, Attribute] = Field(default_factory=dict)
    images: int = 0
    patients: int = 0
    splits: dict[str, int] = Field(default_factory=dict)
    split: SplitInfo = SplitInfo()
    source: SourceInfo = SourceInfo()
    table: TableInfo = TableInfo()
    deidentification: Deidentification = Deidentification()
    rejected: list[RejectedFile] = Field(default_factory=list)
    rejected_by_reason: dict[str, int] = Field(default_factory=dict)
    notes: dict[str, int] = Field(default_factory=dict)
    """Note on an image -> number of images."""
    warnings: list[str] = Field(default_factory=list)
    synthetic: bool = False
    adapters: list[AppliedAdapter] = Field(default_factory=list)
    """Adapters that drew synthetic images; empty of acquired ones, and of a base alone."""
    gate: dict[str, Any] | None = None
    """Verdict of the copy filter; None: it did not run."""
