"""Progress of long work on the terminal, with an estimate of what is left."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from latentdrift.notebook import is_notebook

ProgressCallback = Callable[[int, int], None]
"""Callback with the number of items that are done and the number of all items."""


@contextmanager
def bar(label: str, *, quiet: bool = False) -> Iterator[ProgressCallback]:
    """Show a progress bar on stderr, or in the notebook, while the work lasts.

    Args:
        label: Name of the work.
        quiet: Whether to show nothing.
    """
    with (_notebook_bar if is_notebook() else _terminal_bar)(label, quiet) as update:
        yield update


@contextmanager
def _terminal_bar(label: str, quiet: bool) -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=quiet
    ) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _notebook_bar(label: str, quiet: bool) -> Iterator[ProgressCallback]:
    """A line of text, which every notebook shows; rich's bars need ipywidgets there."""
    from tqdm.std import tqdm

    with tqdm(desc=label, file=sys.stderr, disable=quiet, leave=False) as line:

        def update(done: int, total: int) -> None:
            line.total = total
            line.update(done - line.n)

        yield update
