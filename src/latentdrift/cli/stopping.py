"""Ctrl-C and SIGTERM: work stops where it can go on from, and says so in a sentence."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
"""Exit codes, as a shell has them."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which batch systems send before they kill; it stops work as Ctrl-C does."""


_received: list[type[KeyboardInterrupt]] = []
"""Exceptions that signals raised since `raised` was entered."""


def _raise(number: int, _frame: Any) -> NoReturn:
    stop = Terminated if number == signal.SIGTERM else KeyboardInterrupt
    _received.append(stop)
    raise stop


def received() -> type[KeyboardInterrupt] | None:
    """Type of the signal's exception, if one came.

    It is known also where a library turned it into another error, as extensions do during import.

    Returns:
        KeyboardInterrupt or Terminated; None without a signal.
    """
    return _received[-1] if _received else None


def _leave(number: int, _frame: Any) -> None:
    os._exit(128 + number)


def leave_at_once() -> None:
    """Let a signal end the process at once, as before and after all work."""
    _set({signal.SIGINT: _leave, signal.SIGTERM: _leave})


@contextmanager
def raised() -> Iterator[None]:
    """Context that raises KeyboardInterrupt for Ctrl-C and Terminated for SIGTERM.

    Outside of the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _set({signal.SIGINT: _raise, signal.SIGTERM: _raise})
    try:
        yield
    finally:
        _set(before)


def _set(handlers: Mapping[signal.Signals, Any]) -> None:
    """A signal that the caller ignores, as `nohup` and background jobs do, stays ignored."""
    for number, handler in handlers.items():
        if signal.getsignal(number) is not signal.SIG_IGN and handler is not None:
            signal.signal(number, handler)
