"""Wall time of work that is repeated, so that no single call counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

LEAST = 2
"""Calls that are made at least; the first one warms up."""


@dataclass(frozen=True)
class Timing:
    """Wall times of the calls after the first one."""

    each: tuple[float, ...]
    """Seconds of each call."""

    @property
    def seconds(self) -> float:
        """Median of a call, in seconds."""
        return median(self.each)

    @property
    def scatter(self) -> float:
        """Time of the slowest call over that of the fastest one."""
        return max(self.each) / max(min(self.each), 1e-9)


def repeated(work: Callable[[], Any], enough: float) -> Timing:
    """Time the calls of a function that waits for its own result.

    Args:
        work: The function.
        enough: Seconds after which no further call is begun. LEAST calls are made in any case.
    """
    times: list[float] = []
    while len(times) < LEAST or sum(times) < enough:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return Timing(tuple(times[1:]))
