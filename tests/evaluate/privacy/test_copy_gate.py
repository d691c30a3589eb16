"""Gate against copies: the cohort of a fit is found by its fingerprint, or there is no gate."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from latentdrift import record
from latentdrift.config import GenerateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError
from latentdrift.evaluate.privacy import copy_gate
from latentdrift.evaluate.privacy.copy_gate import (
    find_training_cohort,
    gate_edits,
    gate_images,
    open_gate,
)


@pytest.fixture
def run(tiny_cohort_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run beside its cohort, whose record names a place where the cohort was."""
    shutil.copytree(tiny_cohort_folder, tmp_path / "cohort")
    (tmp_path / "run" / "adapter").mkdir(parents=True)
    written = {"verb": "fit", "options": {"cohort": "/gone/cohort"}}

    def read(folder: Path) -> dict:
        if folder.name != "run":
            raise AdapterError("no record")
        return written

    monkeypatch.setattr(record, "read", read)
    return tmp_path / "run"


@pytest.mark.parametrize("place", ["", "adapter"])
def test_a_cohort_beside_the_run_is_found_by_its_fingerprint(run: Path, place: str) -> None:
    cohort = run.parent / "cohort"
    fingerprint = Cohort.load(cohort).fingerprint
    assert find_training_cohort(str(run / place), [fingerprint]) == cohort
    assert find_training_cohort(str(run / place), ["another"]) is None


def test_a_cohort_that_is_gone_gives_no_gate(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(run.parent / "cohort")
    options = GenerateOptions(adapter=str(run), out=run / "images")
    with caplog.at_level(logging.INFO):
        assert open_gate(options, ["fingerprint"]) is None
    assert "no gate: the cohort that this adapter was trained on is not where it was" in caplog.text


def test_a_gate_can_be_left_out(run: Path) -> None:
    options = GenerateOptions(adapter=str(run), out=run / "images", gate=False)
    assert open_gate(options, [Cohort.load(run.parent / "cohort").fingerprint]) is None
    assert gate_images(None, np.zeros((1, 8, 8, 3), np.uint8)) is None
    assert gate_edits(None, ["a"], 8, lambda kind, place: np.zeros((8, 8, 3))) is None


def test_the_gate_opens_on_the_cohort_that_is_found(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    class Opened:
        doubt = ""

        @staticmethod
        def of(cohort: Cohort, trained_on: list[str]) -> type[Opened]:
            opened.append((cohort.folder, trained_on))
            return Opened

    monkeypatch.setattr(copy_gate, "Gate", Opened)
    fingerprint = Cohort.load(run.parent / "cohort").fingerprint
    options = GenerateOptions(adapter=str(run), out=run / "images")
    assert open_gate(options, [fingerprint]) is Opened
    assert opened == [(run.parent / "cohort", [fingerprint])]
