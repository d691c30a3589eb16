"""Number of steps of a fit that fill a given time, and the steps between checkpoints and
previews."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from latentdrift.adapt.training.planning.durations import Durations
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.config import FitOptions, seconds_of
from latentdrift.errors import OptionError

LONGEST = 10_000_000
"""Steps of a fit that is only timed, and of the longest that a budget makes."""


@dataclass(frozen=True)
class Spacing:
    """How often something comes in a fit with a budget.

    Attributes:
        least: Times in a short fit.
        seconds: Time from one to the next in a long fit.
        rounding: Makes whole steps of it.
    """

    least: int
    seconds: float
    rounding: Callable[[float], int]

    def every(self, steps: int, budget: float) -> int:
        """Steps from one to the next, in a fit of so many steps and seconds."""
        times = max(self.least, math.ceil(budget / self.seconds))
        return max(1, self.rounding(steps / times))


# Option -> its spacing. In a fit of 400 steps, 4 and 2 times are the defaults of 100 and 200 steps.
# The last step has a checkpoint in any case, hence ceil; it has a preview only as a multiple.
SPACINGS: dict[str, Spacing] = {
    "checkpoint_every": Spacing(4, 300, math.ceil),  # a kill loses 5 minutes at most
    "preview_every": Spacing(2, 1800, math.floor),
}


def with_steps(options: FitOptions, steps: int) -> FitOptions:
    """Options of a fit with a budget, with a number of steps.

    Checkpoints and previews are spread over the steps where the options do not say how.

    Args:
        options: Options of `fit` with a budget.
        steps: Number of steps.
    """
    budget = seconds_of(options.budget or "")
    spread: dict[str, Any] = {
        name: spacing.every(steps, budget)
        for name, spacing in SPACINGS.items()
        if name not in options.model_fields_set
    }
    return options.model_copy(update={"steps": steps, **spread})


def needs_timing(options: FitOptions, run: Run | None) -> bool:
    """Whether the number of steps has to be found: a run that has begun keeps its own.

    Args:
        options: Options of `fit`.
        run: Folder of the run; None: a new run.
    """
    return options.budget is not None and (run is None or run.begun_with("steps") is None)


def before_timing(options: FitOptions, run: Run | None) -> FitOptions:
    """Options with the steps of the run that continues, or with LONGEST steps to be timed.

    Args:
        options: Options of `fit`.
        run: Folder of the run; None: a new run.
    """
    if options.budget is None:
        return options
    begun = run.begun_with("steps") if run else None
    if begun is None:
        return options.model_copy(update={"steps": LONGEST})
    return with_steps(options, int(begun))


def filling(options: FitOptions, durations: Durations, spent: float) -> FitOptions:
    """Options of the longest fit that fits into its budget.

    Args:
        options: Options of `fit` with a budget.
        durations: Seconds of its parts.
        spent: Seconds that passed before, and that are needed for anything but these parts.

    Raises:
        OptionError: There is no time for a single step.
    """
    left = seconds_of(options.budget or "") - spent

    def seconds(steps: int) -> float:
        return durations.total(with_steps(options, steps))

    steps = bisect_right(range(1, LONGEST), left, key=seconds)
    if not steps:
        raise OptionError(
            f"`budget={options.budget}` is too short: start and end take about "
            f"{spent + seconds(1):.0f} s with a single step; give more, or less to draw with "
            "`drift=none` and `preview_every=0`"
        )
    return with_steps(options, steps)
