"""Intervals between two visits of a patient, and the numbers that describe them to a linear
model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift import prompts
from latentdrift.attributes.ages import DAYS_PER_YEAR
from latentdrift.attributes.specification import AttributeValues, Spec, as_number

FEWEST = 5
"""Pairs with a value of a category, and without it, from which the value is a covariate."""


@dataclass(frozen=True)
class VisitInterval:
    """Time from a first visit to a later one, and what is known of both."""

    years: float
    """1 where it is not known."""
    known: AttributeValues
    """Attributes at the first visit."""
    later: AttributeValues
    """Attributes at the later visit."""


def interval(table: Any, early: int, late: int, spec: Spec) -> VisitInterval:
    """Interval between two rows of a cohort.

    Args:
        table: Rows of metadata.csv by position.
        early: Position of the first visit.
        late: Position of the later visit.
        spec: Attributes that are read.
    """
    known, later = (
        prompts.attributes_of(table.loc[place].to_dict(), spec) for place in (early, late)
    )
    years = (table.loc[late, "days"] - table.loc[early, "days"]) / DAYS_PER_YEAR
    return VisitInterval(float(years) if years > 0 else 1.0, known, later)


def years_between(before: AttributeValues, after: AttributeValues) -> float:
    """Years by which the age grows; 0 where it is not known of both."""
    ages = before.get("age"), after.get("age")
    if any(prompts.is_missing(age) for age in ages):
        return 0.0
    first, last = (as_number(age) for age in ages)
    return last - first


@dataclass(frozen=True)
class Covariates:
    """Numbers that describe an interval: years alone, and years by age and by each category's value
    at the later visit; then findings that came or went."""

    mean_age: float
    sd_age: float
    values: tuple[tuple[str, str], ...]
    """(category, value) that enough pairs have and lack."""
    findings: tuple[str, ...]

    @classmethod
    def of(cls, intervals: Sequence[VisitInterval], spec: Spec) -> Covariates:
        """Choose covariates by the training pairs.

        Args:
            intervals: Intervals of the pairs.
            spec: Their attributes.
        """
        ages = np.array([age for one in intervals if (age := _age(one)) is not None])
        values = [
            (name, value)
            for name, attribute in spec.items()
            if attribute.type == "category"
            for value in (attribute.vocabulary or ())[1:]  # the first one is the rest
            if _enough([one.later.get(name) == value for one in intervals])
        ]
        findings = [
            finding
            for finding in (spec["findings"].vocabulary or () if "findings" in spec else ())
            if _enough([_new(one, finding) != 0 for one in intervals])
        ]
        return cls(
            float(ages.mean()) if len(ages) else 0.0,
            float(ages.std()) or 1.0 if len(ages) else 1.0,
            tuple(values),
            tuple(findings),
        )

    def of_interval(self, one: VisitInterval) -> np.ndarray:
        """Covariates of an interval, float64 [K]."""
        age = _age(one)
        by_time = [
            1.0,
            (age - self.mean_age) / self.sd_age if age is not None else 0.0,
            *(float(one.later.get(name) == value) for name, value in self.values),
        ]
        return np.array(
            [*(one.years * part for part in by_time), *(_new(one, f) for f in self.findings)]
        )


def _age(one: VisitInterval) -> float | None:
    age = one.known.get("age")
    return float(age) if isinstance(age, int | float) else None


def _new(one: VisitInterval, finding: str) -> float:
    """1 for a finding that came, -1 for one that went, 0 for neither."""
    before, after = (finding in _listed(state.get("findings")) for state in (one.known, one.later))
    return float(after) - float(before)


def _listed(value: object) -> Sequence[str]:
    return value if isinstance(value, list | tuple) else ()


def _enough(present: Sequence[bool]) -> bool:
    """Whether enough pairs have a value, and enough lack it."""
    return min(sum(present), len(present) - sum(present)) >= FEWEST
