"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_cohort

import latentdrift as ld

CPU: dict[str, Any] = {"device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> ld.Cohort:
    """Twelve phantoms of six patients."""
    return ld.Cohort.load(tiny_cohort(tmp_path_factory.mktemp("api") / "cohort"))


@pytest.fixture(scope="session")
def model(
    cohort: ld.Cohort, tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> ld.Model:
    """A LoRA of two steps."""
    return ld.fit(
        cohort,
        out=tmp_path_factory.mktemp("api") / "run",
        base=tiny_base_folder,
        steps=2,
        batch_size=2,
        drift="none",
        preview_every=0,
        progress=False,
        **CPU,
    )
