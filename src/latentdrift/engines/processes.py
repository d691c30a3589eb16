"""Processes: workers on this machine, each a process with a pipe to the main one.

`concurrent.futures` is not used: where one of its processes dies, it ends all others, and does not
say which item was lost.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from latentdrift.engines.work import Event, Outcome, Work, WorkerSide, use_gpu, use_one_thread


class Processes:
    """Workers that are spawned processes.

    Args:
        work: The work.
        uses_gpu: Whether the workers take the GPUs of the machine in turn.
    """

    noun = "process"

    def __init__(self, work: Work[Any, Any, Any], *, uses_gpu: bool = False) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._work = pickle.dumps(work)
        self._uses_gpu = uses_gpu
        self._numbers = count()
        self._lines: dict[int, Connection] = {}
        self._processes: dict[int, SpawnProcess] = {}
        self._ready: deque[Any] = deque()
        """Pipes that hold a message, or the end of their process."""

    def start(self) -> int:
        """Start a process.

        The work travels through the pipe. In the process's own start-up pipe it would block this
        process for ever if the other one died before reading it: `multiprocessing` holds the
        reading end open meanwhile (CPython, popen_spawn_posix.py).
        """
        number = next(self._numbers)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, number, self._uses_gpu), daemon=True
        )
        with _interrupts_blocked():
            process.start()
        theirs.close()
        self._lines[number] = ours
        self._processes[number] = process
        with suppress(OSError):  # it has died, which `wait` reports
            ours.send_bytes(self._work)
        return number

    def hand_over(self, worker: int, item: Any) -> None:
        """Send an item to a process."""
        with suppress(OSError):  # it has died, which `wait` reports
            self._lines[worker].send(item)

    def wait(self) -> Event:
        """Wait for a message or the end of any process."""
        if not self._ready:  # all that are ready have their turn before the next look
            self._ready.extend(wait(list(self._lines.values())))
        ready = cast(Connection, self._ready.popleft())
        worker = next(number for number, line in self._lines.items() if line is ready)
        try:
            outcome: Outcome = ready.recv()
        except (EOFError, OSError):
            return self._buried(worker)
        return Event(worker, outcome)

    def close(self) -> None:
        """Kill all processes."""
        for process in self._processes.values():
            process.kill()
        for worker in list(self._processes):
            self._buried(worker)

    def _buried(self, worker: int) -> Event:
        """Event of a process that has died, of which nothing is left."""
        self._lines.pop(worker).close()
        process = self._processes.pop(worker)
        process.join()
        code = process.exitcode or 0
        cause = f"exit code {code}" if code >= 0 else str(signal.strsignal(-code))
        process.close()
        return Event(worker, None, cause)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach; the main process ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(line: Connection, number: int, uses_gpu: bool) -> None:
    """Run items in a process until the main process is gone."""
    for name in ("SIGINT", "SIGUSR1"):  # sent to a whole group; the main process ends this one
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_one_thread()
    with suppress(EOFError, OSError):
        side = WorkerSide(line.recv_bytes())
        if uses_gpu:
            use_gpu(number)
        line.send_bytes(_packed(side.open()))
        while True:
            line.send_bytes(_packed(side.run(line.recv())))


def _end_with_parent() -> None:
    """End this process, also in the middle of an item, when the main process is gone."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _packed(outcome: Outcome) -> bytes:
    """An outcome as bytes; a result that cannot travel is an error of its task."""
    try:
        return pickle.dumps(outcome)
    except Exception as error:  # noqa: BLE001
        return pickle.dumps(Outcome(error=TypeError(f"the result cannot travel: {error}")))
