"""Memory of the machine, within the limit of a container."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch

from latentdrift.adapt.training.planning import machine_memory
from latentdrift.adapt.training.planning.machine_memory import MachineMemory, program

CPU = torch.device("cpu")


def test_free_memory_is_part_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "CGROUP_LIMITS", ())
    memory = MachineMemory.of(CPU)
    assert memory.total == psutil.virtual_memory().total
    assert program() < memory.free <= memory.total


def test_a_container_has_no_more_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine_memory, "CGROUP_LIMITS", (limit, tmp_path / "none"))
    limit.write_text("3000000\n")
    assert MachineMemory.of(CPU) == MachineMemory(3_000_000, 3_000_000)
    limit.write_text("max\n")
    assert MachineMemory.of(CPU).total == psutil.virtual_memory().total


def test_the_program_grows_by_what_it_holds() -> None:
    before = program()
    held = torch.ones(25_000_000)  # 100 MB
    assert program() - before == pytest.approx(held.nbytes, rel=0.2)
