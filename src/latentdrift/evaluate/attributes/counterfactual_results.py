"""Scores of counterfactuals, as `card` of report.json holds them."""

from __future__ import annotations

from pydantic import Field

from latentdrift.evaluate.privacy.repeat_visits import Identity
from latentdrift.evaluate.statistics.results import EditMean, Interval, ResultModel


class NumberChange(ResultModel):
    """Effect of edits that change a number."""

    change: str
    judged: str
    unit: str
    n: int
    patients: int
    requested: EditMean = Field(validation_alias="asked", serialization_alias="asked")
    """Requested change."""
    moved: EditMean
    """Change that the predictors see."""
    share: float | None
    """Share of the requested change that was made; 1: all of it."""
    error: EditMean
    """Distance of the result from the requested value."""
    untouched: float
    """Distance of the originals."""
    ceiling: float | None
    """Error of the predictors on held-out real images."""
    share_ceiling: float | None
    """Share of a real difference that the predictors see."""


class ClassChange(ResultModel):
    """Effect of edits that change a class."""

    change: str
    judged: str
    unit: str
    n: int
    patients: int
    reached: float
    """Share of edits in which the target is seen."""
    reached_ci: Interval | None
    untouched: float
    """Share of the originals."""
    moved: EditMean
    """Change of the log-odds towards the target."""
    ceiling: float | None
    """Share of held-out real images that have the target."""


Change = NumberChange | ClassChange


class CollateralCell(ResultModel):
    """Shift of one attribute by one kind of edit."""

    value: float | None
    """Mean shift, in units of the difference between two visits of a patient."""
    ci: Interval | None
    n: int
    share: float | None
    """Change as a share of the difference between the real classes."""
    share_ci: Interval | None
    is_requested: bool = Field(validation_alias="asked", serialization_alias="asked")
    """Whether the change was requested."""
    beyond: bool
    """Whether it was not requested and is clearly large."""


class Collateral(ResultModel):
    """Shift of every attribute by every kind of edit."""

    columns: list[str]
    unit: dict[str, float]
    unit_of: str
    """`visits` of a patient, or `patients` where too few patients have several visits."""
    rows: dict[str, list[CollateralCell]]


class ChangeRealism(ResultModel):
    """KID of the counterfactuals to real images that have the target."""

    change: str
    features: str
    n: dict[str, int]
    value: float
    ci: Interval | None
    floor: float | None
    floor_ci: Interval | None
    matched: float | None
    original: float
    """KID of the untouched originals."""


class FollowUps(ResultModel):
    """Counterfactuals beside the patient's own visit in the requested state."""

    n: int
    patients: int
    metrics: dict[str, EditMean]
    no_change: dict[str, EditMean]
    """Means of the untouched originals."""
    gain: dict[str, EditMean]
    """Difference of the two."""
    change: dict[str, EditMean] = Field(default_factory=dict)
    """The change beside the true change, all edits together: rows of visit_metrics.RATIOS, and the
    correlation after a blur."""


class Card(ResultModel):
    """Scores of the counterfactuals."""

    n: int
    patients: int
    kinds: dict[str, int]
    """Number of edits of each kind."""
    effectiveness: list[Change]
    composition: EditMean
    """Error of the reconstruction, as a share of the intensity range."""
    minimality: dict[str, EditMean]
    """Size of the change, share of the pixels that change, change outside of the mask."""
    collateral: Collateral
    realism: list[ChangeRealism]
    follow_ups: FollowUps | None
    identity: dict[str, Identity | None]
    """By feature space; null where too few patients have several visits."""
    reversibility: EditMean | None
    """Error after editing back."""
    by: str | None
    subgroups: dict[str, list[Change]]
    worst: dict[str, list[str]]
    """Names of the worst edits."""
    warnings: list[str]


def unit_words(collateral: Collateral) -> str:
    """Words for the pairs of real images whose difference is the unit of collateral changes."""
    is_visits = collateral.unit_of == "visits"
    return "two visits of a patient" if is_visits else "two real patients"
