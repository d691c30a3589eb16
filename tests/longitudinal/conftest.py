"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift.data.cohort.cohort import Cohort


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)
