"""A worker's side of the work: what it says of its items, and what travels back."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import worker_tasks

from latentdrift.engines.work import Work, WorkerSide, use_one_thread
from latentdrift.errors import InputError


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """A worker changes the root logger of its process."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def side(work: Work) -> WorkerSide:
    return WorkerSide(pickle.dumps(work))


def test_the_state_is_opened_once_for_all_items(tmp_path: Path) -> None:
    work = side(Work(partial(worker_tasks.open_pid, tmp_path), worker_tasks.square))
    assert work.open().error is None
    opened = [path.stat().st_mtime_ns for path in tmp_path.glob("opened-*")]
    assert [work.run(number).result[0] for number in (2, 3)] == [4, 9]
    assert [path.stat().st_mtime_ns for path in tmp_path.glob("opened-*")] == opened


def test_an_error_travels_with_its_class_and_traceback(tmp_path: Path) -> None:
    work = side(Work.on(tmp_path, worker_tasks.refuse))
    work.open()
    error = pickle.loads(pickle.dumps(work.run(7))).error
    assert isinstance(error, InputError) and str(error) == "item 7 cannot be used"
    assert "worker_tasks.py" in error.__notes__[0]


def test_an_error_that_cannot_travel_is_told_in_words(tmp_path: Path) -> None:
    work = side(Work.on(tmp_path, worker_tasks.refuse_pickily))
    work.open()
    error = pickle.loads(pickle.dumps(work.run(0))).error
    assert type(error) is RuntimeError and str(error) == "PickyError: this and that"


def test_work_that_cannot_be_read_is_an_error_of_the_start() -> None:
    assert isinstance(WorkerSide(b"no pickle").open().error, pickle.UnpicklingError)


def test_log_lines_travel_with_their_item_and_those_of_the_start_do_not(tmp_path: Path) -> None:
    warn_at_start = Work(partial(worker_tasks.warn, tmp_path, 1), worker_tasks.warn)
    work = side(warn_at_start)
    assert work.open().logs == ()
    lines = pickle.loads(pickle.dumps(work.run(5))).logs
    assert [line.getMessage() for line in lines] == ["item 5 is odd", "item 5 is done"]
    assert [line.levelno for line in lines] == [logging.WARNING, logging.INFO]
    assert [line.getMessage() for line in work.run(6).logs] == ["item 6 is odd", "item 6 is done"]


@pytest.mark.parametrize(("given", "threads"), [(None, 1), ("3", 3)])
def test_a_worker_has_one_thread_unless_the_environment_says_another_number(
    given: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "9")
    monkeypatch.delenv("OMP_NUM_THREADS")
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    torch.set_num_threads(2)
    try:
        use_one_thread()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_workers_take_the_gpus_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    from latentdrift.engines.work import use_gpu

    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for number in range(5):
        use_gpu(number)
    assert taken == [0, 1, 2, 0, 1]
