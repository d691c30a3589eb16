"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift.adapt.training.train import fit
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base


@pytest.fixture(scope="session")
def made(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The adapter of a short fit."""
    cohort = Cohort.load(tiny_cohort_folder)
    out = tmp_path_factory.mktemp("card") / "run"
    options = FitOptions(
        cohort=cohort.folder,
        out=out,
        base=str(tiny_base_folder),
        method="lora",
        steps=2,
        batch_size=2,
        drift="0.1",
        preview_every=0,
    )
    fit(
        Base.load(tiny_base_folder, device="cpu", precision="fp32"),
        cohort,
        options,
        out,
        quiet=True,
    )
    return out / "adapter"
