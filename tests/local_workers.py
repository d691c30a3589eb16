"""Workers of an engine that live in this process: their work and items travel as to processes, and
nothing has to be imported again."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from latentdrift import preflight
from latentdrift.engines import schedule
from latentdrift.engines.work import Event, Work, WorkerSide


class LocalWorkers:
    """Workers whose items end in the opposite order of their start.

    Args:
        work: The work.
        deaths: Number of workers that die after their item is done and before they say so.
    """

    noun = "worker"

    def __init__(self, work: Work, deaths: int = 0) -> None:
        self.work = pickle.dumps(work)
        self.deaths = deaths
        self.sides: list[WorkerSide] = []
        self.calls: dict[int, bytes | None] = {}
        self.items: list[Any] = []

    def start(self) -> int:
        self.sides.append(WorkerSide(self.work))
        self.calls[len(self.sides) - 1] = None
        return len(self.sides) - 1

    def hand_over(self, worker: int, item: Any) -> None:
        self.calls[worker] = pickle.dumps(item)

    def wait(self) -> Event:
        worker = next((one for one, item in self.calls.items() if item is None), max(self.calls))
        item = self.calls.pop(worker)
        if item is None:
            return Event(worker, self.sides[worker].open())
        self.items.append(pickle.loads(item))
        outcome = self.sides[worker].run(pickle.loads(item))
        if self.deaths:
            self.deaths -= 1
            return Event(worker, None, "death")
        return Event(worker, pickle.loads(pickle.dumps(outcome)))

    def close(self) -> None:
        self.calls.clear()


@contextmanager
def local_workers(deaths: int = 0) -> Iterator[list[LocalWorkers]]:
    """Context in which workers are in this process; yields the engines that were opened."""
    opened: list[LocalWorkers] = []

    def engine(work: Work, workers: schedule.Workers) -> LocalWorkers:
        opened.append(LocalWorkers(work, deaths))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "_engine", engine)
        patch.setattr(preflight, "check_cluster", lambda address: None)
        patch.setattr("logging.Logger.addHandler", lambda self, handler: None)
        patch.setattr("logging.Logger.setLevel", lambda self, level: None)
        yield opened
