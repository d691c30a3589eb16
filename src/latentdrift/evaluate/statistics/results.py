"""Frozen models of the numbers in report.json and in the score of a reader study."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Interval = list[float]
"""Lower and upper end."""


class ResultModel(BaseModel):
    """A part of a file of results. Fields that were not given do not appear in it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True
    )

    def to_dict(self) -> dict[str, Any]:
        """Content for the file."""
        return self.model_dump(exclude_unset=True, by_alias=True)


class Subsets(ResultModel):
    """Spread of a distance over random subsets of both sets."""

    sd: float
    size: int
    """Images of each subset."""
    count: int
    """Number of subsets."""


class Metric(ResultModel):
    """A number of the synthetic set, with its interval and the same number of real images."""

    value: int | float | None
    ci: Interval | None
    """95 % interval over patients and synthetic images; null for too few of them."""
    n: dict[str, int]
    """Number of images or patients behind the value."""
    floor: int | float | None
    """Value between two halves of the real patients, or of held-out patients."""
    k: int | None = None
    """Number of nearest neighbours."""
    subsets: Subsets | None = None
    floor_ci: Interval | None = None
    """95 % range of the floor over random halves of the patients."""
    matched: float | None = None
    """Value with as many synthetic images as the floor has."""
    floor_n: int | None = None
    """Images of each half behind the floor."""
    identical: int | None = None
    """Pairs of identical images, which have an infinite PSNR and are left out of the mean."""


class EditMean(ResultModel):
    """Mean over edits."""

    value: float | None
    ci: Interval | None
    n: int
