"""Work: a task on independent items, what a worker does with it, and what an engine is.

An engine runs workers: processes (`processes.py`) or actors of Ray (`ray_actors.py`).
"""

from __future__ import annotations

import logging
import os
import pickle
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = "OMP_NUM_THREADS"
"""Environment variable with the number of threads of a process, which torch and BLAS read."""


@dataclass(frozen=True)
class Work(Generic[State, Item, Result]):
    """A task on independent items.

    An item may run twice, where its worker died, so a task has to be idempotent. Both functions are
    functions of a module, or a `partial` of one, because they travel to the workers.
    """

    open: Callable[[], State]
    """Makes the state that all items of a worker share, such as a loaded model."""
    task: Callable[[State, Item], Result]
    """Runs one item."""

    @classmethod
    def on(cls, state: State, task: Callable[[State, Item], Result]) -> Work[State, Item, Result]:
        """Work whose state is a value that travels to the workers as it is."""
        return cls(partial(_itself, state), task)


def _itself(state: State) -> State:
    return state


@dataclass(frozen=True)
class Outcome:
    """Result of one item, or its error."""

    result: Any = None
    error: Exception | None = None
    logs: tuple[logging.LogRecord, ...] = ()
    """Log lines of the item, which the main process writes."""


@dataclass(frozen=True)
class Event:
    """News of a worker: it is ready, has finished an item, or has died."""

    worker: int
    outcome: Outcome | None
    """Outcome of its start or of its item; None: the worker has died."""
    cause: str = ""
    """Cause of its death, for a sentence."""


class Engine(Protocol):
    """Workers, known by their numbers."""

    noun: str
    """Noun for a worker, for a sentence."""

    def start(self) -> int:
        """Start a worker, whose first event says that its state is open; returns its number."""

    def hand_over(self, worker: int, item: Any) -> None:
        """Give an item to a worker that is ready."""

    def wait(self) -> Event:
        """Wait for the next event of any worker."""

    def close(self) -> None:
        """End all workers at once, also in the middle of an item."""


class WorkerSide:
    """A worker's side of the work: opens the state once, then runs items.

    Args:
        pickled: A pickled `Work`.
    """

    def __init__(self, pickled: bytes) -> None:
        self._pickled = pickled
        self._state: Any = None
        self._task: Callable[[Any, Any], Any] | None = None
        self._records: SimpleQueue[logging.LogRecord] = SimpleQueue()
        root = logging.getLogger()
        root.setLevel(logging.INFO)
        root.addHandler(QueueHandler(self._records))

    def open(self) -> Outcome:
        """Open the state. Its log lines are dropped: the main process has opened the same."""
        outcome = self._attempt(self._open)
        return Outcome(error=outcome.error)

    def run(self, item: Any) -> Outcome:
        """Run the task on an item."""
        assert self._task is not None
        return self._attempt(partial(self._task, self._state, item))

    def _open(self) -> None:
        work: Work[Any, Any, Any] = pickle.loads(self._pickled)
        self._task = work.task
        self._state = work.open()

    def _attempt(self, function: Callable[[], Any]) -> Outcome:
        try:
            result = function()
        except Exception as error:  # noqa: BLE001
            return Outcome(error=_portable(error), logs=self._logs())
        return Outcome(result, logs=self._logs())

    def _logs(self) -> tuple[logging.LogRecord, ...]:
        """Log lines since the last call."""
        return tuple(self._records.get() for _ in range(self._records.qsize()))


def _portable(error: Exception) -> Exception:
    """An error that can travel, with the worker's traceback as a note."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"In a worker:\n{trace}")
    return error


def use_one_thread() -> None:
    """Let this worker use one thread, unless the environment says another number."""
    threads = os.environ.setdefault(THREADS, "1")
    torch = sys.modules.get("torch")
    if torch is not None and threads.isdecimal():
        torch.set_num_threads(int(threads))


def use_gpu(number: int) -> None:
    """Put a worker of this machine onto one of its GPUs.

    Args:
        number: Number of the worker; the workers take the GPUs in turn.
    """
    import torch

    torch.cuda.set_device(number % torch.cuda.device_count())
