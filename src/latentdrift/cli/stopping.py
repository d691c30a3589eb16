"""Ctrl-C, SIGTERM and SIGUSR1: work stops where it can go on from, and says so in a sentence."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM, which batch systems send before they kill; it stops work as Ctrl-C does."""


class Preempted(KeyboardInterrupt):
    """SIGUSR1, by which a batch system warns of the end of a job; it stops work as Ctrl-C does."""


STOPS: dict[signal.Signals, type[KeyboardInterrupt]] = {
    signal.SIGINT: KeyboardInterrupt,
    signal.SIGTERM: Terminated,
}
"""Signals that stop work -> their exceptions."""
if sys.platform != "win32":
    STOPS[signal.SIGUSR1] = Preempted

CODES = {128 + number: number for number in STOPS}
"""Exit codes, as a shell has them -> signals."""


_received: list[type[KeyboardInterrupt]] = []
"""Exceptions that signals raised since `raised` was entered."""


def _raise(number: int, _frame: Any) -> NoReturn:
    stop = STOPS[signal.Signals(number)]
    _received.append(stop)
    raise stop


def received() -> type[KeyboardInterrupt] | None:
    """Type of the signal's exception, if one came.

    It is known also where a library turned it into another error, as extensions do during import.

    Returns:
        A value of STOPS; None without a signal.
    """
    return _received[-1] if _received else None


def exit_code(stop: KeyboardInterrupt) -> int:
    """Exit code of a program that an exception stopped, a key of CODES."""
    kinds = {kind: number for number, kind in STOPS.items()}
    return 128 + kinds.get(type(stop), signal.SIGINT)


def description(code: int) -> str:
    """What happened, in words: the program ended with this exit code, a key of CODES."""
    number = CODES[code]
    return "interrupted" if number == signal.SIGINT else f"stopped by {number.name}"


def _leave(number: int, _frame: Any) -> None:
    os._exit(128 + number)


def leave_at_once() -> None:
    """Let a signal end the process at once, as before and after all work."""
    _set(dict.fromkeys(STOPS, _leave))


@contextmanager
def raised() -> Iterator[None]:
    """Context that raises an exception for each signal of STOPS.

    Outside of the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    before = {number: signal.getsignal(number) for number in STOPS}
    _set(dict.fromkeys(STOPS, _raise))
    try:
        yield
    finally:
        _set(before)


def _set(handlers: Mapping[signal.Signals, Any]) -> None:
    """A signal that the caller ignores, as `nohup` and background jobs do, stays ignored."""
    for number, handler in handlers.items():
        if signal.getsignal(number) is not signal.SIG_IGN and handler is not None:
            signal.signal(number, handler)
