"""Items on their way through workers: each is done once, in bounded memory, also where workers
die."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import worker_tasks

from latentdrift.engines import schedule
from latentdrift.engines.schedule import MAX_DEATHS, WINDOW, Workers, run_items
from latentdrift.engines.work import Event, Outcome, Work
from latentdrift.errors import InputError, ResourceError


class Toy:
    """An engine whose workers do items in an order that the test chooses.

    Args:
        last: Items whose workers end only when nothing else is running.
        deaths: Item -> number of workers that die at it.
        deaths_at_start: Number of workers that die before they are ready.
    """

    noun = "toy"

    def __init__(
        self,
        last: tuple[int, ...] = (),
        deaths: dict[int, int] | None = None,
        deaths_at_start: int = 0,
    ) -> None:
        self.last = last
        self.deaths = dict(deaths or {})
        self.deaths_at_start = deaths_at_start
        self.running: dict[int, Any] = {}
        self.started = 0
        self.most = 0
        self.is_closed = False
        self.cause = "toy death"

    def start(self) -> int:
        self.started += 1
        self.running[self.started] = None
        return self.started

    def hand_over(self, worker: int, item: Any) -> None:
        assert worker not in self.running
        self.running[worker] = item
        self.most = max(self.most, len(self.running))

    def wait(self) -> Event:
        worker = min(self.running, key=lambda one: (self.running[one] in self.last, one))
        item = self.running.pop(worker)
        if item is None:
            if self.deaths_at_start:
                self.deaths_at_start -= 1
                return Event(worker, None, self.cause)
            return Event(worker, Outcome())
        if self.deaths.get(item, 0):
            self.deaths[item] -= 1
            return Event(worker, None, self.cause)
        return Event(worker, Outcome(item * item))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    engine = Toy()
    monkeypatch.setattr(schedule, "_engine", lambda work, workers: engine)
    return engine


NO_WORK = Work.on(None, worker_tasks.square)


def test_results_come_as_they_are_finished_or_in_order(toy: Toy) -> None:
    toy.last = (1,)
    assert list(run_items(NO_WORK, range(1, 7), Workers(2))) == [4, 9, 16, 25, 36, 1]
    in_order = list(run_items(NO_WORK, range(1, 7), Workers(2), in_order=True))
    assert in_order == [1, 4, 9, 16, 25, 36]


@pytest.mark.parametrize("in_order", [False, True])
def test_a_hundred_thousand_items_are_never_held_together(toy: Toy, in_order: bool) -> None:
    toy.last = (1, 5_000)
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(1, 100_001):
            drawn = number
            yield number

    held = 0
    results = 0
    for results, _ in enumerate(run_items(NO_WORK, items(), Workers(3), in_order=in_order), 1):
        held = max(held, drawn - results)
    assert results == drawn == 100_000
    assert held <= 3 * WINDOW and toy.most == 3 and toy.started == 3


def test_items_of_dead_workers_are_done_by_others(toy: Toy) -> None:
    toy.deaths = {2: MAX_DEATHS - 1, 5: 1}
    results = list(run_items(NO_WORK, range(1, 8), Workers(2), in_order=True))
    assert results == [number * number for number in range(1, 8)]
    assert toy.started == 2 + MAX_DEATHS


def test_an_item_at_which_worker_after_worker_dies_ends_in_a_sentence(toy: Toy) -> None:
    toy.deaths = {2: MAX_DEATHS}
    with pytest.raises(ResourceError, match=r"one toy after another ended at the same item"):
        list(run_items(NO_WORK, range(1, 8), Workers(2)))
    assert toy.is_closed


def test_workers_that_die_at_their_start_end_in_a_sentence(toy: Toy) -> None:
    toy.deaths_at_start = MAX_DEATHS - 1
    assert len(list(run_items(NO_WORK, range(1, 4), Workers(1, ray="toy")))) == 3
    toy.deaths_at_start = MAX_DEATHS
    with pytest.raises(ResourceError, match=r"at its start, 3 times \(toy death\)"):
        list(run_items(NO_WORK, range(1, 4), Workers(2)))


def test_a_script_that_starts_itself_again_is_said(toy: Toy) -> None:
    toy.deaths_at_start = MAX_DEATHS
    toy.cause = "exit code 1"
    with pytest.raises(ResourceError, match=r"below `if __name__ == '__main__':`"):
        list(run_items(NO_WORK, range(1, 4), Workers(2)))


def test_no_more_workers_start_than_there_are_items(toy: Toy) -> None:
    assert list(run_items(NO_WORK, [3], Workers(9))) == [9]
    assert list(run_items(NO_WORK, [], Workers(9))) == []
    assert toy.started == 1


def test_workers_end_when_the_results_are_closed(toy: Toy) -> None:
    results = run_items(NO_WORK, range(1, 9), Workers(2))
    next(results)
    assert not toy.is_closed
    results.close()  # type: ignore[attr-defined]
    assert toy.is_closed


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    work = Work(partial(worker_tasks.open_pid, tmp_path), worker_tasks.square)
    assert list(run_items(work, [], Workers())) == [] and not list(tmp_path.iterdir())
    results = list(run_items(work, [3, 2], Workers()))
    assert results == [(9, os.getpid()), (4, os.getpid())]


def test_processes_lose_nothing_when_one_is_killed(tmp_path: Path) -> None:
    work = Work(partial(worker_tasks.open_pid, tmp_path), worker_tasks.die_once)
    results = list(run_items(work, range(40), Workers(2), in_order=True))
    assert [square for square, _ in results] == [number * number for number in range(40)]
    assert (tmp_path / "died").is_file()
    assert os.getpid() not in {pid for _, pid in results}


def test_processes_that_are_killed_at_one_item_end_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"ended at the same item.* fewer `workers`"):
        list(run_items(Work.on(tmp_path, worker_tasks.die_always), [0], Workers(2)))
    assert len(list(tmp_path.glob("death-*"))) == MAX_DEATHS


def test_an_error_of_a_task_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="item 0 cannot be used"):
        list(run_items(Work.on(tmp_path, worker_tasks.refuse), [0], Workers(2)))


def test_log_lines_of_workers_are_written_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    list(run_items(Work.on(tmp_path, worker_tasks.warn), [3], Workers(2)))
    assert [line.getMessage() for line in caplog.records] == ["item 3 is odd"]
