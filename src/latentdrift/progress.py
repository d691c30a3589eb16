"""Progress of long work on the terminal or in a notebook, with an estimate of what is left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from latentdrift.notebook import is_notebook

if TYPE_CHECKING:
    from tqdm.std import tqdm

ProgressCallback = Callable[[int, int], None]
"""Callback with the number of items that are done and the number of all items."""


class Update(Protocol):
    """Callback of a bar, with a note that is shown behind it."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


class Bars(Protocol):
    """Progress bars below each other on stderr, or in the notebook."""

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add a bar.

        Args:
            label: Name of the work.
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
    return (NotebookBars if is_notebook() else TerminalBars)(quiet=quiet, transient=transient)


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


class TerminalBars:
    """Bars that rich draws."""

    def __init__(self, *, quiet: bool, transient: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=transient,
            disable=quiet,
        )
        self.start = self.progress.start
        self.stop = self.progress.stop

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add a bar; see `Bars.add`."""
        task = self.progress.add_task(label, total=None, completed=done, visible=at_once, note="")

        def update(done: int, total: int, note: str = "") -> None:
            self.progress.update(task, completed=done, total=total, note=note, visible=True)

        return update


class NotebookBars:
    """Lines of text, which every notebook shows; rich's bars need ipywidgets there."""

    def __init__(self, *, quiet: bool, transient: bool) -> None:
        self.quiet = quiet
        self.transient = transient
        self.lines: list[tqdm] = []

    def start(self) -> None:
        """Do nothing: a line is shown when it is added."""

    def stop(self) -> None:
        """Finish the lines."""
        for line in self.lines:
            line.close()

    def add(self, label: str, *, done: int = 0, at_once: bool = True) -> Update:
        """Add a line; see `Bars.add`."""
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

        line = tqdm(
            desc=label,
            initial=begin,
            file=sys.stderr,
            disable=self.quiet,
            leave=not self.transient,
        )
        self.lines.append(line)
        return line
