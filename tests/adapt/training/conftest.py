"""Fixtures of the training tests: a cohort, a short fit, a trainer with a batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import asked, short_fit

from latentdrift.adapt.training.batches import batches
from latentdrift.adapt.training.batches.batches import Batch
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.setup import training_setup
from latentdrift.adapt.training.train import FitResult
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift

HELD_OUT = batches.HELD_OUT


@pytest.fixture
def held_out_as_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """The held-out loss has the draws of a user's fit; tests/conftest.py lets the others draw
    fewer."""
    monkeypatch.setattr(batches, "HELD_OUT", HELD_OUT)


@pytest.fixture(scope="module")
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


@pytest.fixture
def run(tiny_base_folder: Path, cohort: Cohort, tmp_path: Path) -> Callable[..., FitResult]:
    """A short fit into tmp_path / `to`."""

    def call(to: str = "run", *, data: Cohort = cohort, **more: Any) -> FitResult:
        return short_fit(tiny_base_folder, data, tmp_path / to, **more)

    return call


@pytest.fixture
def trainer(tiny_base_folder: Path, cohort: Cohort) -> Callable[..., tuple[Trainer, Batch]]:
    """A trainer of the whole U-Net, and a batch of eight."""

    def make(**more: Any) -> tuple[Trainer, Batch]:
        options = asked(
            tiny_base_folder, cohort, Path("unused"), **{"method": "full", "batch_size": 8, **more}
        )
        base = Base.load(tiny_base_folder, device="cpu", precision="fp32")
        todo = training_setup.job(base, cohort, options)
        base, parameters = todo.row.prepare(base, options, cohort.describe)
        made = Trainer(base, parameters, base.embed, Drift(), todo, torch.float32)
        source = torch.Generator().manual_seed(0)
        x0, eps = torch.randn((2, 8, 4, 8, 8), generator=source)
        said = tuple(f"a brain MRI of a {60 + year} year old" for year in range(8))
        return made, Batch(x0, eps, torch.arange(8) * 120, said, said)

    return make
