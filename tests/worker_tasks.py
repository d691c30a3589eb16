"""Tasks for workers in tests. Workers import this file, so it loads nothing heavy."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

from latentdrift.errors import InputError


class Unportable:
    """A value that cannot travel."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class PickyError(Exception):
    """An error that cannot be made again from its text alone."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


def open_pid(folder: Path) -> Path:
    """Leave a file named after this process."""
    (folder / f"opened-{os.getpid()}").touch()
    return folder


def square(folder: Path, number: int) -> tuple[int, int]:
    """Square of a number, and the process that made it."""
    return number * number, os.getpid()


def square_slowly(folder: Path, number: int) -> tuple[int, int]:
    """As `square`, in a quarter of a second."""
    time.sleep(0.25)
    return square(folder, number)


def die_once(folder: Path, number: int) -> tuple[int, int]:
    """As `square`; the first process that is given 3 is killed at it."""
    marker = folder / "died"
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(folder, number)


def die_always(folder: Path, number: int) -> None:
    """Leave a file for each death."""
    (folder / f"death-{os.getpid()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_start(folder: Path) -> None:
    """Kill a worker before it is ready."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(folder: Path, number: int) -> None:
    """Raise an error of ours."""
    raise InputError(f"item {number} cannot be used")


def refuse_pickily(folder: Path, number: int) -> None:
    """Raise an error that cannot travel."""
    raise PickyError("this", "that")


def hand_out_a_lock(folder: Path, number: int) -> Unportable:
    """Return what cannot travel."""
    return Unportable()


def warn(folder: Path, number: int) -> None:
    """Log lines of two levels."""
    logging.getLogger("latentdrift.tests").warning("item %d is odd", number)
    logging.getLogger("latentdrift.tests").info("item %d is done", number)


def threads(folder: Path, number: int) -> str | None:
    """Number of threads that the environment says."""
    return os.environ.get("OMP_NUM_THREADS")


def stay(folder: Path, number: int) -> None:
    """Leave a file, and do not end."""
    (folder / f"stays-{os.getpid()}").touch()
    time.sleep(600)


def place(folder: Path, number: int) -> str:
    """Current folder of the worker."""
    return str(Path.cwd())
