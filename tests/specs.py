"""Specifications of attributes for tests, from the rows of cohort.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from latentdrift.attributes.specification import Attribute


def spec_of(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Attribute]:
    """Attributes by name, from rows as cohort.json has them."""
    return {name: Attribute.model_validate(row) for name, row in rows.items()}


def rows_of(spec: Mapping[str, Attribute]) -> dict[str, dict[str, Any]]:
    """Rows of cohort.json, from attributes by name."""
    return {name: attribute.model_dump(exclude_unset=True) for name, attribute in spec.items()}
