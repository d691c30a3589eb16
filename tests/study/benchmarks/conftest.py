"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import tiny_cohort

from latentdrift.data.cohort.cohort import Cohort


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty pictures of fifteen patients; half of them have dementia, a large dark disc."""
    return tiny_cohort(tmp_path_factory.mktemp("tables") / "cohort", 30)


@pytest.fixture(scope="module")
def cohort(folder: Path) -> Cohort:
    return Cohort.load(folder)
