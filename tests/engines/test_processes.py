"""Processes as workers: a death is told with its cause, and none outlives the main process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
import worker_tasks

from latentdrift.engines.processes import Processes
from latentdrift.engines.work import Work

AT_START = """
import os, signal, sys
if any("spawn_main" in word for word in sys.orig_argv):
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""sitecustomize.py that kills each worker before it reads anything."""
LARGE = """
from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work
large = "#" * 1_000_000
list(run_items(Work.on(large, exec), [{}, {}, {}], Workers(2)))
"""
"""Work that is far larger than the buffer of a pipe, 64 KiB."""
STAYING = """
import pathlib, sys
import worker_tasks
from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work
if __name__ == "__main__":
    work = Work.on(pathlib.Path(sys.argv[1]), worker_tasks.stay)
    list(run_items(work, range(9), Workers(2)))
"""
"""Program whose workers do not end by themselves."""


@contextmanager
def opened(work: Work) -> Iterator[Processes]:
    engine = Processes(work)
    try:
        yield engine
    finally:
        engine.close()


def until(is_so: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait until something is so; whether it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.02)
    return False


def test_a_process_is_ready_then_runs_items(tmp_path: Path) -> None:
    with opened(Work(partial(worker_tasks.open_pid, tmp_path), worker_tasks.square)) as engine:
        worker = engine.start()
        ready = engine.wait()
        assert ready.worker == worker and ready.outcome is not None and ready.outcome.error is None
        engine.hand_over(worker, 12)
        event = engine.wait()
        assert event.outcome is not None
        result, pid = event.outcome.result
        assert result == 144 and pid != os.getpid()
        assert [path.name for path in tmp_path.iterdir()] == [f"opened-{pid}"]


def test_the_death_of_a_process_is_told_with_its_cause(tmp_path: Path) -> None:
    with opened(Work.on(tmp_path, worker_tasks.die_always)) as engine:
        worker = engine.start()
        engine.wait()
        engine.hand_over(worker, 1)
        event = engine.wait()
        assert (event.worker, event.outcome, event.cause) == (worker, None, "Killed")


def test_a_result_that_cannot_travel_is_an_error(tmp_path: Path) -> None:
    with opened(Work.on(tmp_path, worker_tasks.hand_out_a_lock)) as engine:
        worker = engine.start()
        engine.wait()
        engine.hand_over(worker, 1)
        outcome = engine.wait().outcome
        assert outcome is not None and "the result cannot travel" in str(outcome.error)


def test_work_that_is_killed_at_its_start_does_not_hang_the_main_process(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_START)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", LARGE],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1 and "one process after another ended at its start" in (done.stderr)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_process_outlives_the_main_one(number: signal.Signals, tmp_path: Path) -> None:
    """Also in the middle of an item, and where nobody can tell them."""
    program = tmp_path / "program.py"
    program.write_text(STAYING)
    path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    main = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert until(lambda: len(list(tmp_path.glob("stays-*"))) == 2)
    workers = [int(file.name.partition("-")[2]) for file in tmp_path.glob("stays-*")]
    main.send_signal(number)
    main.wait(timeout=30)
    assert until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


def test_ctrl_c_reaches_the_main_process_alone(tmp_path: Path) -> None:
    """A terminal sends it to all processes of a group; workers say nothing of it."""
    program = tmp_path / "program.py"
    program.write_text(STAYING)
    path = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
    main = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert until(lambda: len(list(tmp_path.glob("stays-*"))) == 2)
    os.killpg(main.pid, signal.SIGINT)
    _, told = main.communicate(timeout=30)
    assert told.count("Traceback") == 1 and "KeyboardInterrupt" in told


def test_a_fast_process_does_not_keep_others_waiting(tmp_path: Path) -> None:
    with opened(Work.on(tmp_path, worker_tasks.square)) as engine:
        for _ in range(2):
            engine.start()
        workers = {engine.wait().worker for _ in range(2)}
        for worker in workers:
            engine.hand_over(worker, 1)
        time.sleep(0.5)
        first = engine.wait().worker
        engine.hand_over(first, 2)
        time.sleep(0.5)
        assert {first, engine.wait().worker} == workers
