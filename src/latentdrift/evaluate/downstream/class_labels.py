"""Two classes of a cohort's images that a classifier is to tell apart, from an attribute of its
table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from latentdrift import prompts
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, InputError, OptionError, unknown

MIN_IMAGES = 2
"""Images of each class that a classifier needs."""


@dataclass(frozen=True)
class Classes:
    """Images with a value of an attribute, and the rest of those whose attribute is known."""

    attribute: str
    value: str
    """Value as the cohort spells it; for findings, one of several that an image can have."""

    def __str__(self) -> str:
        return f"{self.attribute}={self.value}"

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        by: str | None,
        option: str = "by",
        splits: tuple[str | None, str | None] = ("train", "test"),
    ) -> Classes:
        """`attribute=value` against the rest, or a category of exactly two values; default: the
        first such category but sex.

        Args:
            cohort: Cohort of the images.
            by: Value of the option.
            option: The parameter that names the class, for errors.
            splits: Training and test split.

        Raises:
            OptionError: An attribute that is unknown, a number or has another number of values; an
                unknown value.
            CohortError: No category has two values, or a split has too few images of a class.
        """
        spec = cohort.attributes
        pairs = [
            name for name, kind in spec.items() if kind.type == "category" and len(kind.words) == 2
        ]
        first = next((name for name in pairs if name != "sex"), None) or next(
            iter(pairs), ""
        )  # of the illness, where it is told
        if by is None and not pairs:
            raise CohortError(
                f"no category of cohort {cohort.folder} has exactly two values; say "
                f"`{option}=ATTRIBUTE=VALUE`, one value against the rest; its attributes: "
                f"{', '.join(spec)}"
            )
        name, equals, value = (by or first).partition("=")
        name = {known.lower(): known for known in spec}.get(name.strip().lower(), name.strip())
        if name not in spec:
            raise unknown("attribute", name, spec)
        if spec[name].is_number:
            raise OptionError(
                f"`{option}={name}`: a number, and a classifier tells two classes apart; give a "
                "category or a finding"
            )
        words = spec[name].words
        if not equals and name not in pairs:
            raise OptionError(
                f"`{option}={name}`: {len(words)} values, and a classifier tells two classes "
                f"apart; give one of them against the rest, `{option}={name}=VALUE`; known: "
                f"{', '.join(words)}"
            )
        if equals and name == "findings":
            value = prompts.parse_finding(value, spec)
        elif equals:
            value = str(prompts.parse_assignment(f"{name}={value}", spec)[1])
        classes = cls(name, value or words[0])
        classes.check(cohort, option, splits)
        return classes

    def labels(self, rows: pd.DataFrame) -> np.ndarray:
        """Class of each row, float [N]: 1 for the value, 0 for another, NaN where it is unknown."""
        several = self.attribute == "findings"
        return np.array([_has(cell, self.value, several=several) for cell in rows[self.attribute]])

    def check(self, cohort: Cohort, option: str, splits: tuple[str | None, str | None]) -> None:
        """Check that each class has enough images in the training and in the test split.

        Args:
            cohort: The cohort.
            option: Name of the option, for messages.
            splits: Training and test split; None: all images.

        Raises:
            CohortError: Fewer than MIN_IMAGES images of a class.
        """
        for split in splits:
            labels = self.labels(cohort.rows(split))
            ones = int((labels == 1).sum())
            rest = int((labels == 0).sum())
            if min(ones, rest) < MIN_IMAGES:
                raise CohortError(
                    f"the {split} split of cohort {cohort.folder} has {ones} images with {self} "
                    f"and {rest} without, and a classifier needs at least {MIN_IMAGES} of each; "
                    f"take another `{option}`, or import again with `stratify={self.attribute}`"
                )

    def check_synthetic(self, cohort: Cohort) -> None:
        """Check that a synthetic cohort has enough images of each class to learn from.

        Args:
            cohort: Cohort of synthetic images.

        Raises:
            InputError: It lacks the attribute.
            CohortError: Fewer than MIN_IMAGES images of a class.
        """
        rows = cohort.rows()
        if self.attribute not in rows:
            raise InputError(
                f"the synthetic images have no column '{self.attribute}' to learn {self} from; "
                "give a cohort that has it"
            )
        labels = self.labels(rows)
        ones = int((labels == 1).sum())
        rest = int((labels == 0).sum())
        if min(ones, rest) < MIN_IMAGES:
            raise CohortError(
                f"the synthetic cohort {cohort.folder} has {ones} images with {self} and {rest} "
                f"without, and a classifier needs at least {MIN_IMAGES} of each; draw more images "
                "of the class that lacks them"
            )


def _has(cell: Any, value: str, *, several: bool) -> float:
    if prompts.is_missing(cell):
        return np.nan
    return float(value in prompts.split_findings(cell) if several else value == str(cell))
