"""SCHEDULES: how the learning rate goes on after its warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from latentdrift.errors import OptionError, unknown

WARM_UP = 20  # steps, at most a tenth of the run

# Name -> what part of the full rate is left when a part of the way from warm-up to the end, from 0
# to 1, is done.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda part: 1.0,
    "cosine": lambda part: (
        (1 + math.cos(math.pi * part)) / 2
    ),  # one period (Loshchilov & Hutter 2017, SGDR, eq. 5)
    "linear": lambda part: 1.0 - part,
}


@dataclass(frozen=True)
class Rates:
    """The learning rate of every step."""

    full: float
    schedule: str
    """Row of SCHEDULES."""
    warm_up: int
    """Steps in which it rises linearly."""
    steps: int
    """Length of the run."""

    @classmethod
    def of(cls, full: float, schedule: str, warm_up: int | None, steps: int) -> Rates:
        """Learning rates from the options.

        Args:
            full: Learning rate after the warm-up.
            schedule: Row of SCHEDULES.
            warm_up: Steps of the warm-up; None: WARM_UP, at most a tenth of the run.
            steps: Length of the run.

        Raises:
            OptionError: An unknown schedule, or a warm-up that is not shorter than the run.
        """
        if schedule not in SCHEDULES:
            raise unknown("rate schedule", schedule, SCHEDULES)
        if warm_up is not None and warm_up >= steps:
            raise OptionError(
                f"`warm_up={warm_up}` is not shorter than the run of `steps={steps}`; take a tenth "
                "of it, or less"
            )
        return cls(
            full, schedule, max(1, min(WARM_UP, steps // 10)) if warm_up is None else warm_up, steps
        )

    def __call__(self, done: int) -> float:
        """The rate of the step that follows `done` steps."""
        part = min(1.0, max(0, done - self.warm_up) / max(1, self.steps - self.warm_up))
        return (
            self.full * min(1.0, (done + 1) / max(1, self.warm_up)) * SCHEDULES[self.schedule](part)
        )
