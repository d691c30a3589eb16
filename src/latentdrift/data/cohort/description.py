"""The types of cohort.json: checked where a file enters, and kept as they were checked."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from latentdrift.attributes.specification import Attribute


class Checked(BaseModel):
    """A part of a JSON file; names that are not known here pass."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


class SplitInfo(Checked):
    """How images were assigned to splits."""

    by: str | None = None
    """Unit that no split cuts: "patient" or "near-duplicate group"; None: unknown."""
    seed: int | None = None
    stratified_by: str | None = None
    """Attribute whose shares the splits keep."""
    notes: list[str] = Field(default_factory=list)
    """Warnings."""


class SourceInfo(Checked):
    """Files that the images come from."""

    units: dict[str, int] = Field(default_factory=dict)
    """Unit of the intensities -> number of images."""
    modalities: dict[str, int] = Field(default_factory=dict)
    """DICOM modality -> number of images."""


class TableInfo(Checked):
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


class Deidentification(Checked):
    """What an import removed."""

    dates: str = ""
    columns_left_out: list[str] = Field(default_factory=list)


class RejectedFile(Checked):
    """File or picture that is not in the cohort."""

    reason: str


class AppliedAdapter(Checked):
    """Adapter that drew synthetic images."""

    sha256: str | None = None


class CohortInfo(Checked):
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
