"""Progress of long work on the terminal, in a notebook or in a log, with an estimate of what is
left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from latentdrift.display.notebook import is_notebook

if TYPE_CHECKING:
    from rich.progress import TaskID
    from tqdm.std import tqdm

FIRST_LINE = 10.0
BETWEEN_LINES = 30.0
"""Seconds before the first line of a log and between the lines."""

ProgressCallback = Callable[[int, int], None]
"""Callback with the number of items that are done and the number of all items."""


class Update(Protocol):
    """Callback of a bar, with a note that is shown behind it."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


class Bars(Protocol):
    """Progress bars below each other, or what stands for them where no bar can be drawn."""

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add a bar for work that begins now.

        Args:
            label: Name of the work. Work that is repeated under one label has one bar in a
                terminal.
            done: Items that were done before; the estimate leaves them out.
            at_once: Whether it shows before its first update.
        """

    def start(self) -> None:
        """Show the bars."""

    def stop(self) -> None:
        """Finish the bars."""


def bars(*, quiet: bool, transient: bool) -> Bars:
    """Make bars, which are not shown yet.

    Args:
        quiet: Whether to show nothing.
        transient: Whether the bars vanish in the end.
    """
    if quiet:
        return NoBars()
    if is_notebook():
        return NotebookBars(transient=transient)
    if sys.stderr is not None and sys.stderr.isatty():
        return TerminalBars(transient=transient)
    return Lines()


@contextmanager
def bar(label: str, *, quiet: bool = False) -> Iterator[ProgressCallback]:
    """Show one progress bar while the work lasts.

    Args:
        label: Name of the work.
        quiet: Whether to show nothing.
    """
    shown = bars(quiet=quiet, transient=True)
    update = shown.add(label)
    shown.start()
    try:
        yield update
    finally:
        shown.stop()


class Pace:
    """Mean speed of work since it began, from which the time left is estimated.

    Args:
        begin: Items that were done before.
        clock: Seconds.
    """

    def __init__(self, begin: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.begin = begin
        self.clock = clock
        self.started = clock()

    def left(self, done: int, total: int) -> float | None:
        """Seconds left at the mean speed so far; None before the first item is done."""
        if done <= self.begin:
            return None
        return (self.clock() - self.started) / (done - self.begin) * (total - done)


def duration(seconds: float) -> str:
    """Say a time in its largest units: `40 s`, `12 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


class TerminalBars:
    """Bars that rich draws."""

    def __init__(self, *, transient: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=transient,
        )
        self.tasks: dict[str, TaskID] = {}
        self.start = self.progress.start
        self.stop = self.progress.stop

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add a bar."""
        pace = Pace(done)
        earlier = self.tasks.get(label)
        if earlier is not None:
            self.progress.remove_task(earlier)
        task = self.progress.add_task(
            label, total=None, completed=done, visible=at_once, note="", left=""
        )
        self.tasks[label] = task

        def update(done: int, total: int, note: str = "") -> None:
            seconds = pace.left(done, total)
            left = f"{duration(seconds)} left" if seconds else ""
            self.progress.update(
                task, completed=done, total=total, note=note, left=left, visible=True
            )

        return update


class NotebookBars:
    """Lines of text, which every notebook shows; rich's bars need ipywidgets there."""

    def __init__(self, *, transient: bool) -> None:
        self.transient = transient
        self.lines: list[tqdm] = []

    def start(self) -> None:
        """A line shows once it is added."""

    def stop(self) -> None:
        """End the lines."""
        for line in self.lines:
            line.close()

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add a line."""
        begin = done
        lines = [self._line(label, begin)] if at_once else []

        def update(done: int, total: int, note: str = "") -> None:
            if not lines:
                lines.append(self._line(label, begin))
            line = lines[0]
            line.total = total
            line.set_postfix_str(note, refresh=False)
            line.update(done - line.n)

        return update

    def _line(self, label: str, begin: int) -> tqdm:
        from tqdm.std import tqdm

        line = tqdm(desc=label, initial=begin, file=sys.stderr, leave=not self.transient)
        self.lines.append(line)
        return line


class Lines:
    """A line now and then, for logs: where stderr is a file or a pipe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock

    def start(self) -> None:
        """A line is written with an update."""

    def stop(self) -> None:
        """All lines are written."""

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add work that writes lines."""
        pace = Pace(done, self.clock)
        following = self.clock() + FIRST_LINE

        def update(done: int, total: int, note: str = "") -> None:
            nonlocal following
            seconds = pace.left(done, total)
            if self.clock() < following:
                return
            following = self.clock() + BETWEEN_LINES
            left = f"about {duration(seconds)} left" if seconds else ""
            parts = [f"{label}: {done} of {total}", note, left]
            _write(", ".join(part for part in parts if part))

        return update


class NoBars:
    """Progress that nobody sees."""

    def start(self) -> None:
        """Nothing starts."""

    def stop(self) -> None:
        """Nothing ends."""

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add nothing."""

        def update(done: int, total: int, note: str = "") -> None:
            return None

        return update


def _write(line: str) -> None:
    """Write a line to stderr, unless it is closed or full."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
