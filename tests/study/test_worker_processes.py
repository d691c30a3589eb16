"""Work shared by processes: all of it is done, and a process that dies ends in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latentdrift.errors import ResourceError
from latentdrift.study.worker_processes import run_in_processes

WRITE = "import os, pathlib; pathlib.Path(folder, name).write_text(str(os.getpid()))"
"""Task of a process, run by `exec` on an item: a file with the number of the process."""
AT_START = """
import os, signal, sys
if any("spawn_main" in word for word in sys.orig_argv):
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""sitecustomize.py that kills each worker before it reads anything."""
PARENT = """
from latentdrift.study.worker_processes import run_in_processes
large = "#" * 1_000_000
list(run_in_processes(exec, large, [{}, {}, {}], 2))
"""
"""Study whose state is far larger than the buffer of a pipe, 64 KiB."""


def test_each_item_is_done_in_another_process(tmp_path: Path) -> None:
    items = [{"folder": str(tmp_path), "name": name} for name in "abcde"]
    assert len(list(run_in_processes(exec, WRITE, items, 2))) == 5
    numbers = {path.name: int(path.read_text()) for path in tmp_path.iterdir()}
    assert sorted(numbers) == list("abcde")
    assert os.getpid() not in numbers.values() and len(set(numbers.values())) <= 2


def test_a_process_that_is_killed_at_its_work_ends_in_a_sentence() -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(ResourceError, match=r"one of 2 processes was killed.* fewer `workers`"):
        list(run_in_processes(exec, kill, [{}, {}], 2))


def test_an_error_of_the_task_is_passed_on() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_in_processes(exec, "1 / 0", [{}], 1))


def test_a_process_that_is_killed_at_its_start_does_not_hang_its_parent(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_START)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PARENT],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and "one of 2 processes was killed" in done.stderr
