"""Numbers of an instruction that a network may read beside its words: the years between two visits,
the age at the first, and the change of a brain's volumes."""

from __future__ import annotations

import re
from dataclasses import dataclass

IN_YEARS = {"year": 1.0, "month": 1 / 12}
"""Unit of an age -> its length in years."""

_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_AGE = re.compile(rf"\b({_NUMBER}) (year|month)s? old ?")
_YEARS = re.compile(rf" ?(?<!\w)by ({_NUMBER}) years?\b")
_VOLUMES = re.compile(rf" ?\(ventricles ({_NUMBER}) %, fluid ({_NUMBER}) % of the head\)")


@dataclass(frozen=True)
class VolumeChange:
    """Change of the volumes of a brain, in percent of the head's area."""

    ventricles: float
    fluid: float
    """Cerebrospinal fluid, in the ventricles and the sulci."""

    @property
    def words(self) -> str:
        """The change in words: "ventricles +1.2 %, fluid +2 % of the head"."""
        ventricles, fluid = (f"{round(one, 2) + 0.0:+g}" for one in (self.ventricles, self.fluid))
        return f"ventricles {ventricles} %, fluid {fluid} % of the head"


@dataclass(frozen=True)
class PromptNumbers:
    """Numbers that a prompt says; None for what it does not say."""

    years: float | None = None
    """Time to the picture that is asked for; below 0 for an earlier one."""
    age: float | None = None
    """Age in the picture that is given, in years."""
    ventricles: float | None = None
    """Change of the ventricles in percent of the head's area."""
    fluid: float | None = None
    """Change of the fluid in percent of the head's area."""


def split_numbers(prompt: str) -> tuple[str, PromptNumbers]:
    """Take the numbers out of a prompt.

    Args:
        prompt: Any text; numbers are read from "70 years old", "by 5 years" and "(ventricles +1.2
            %, fluid +2 % of the head)".

    Returns:
        The words without the numbers, and the numbers.
    """
    age = _AGE.search(prompt)
    years = _YEARS.search(prompt)
    volumes = _VOLUMES.search(prompt)
    words = _VOLUMES.sub("", _YEARS.sub("", _AGE.sub("", prompt)))
    return words.strip(), PromptNumbers(
        float(years[1]) if years else None,
        float(age[1]) * IN_YEARS[age[2]] if age else None,
        float(volumes[1]) if volumes else None,
        float(volumes[2]) if volumes else None,
    )
