"""RayActors: workers that are actors of a Ray cluster, on any of its machines.

All machines need this environment, and the folders of the command under the same paths.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from typing import Any

from latentdrift.engines.work import Event, Outcome, Work, WorkerSide, use_one_thread
from latentdrift.errors import ResourceError

log = logging.getLogger(__name__)
PATIENCE = 60.0
"""Seconds without a first actor after which the cluster's lack of room is said."""
ANSWER = 10.0
"""Seconds in which a cluster answers."""


class RayActors:
    """Workers that are Ray actors with a processor or a GPU each.

    An existing connection of this process is used; otherwise one is opened, and closed at the end.

    Args:
        work: The work.
        address: Address of the cluster, `HOST:PORT`; `auto`: the one on this machine.
        uses_gpu: Whether each actor takes a GPU.

    Raises:
        ResourceError: The cluster cannot be reached.
    """

    noun = "actor"

    def __init__(self, work: Work[Any, Any, Any], address: str, *, uses_gpu: bool = False) -> None:
        ray = _ray()
        self._ray = ray
        self._owns_connection = not ray.is_initialized()
        if self._owns_connection:
            _connect(ray, address)
        self._work = ray.put(pickle.dumps(work))
        resources = {"num_gpus": 1} if uses_gpu else {"num_cpus": 1}
        self._actor_class = ray.remote(max_restarts=0, **resources)(_Actor)
        self._numbers = count()
        self._actors: dict[int, Any] = {}
        self._calls: dict[Any, int] = {}
        """Reference of a running call -> its actor."""
        self._patience: float | None = PATIENCE
        """None once an actor was ready."""

    def start(self) -> int:
        """Start an actor. Where the cluster has no room, it waits, and others do its work."""
        number = next(self._numbers)
        actor = self._actor_class.remote(os.getcwd(), self._work)
        self._actors[number] = actor
        self._calls[actor.open.remote()] = number
        return number

    def hand_over(self, worker: int, item: Any) -> None:
        """Call an actor with an item."""
        self._calls[self._actors[worker].run.remote(item)] = worker

    def wait(self) -> Event:
        """Wait for the end of a call, or of its actor."""
        ready, _ = self._ray.wait(list(self._calls), timeout=self._patience)
        if not ready:
            log.warning(
                "The Ray cluster has started no actor for %.0f s: it has no free processor or GPU "
                "(`ray status` shows them), or the model loads slowly.",
                PATIENCE,
            )
            ready, _ = self._ray.wait(list(self._calls))
        self._patience = None
        return self._event(ready[0])

    def close(self) -> None:
        """Kill all actors, and close the connection that was opened here."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        if self._owns_connection:
            self._ray.shutdown()

    def _event(self, call: Any) -> Event:
        """Outcome of a call that has ended."""
        worker = self._calls.pop(call)
        try:
            return Event(worker, self._ray.get(call))
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:  # the actor, its machine or its result died
            self._ray.kill(self._actors.pop(worker))
            return Event(worker, None, type(error).__name__)


class _Actor:
    """A worker in a process of Ray's.

    Args:
        folder: Current folder of the main process, from which relative paths lead.
        pickled: A pickled `Work`.
    """

    def __init__(self, folder: str, pickled: bytes) -> None:
        use_one_thread()
        self._folder = folder
        self._side = WorkerSide(pickled)

    def open(self) -> Outcome:
        """Enter the folder, and open the state."""
        try:
            os.chdir(self._folder)
        except OSError:
            sentence = (
                f"a machine of the Ray cluster has no folder {self._folder}; share it among all "
                "machines under the same path"
            )
            return Outcome(error=ResourceError(sentence))
        return self._side.open()

    def run(self, item: Any) -> Outcome:
        """Run an item."""
        return self._side.run(item)


def check_cluster(address: str) -> None:
    """Check that a cluster answers, before models are loaded.

    Of `HOST:PORT`, only that something listens there. With `auto`, this process connects to the
    cluster and leaves it, unless it is connected already.

    Args:
        address: As of `RayActors`.

    Raises:
        ResourceError: It cannot be reached.
    """
    if address != "auto":
        with _explained(address):
            _check_answers(address)
        return
    ray = _ray()
    if not ray.is_initialized():
        _connect(ray, address)
        ray.shutdown()


def _ray() -> Any:
    """The package ray, which sends no statistics of its use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return import_module("ray")


def _connect(ray: Any, address: str) -> None:
    """Connect this process to a cluster.

    Raises:
        ResourceError: There is none at the address.
    """
    with _explained(address), _own_signals():
        _check_answers(address)
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)


@contextmanager
def _explained(address: str) -> Iterator[None]:
    """Turn errors of a connection into a sentence.

    Raises:
        ResourceError: The cluster at the address cannot be reached.
    """
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise ResourceError(
            f"no Ray cluster can be reached at `ray={address}` ({error}); start one on this "
            "machine (see docs/workers.md), and give `auto` or its HOST:PORT"
        ) from error


def _check_answers(address: str) -> None:
    """Check that something listens at an address; Ray itself tries for minutes.

    Raises:
        OSError: Nothing does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=ANSWER).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers of signals, which Ray would replace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
