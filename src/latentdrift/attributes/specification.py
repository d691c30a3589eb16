"""Attributes of patients and images: their specification in a cohort, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator


class Attribute(BaseModel):
    """Specification of an attribute, as a row of cohort.json; names that are not known here pass.

    The order of the fields is the order of the keys in cohort.json.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    type: Literal["number", "category", "findings"]
    vocabulary: list[str] | None = None
    """Values of a category, or names of the findings; None for a number."""
    low: float | None = None
    """Lowest number; None where the range is not known."""
    high: float | None = None
    """Highest number; None where the range is not known."""
    unit: str | None = None
    """Unit of a number: "years"."""

    @model_validator(mode="after")
    def words_are_there(self) -> Self:
        """Check that an attribute that is no number has a vocabulary.

        Raises:
            ValueError: It has none.
        """
        if self.type != "number" and self.vocabulary is None:
            raise ValueError(f"a {self.type} has a vocabulary")
        return self

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return self.type == "number"

    @property
    def words(self) -> list[str]:
        """The vocabulary; empty for a number."""
        return self.vocabulary or []


Spec = Mapping[str, Attribute]
"""Attributes by name, as in cohort.json."""

Cell = str | float | bool | None
"""Value in a table: a number, a word, or None where it is missing. Tables read from a cohort hold
NaN for a missing number."""

ImageRow = Mapping[str, Cell]
"""Row of metadata.csv by column name. Its columns are open: a hospital's table adds its own."""

AttributeValue = Cell | list[str]
"""Value of an attribute: a cell, or several findings."""

AttributeValues = Mapping[str, AttributeValue]
"""Values of the attributes of one patient or image, by name."""


def words_of(spec: Spec, name: str) -> list[str]:
    """Vocabulary of an attribute; empty for a number, and where there is no such attribute."""
    attribute = spec.get(name)
    return [] if attribute is None else attribute.words


def as_number(value: AttributeValue) -> float:
    """Value of a numerical attribute.

    Raises:
        TypeError: None, or a list.
        ValueError: A word that is no number.
    """
    if value is None or isinstance(value, list):
        raise TypeError(f"{value!r} is no number")
    return float(value)
