"""Rows of a cohort's table that options choose."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import pandas as pd

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError, unknown


def check_category(cohort: Cohort, name: str, option: str) -> None:
    """Check that an attribute of a cohort is a category.

    Args:
        cohort: The cohort.
        name: Name of the attribute.
        option: The parameter that names it, for errors.

    Raises:
        OptionError: There is no such category.
    """
    kinds = [known for known, spec in cohort.attributes.items() if spec.type == "category"]
    if name not in kinds:
        raise unknown(f"category for `{option}`", name, kinds)


def rows_of_patients(cohort: Cohort, split: str | None, patients: Sequence[str]) -> pd.DataFrame:
    """Rows of the table of some patients.

    Args:
        cohort: The cohort.
        split: Name of the split; None: the whole cohort.
        patients: Their pseudonyms; empty: all patients.

    Raises:
        OptionError: A patient is not in the split.
    """
    rows = cohort.rows(split)
    if not patients:
        return rows
    there = sorted(set(rows["patient"].dropna()))
    for name in patients:
        if name not in there:
            raise _unknown_patient(name, there, split)
    return rows[rows["patient"].isin(patients)]


def _unknown_patient(name: str, there: list[str], split: str | None) -> OptionError:
    """Make the error for a pseudonym that no row has; it names two others.

    Args:
        name: The pseudonym.
        there: Pseudonyms of the cohort or split.
        split: Name of the split; None: the whole cohort.
    """
    where = f"the {split} split of this cohort" if split else "this cohort"
    near = get_close_matches(name, there, n=2) or there[:2]
    return OptionError(
        f"`patient={name}` is not in {where}, which has {len(there)} patients, such as "
        f"{', '.join(near) or 'none with a name'}; give a pseudonym from its metadata.csv"
    )
