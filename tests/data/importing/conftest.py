"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from moved_brains import imported, moved_scans
from noise_pictures import picture

from latentdrift.data.cohort.cohort import Cohort


@pytest.fixture
def source(tmp_path):
    for seed in range(6):
        picture(tmp_path / "scans" / f"{seed}.png", seed)
    return tmp_path / "scans"


@pytest.fixture(scope="package")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans of `moved_brains`."""
    return moved_scans(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="package")
def plain(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Their cohort without registration."""
    return imported(scans, tmp_path_factory.mktemp("plain") / "cohort")


@pytest.fixture(scope="package")
def registered(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Their cohort with registered visits."""
    return imported(scans, tmp_path_factory.mktemp("registered") / "cohort", register="rigid")
