"""Run work on items: `run_items` hands them to workers, and again where a worker died.

START READING AT `run_items`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

from latentdrift.engines.processes import Processes
from latentdrift.engines.work import Engine, Event, Outcome, Work
from latentdrift.errors import ResourceError

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW = 4
"""Items a worker, at most, that are in work or whose results wait for their turn."""
MAX_DEATHS = 3
"""Workers that may die at one item, or one after the other at their start."""

MEMORY = (
    "for lack of memory: each holds a model of its own; take fewer `workers`, what is finished is "
    "kept"
)
SCRIPT = (
    "because a script starts itself again in each: let the call stand below `if __name__ == "
    "'__main__':`"
)
"""Likely causes of deaths, and what to do."""


@dataclass(frozen=True)
class Workers:
    """Workers of a verb: how many, and where."""

    count: int = 1
    """1 without Ray: this process does the work itself."""
    ray: str | None = None
    """Address of a Ray cluster; None: processes of this machine."""
    uses_gpu: bool = False
    """Whether each worker takes a GPU."""

    @property
    def is_this_process(self) -> bool:
        """Whether there are no workers beside this process."""
        return self.count == 1 and self.ray is None


def run_items(
    work: Work[State, Item, Result],
    items: Iterable[Item],
    workers: Workers,
    *,
    in_order: bool = False,
) -> Generator[Result, None, None]:
    """Run a task on each item, and yield the results.

    Items are drawn as they are needed. Where a worker dies, another one runs its item. When the
    iterator is closed, as by an interrupt, all workers end.

    Args:
        work: The task, and the state that it needs.
        items: The items, of any number.
        workers: Number and place of the workers.
        in_order: Whether results come in the order of the items; otherwise as they are finished.

    Raises:
        ResourceError: Workers die at the same item again and again, or cannot start.
        Exception: As the task raised it.
    """
    if workers.is_this_process:
        yield from _run_here(work, items)
        return
    engine = _engine(work, workers)
    try:
        yield from _Schedule(engine, items, workers.count, in_order).results()
    finally:
        engine.close()


def _run_here(work: Work[State, Item, Result], items: Iterable[Item]) -> Iterator[Result]:
    state = cache(work.open)
    for item in items:
        yield work.task(state(), item)


def _engine(work: Work[Any, Any, Any], workers: Workers) -> Engine:
    if workers.ray is None:
        return Processes(work, uses_gpu=workers.uses_gpu)
    from latentdrift.engines.ray_actors import RayActors

    return RayActors(work, workers.ray, uses_gpu=workers.uses_gpu)


@dataclass(frozen=True)
class _Assignment:
    """An item that is to be done."""

    number: int
    item: Any
    deaths: int = 0
    """Workers that died at it."""


class _Schedule:
    """Items on their way through workers."""

    def __init__(self, engine: Engine, items: Iterable[Any], workers: int, in_order: bool) -> None:
        self.engine = engine
        self.workers = workers
        self.in_order = in_order
        self.coming = (_Assignment(number, item) for number, item in enumerate(items))
        self.todo: deque[_Assignment] = deque()
        self.busy: dict[int, _Assignment] = {}
        self.idle: set[int] = set()
        self.opening: set[int] = set()
        self.finished: dict[int, Any] = {}
        """Number of an item -> its result, until it is yielded."""
        self.drawn = 0
        self.yielded = 0
        self.deaths_at_start = 0

    def results(self) -> Iterator[Any]:
        """Do all items, and yield their results."""
        while True:
            self._draw()
            if not self.todo and not self.busy:
                return
            self._start()
            self._hand_over()
            self._take(self.engine.wait())
            yield from self._due()

    def _draw(self) -> None:
        """Draw items until enough are on their way, or there are no more."""
        while self.drawn - self.yielded < WINDOW * self.workers:
            assignment = next(self.coming, None)
            if assignment is None:
                return
            self.drawn += 1
            self.todo.append(assignment)

    def _start(self) -> None:
        """Start workers, no more than there are items for."""
        wanted = min(self.workers, len(self.todo) + len(self.busy))
        while len(self.busy) + len(self.idle) + len(self.opening) < wanted:
            self.opening.add(self.engine.start())

    def _hand_over(self) -> None:
        """Give items to idle workers."""
        while self.todo and self.idle:
            worker = self.idle.pop()
            self.busy[worker] = self.todo.popleft()
            self.engine.hand_over(worker, self.busy[worker].item)

    def _take(self, event: Event) -> None:
        """Take note of what a worker did."""
        if event.outcome is None:
            self._replace(event)
            return
        _log(event.outcome)
        if event.outcome.error is not None:
            raise event.outcome.error
        if event.worker in self.opening:
            self.opening.remove(event.worker)
            self.deaths_at_start = 0
        else:
            self.finished[self.busy.pop(event.worker).number] = event.outcome.result
        self.idle.add(event.worker)

    def _replace(self, event: Event) -> None:
        """Put the item of a dead worker back; the next round starts another worker.

        Raises:
            ResourceError: Too many workers died.
        """
        self.idle.discard(event.worker)
        assignment = self.busy.pop(event.worker, None)
        if assignment is not None:
            assignment = replace(assignment, deaths=assignment.deaths + 1)
            self.todo.appendleft(assignment)
        elif event.worker in self.opening:
            self.opening.remove(event.worker)
            self.deaths_at_start += 1
        if assignment is not None and assignment.deaths == MAX_DEATHS:
            raise ResourceError(self._sentence("at the same item", event.cause, MEMORY))
        if self.deaths_at_start == MAX_DEATHS:
            likely = SCRIPT if event.cause.startswith("exit code") else MEMORY
            raise ResourceError(self._sentence("at its start", event.cause, likely))

    def _sentence(self, where: str, cause: str, likely: str) -> str:
        return (
            f"one {self.engine.noun} after another ended {where}, {MAX_DEATHS} times ({cause}), "
            f"most likely {likely}"
        )

    def _due(self) -> Iterator[Any]:
        """Yield the results whose turn it is."""
        while self.finished:
            number = self.yielded if self.in_order else next(iter(self.finished))
            if number not in self.finished:
                return
            self.yielded += 1
            yield self.finished.pop(number)


def _log(outcome: Outcome) -> None:
    """Write the log lines of an item as this process's own."""
    for line in outcome.logs:
        logger = logging.getLogger(line.name)
        if logger.isEnabledFor(line.levelno):
            logger.handle(line)
