"""Signals that end a fit: held back while a step is made, and agreed upon by several processes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from latentdrift.adapt.training.loop.distributed import Processes

STOPS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
"""Ctrl-C, and what batch systems send before they kill; Windows has no SIGUSR1."""


@contextmanager
def held_back() -> Iterator[list[int]]:
    """Context in which signals that end the program wait; the first is raised at its end.

    Outside of the main thread, which alone receives signals, nothing is changed.

    Yields:
        Numbers of the signals that came, in their order.
    """
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    pending: list[int] = []
    before = {number: signal.getsignal(number) for number in STOPS}
    handled = {number: handler for number, handler in before.items() if _is_handled(handler)}
    for number in handled:
        signal.signal(number, lambda number, _frame: pending.append(number))
    try:
        yield pending
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        if pending:
            signal.raise_signal(pending[0])


def _is_handled(handler: object) -> bool:
    """Whether a signal has an effect: a caller may ignore it, and C code may handle it."""
    return handler is not signal.SIG_IGN and handler is not None


@contextmanager
def agreed(processes: Processes) -> Iterator[Callable[[], None]]:
    """Context that several processes leave together where any of them received a signal.

    One process alone is interrupted at once, as everywhere.

    Args:
        processes: The processes of the fit.

    Yields:
        Function that every process calls at the same places. It raises KeyboardInterrupt in all of
        them after a signal in any; the signal itself is raised at the end of the context.
    """
    if processes.count == 1:
        yield lambda: None
        return
    with held_back() as pending:

        def check() -> None:
            number = processes.largest(max(pending, default=0))
            if number:
                pending[:] = [number]
                raise KeyboardInterrupt

        yield check
