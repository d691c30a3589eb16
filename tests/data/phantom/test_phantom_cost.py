"""Time of a phantom study: the first scan of a patient and the further ones count apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from latentdrift import config
from latentdrift.cli import dry_run
from latentdrift.data.phantom import phantom_cost
from latentdrift.data.phantom.phantom import kind_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that a scan moves: by 5 s with a new anatomy, else by 1 s; the very first scan of a
    process takes 100 s more."""
    state = SimpleNamespace(now=100.0, subjects=set())

    def render(subject: int, *_: Any, **__: Any) -> np.ndarray:
        state.now += (1.0 if subject in state.subjects else 5.0) + (0 if state.subjects else 100.0)
        state.subjects.add(subject)
        return np.zeros((8, 8))

    fake = replace(kind_of("brain"), render=render)
    monkeypatch.setattr(phantom_cost, "kind_of", lambda kind: fake)
    monkeypatch.setattr(phantom_cost.time, "perf_counter", lambda: state.now)
    return state


@pytest.mark.parametrize(
    ("patients", "visits", "seconds"), [(1, 1, 5.0), (48, 2, 288.0), (10, 4, 80.0)]
)
def test_each_patient_costs_an_anatomy_and_its_further_visits(
    clock: SimpleNamespace, patients: int, visits: int, seconds: float
) -> None:
    study = {"kind": "brain", "size": 8, "seed": 0}
    cost = phantom_cost.phantom_seconds(patients=patients, visits=visits, **study)  # type: ignore[arg-type]
    assert cost == pytest.approx(seconds)


@pytest.mark.parametrize(("enough", "patients"), [(0.0, 1), (13.0, 3), (1e9, 16)])
def test_patients_are_drawn_until_enough_time_has_passed(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, enough: float, patients: int
) -> None:
    monkeypatch.setattr(phantom_cost, "ENOUGH", enough)
    phantom_cost.phantom_seconds(kind="brain", patients=9, visits=2, size=8, seed=0)
    assert len(clock.subjects) == 1 + patients


def test_the_dry_run_writes_nothing(tmp_path: Path) -> None:
    options = config.PhantomOptions(out=tmp_path / "scans", patients=3, visits=2, size=64)
    planned = dry_run.run("phantom", options)
    assert planned["scans"] == 6 and planned["seconds"] > 0
    assert list(tmp_path.iterdir()) == []
