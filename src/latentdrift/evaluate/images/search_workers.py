"""Workers of the search for copies, and the folder through which they read training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")


ALONE = Workers()
"""This process does all."""


def _accept() -> None:
    pass


@dataclass(frozen=True)
class SearchWorkers:
    """Workers of a search. Results do not depend on them.

    Attributes:
        workers: Number and place of the workers.
        folder: Folder that all workers can read; None: this process does all.
        check: Called by each worker at its start; it raises where the worker does not fit.
    """

    workers: Workers = ALONE
    folder: Path | None = None
    check: Callable[[], None] = _accept

    def run(
        self,
        task: Callable[[State, Item], Result],
        state: State,
        items: Iterable[Item],
        *,
        is_large: bool,
    ) -> Iterator[Result]:
        """Run a task on each item; results come in the order of the items.

        Args:
            task: Function of a module, which travels to the workers with the state.
            state: What all items share.
            items: The items.
            is_large: Whether the work is worth the seconds in which workers start; otherwise this
                process does it.
        """
        workers = self.workers if is_large else ALONE
        work = Work(partial(_checked, self.check, state), task)
        return run_items(work, items, workers, in_order=True)


THIS_PROCESS = SearchWorkers()
"""No workers beside this process."""


def _checked(check: Callable[[], None], state: State) -> State:
    """State of a worker that fits."""
    check()
    return state
