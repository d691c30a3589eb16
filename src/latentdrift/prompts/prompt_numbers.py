"""Numbers of an instruction that a network may read beside its words: the years between two visits,
and the age at the first."""

from __future__ import annotations

import re
from dataclasses import dataclass

IN_YEARS = {"year": 1.0, "month": 1 / 12}
"""Unit of an age -> its length in years."""

_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_AGE = re.compile(rf"\b({_NUMBER}) (year|month)s? old ?")
_YEARS = re.compile(rf" ?(?<!\w)by ({_NUMBER}) years?\b")


@dataclass(frozen=True)
class PromptNumbers:
    """Numbers that a prompt says; None for what it does not say."""

    years: float | None = None
    """Time to the picture that is asked for; below 0 for an earlier one."""
    age: float | None = None
    """Age in the picture that is given, in years."""


def split_numbers(prompt: str) -> tuple[str, PromptNumbers]:
    """Take the numbers out of a prompt.

    Args:
        prompt: Any text; numbers are read from "70 years old" and "by 5 years".

    Returns:
        The words without the numbers, and the numbers.
    """
    age = _AGE.search(prompt)
    years = _YEARS.search(prompt)
    words = _YEARS.sub("", _AGE.sub("", prompt))
    return words.strip(), PromptNumbers(
        float(years[1]) if years else None, float(age[1]) * IN_YEARS[age[2]] if age else None
    )
