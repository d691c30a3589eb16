"""Work of a study that several processes share, each of which loads a model of its own."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from latentdrift.errors import ResourceError

State = TypeVar("State")
Item = TypeVar("Item")


def run_in_processes(
    task: Callable[[State, Item], None], state: State, items: Sequence[Item], workers: int
) -> Iterator[None]:
    """Run a task on each item, in several processes.

    The state reaches the processes as a file. A large state in a process's own start-up pipe
    blocks this process for ever if the other one dies before it reads the pipe: `multiprocessing`
    holds the reading end open while it writes (CPython, popen_spawn_posix.py).

    Args:
        task: Function of a module, called with the state and an item.
        state: Value that each process reads once, such as settings.
        items: Items, at least one.
        workers: Number of processes.

    Yields:
        None after each finished item.

    Raises:
        ResourceError: A process ended before its work was done.
    """
    with TemporaryDirectory(prefix="latentdrift-") as folder:
        path = Path(folder) / "state.pickle"
        path.write_bytes(pickle.dumps(state))
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _die_silently_on_interrupt
        )
        try:
            for future in as_completed([pool.submit(_run, task, path, item) for item in items]):
                yield future.result()
        except BrokenProcessPool as error:
            raise ResourceError(
                f"one of {workers} processes was killed, most likely for lack of memory: each "
                "holds a model of its own; take fewer `workers`, finished points are kept"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_states: dict[Path, Any] = {}
"""State of a worker process by its file, once it is read."""


def _die_silently_on_interrupt() -> None:
    """Let an interrupted process end without a traceback of its own."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run(task: Callable[[Any, Any], None], path: Path, item: Any) -> None:
    """Run the task in a worker process."""
    if path not in _states:
        _states[path] = pickle.loads(path.read_bytes())
    task(_states[path], item)
