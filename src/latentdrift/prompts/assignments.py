"""`age=85` -> a typed value, checked against the attributes that a cohort had."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from latentdrift.errors import OptionError, unknown
from latentdrift.prompts.wording import SEX_WORDS, Spec, split_findings


def parse_assignment(text: str, spec: Spec) -> tuple[str, Any]:
    """`age=85` -> ("age", 85.0), checked against the attributes that the adapter's cohort had.

    Raises:
        OptionError: No `=`, an unknown attribute or value, a number that is none, an age that cannot be.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise OptionError(f"'{text}' is not an assignment; write name=value, for example age=85")
    name = {known.lower(): known for known in spec}.get(name.lower(), name)
    if name not in spec:
        raise unknown("attribute", name, spec)
    kind, vocabulary = spec[name]["type"], spec[name].get("vocabulary") or []
    if kind == "number":
        return name, _number(name, value, spec[name].get("unit"))
    if kind == "findings":
        return name, "|".join(parse_finding(part, spec) for part in split_findings(value))
    return name, _word(name, value, vocabulary)


def parse_finding(text: str, spec: Spec) -> str:
    """A finding as the cohort's vocabulary spells it.

    Raises:
        OptionError: The cohort has no findings, or not this one.
    """
    if "findings" not in spec:
        raise unknown("attribute", "findings", spec)
    return _word("finding", text.strip(), spec["findings"].get("vocabulary") or [])


def _word(kind: str, value: str, vocabulary: Iterable[Any]) -> str:
    """The entry of the vocabulary that `value` means; M and male mean the same."""
    fold = {str(entry).lower(): str(entry) for entry in vocabulary}
    if kind == "sex":
        fold = {SEX_WORDS.get(lower) or lower: entry for lower, entry in fold.items()}
        value = SEX_WORDS.get(value.lower()) or value
    if fold and value.lower() not in fold:
        raise unknown(kind, value, fold.values())
    return fold.get(value.lower(), value)


def _number(name: str, value: str, unit: str | None) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"{name}={value}: '{value}' is not a number; give it in {unit or 'digits'}, for example {name}=70")
    if name == "age" and not 0 <= number <= 130:
        raise OptionError(f"age={value}: an age lies between 0 and 130 years; give one in that range, for example age=85")
    return number
