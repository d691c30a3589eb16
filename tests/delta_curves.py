"""Curves of a score over delta whose minimum is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from latentdrift.resampling import Resampling
from latentdrift.storage import Results
from latentdrift.study.drift.delta_selection import Reading, flags
from latentdrift.study.drift.image_statistics import DISTANCES
from latentdrift.study.drift.search_cache import CurvePoints, Draw

GRID = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2)


def curve(
    values: Callable[[float], float], half: float, grid: tuple[float, ...] = GRID
) -> list[Reading]:
    return [
        Reading(delta, values(delta), values(delta) - half, values(delta) + half) for delta in grid
    ]


def names(readings: list[Reading]) -> list[str]:
    return [flag.name for flag in flags(readings)]


def fake(best: float, scale: float = 1.0) -> Draw:
    """Pictures whose every number is off by |delta - best|."""

    def draw(delta: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rng = np.random.default_rng(0)  # the same seeds for every delta
        off = scale * abs(delta - best)
        return np.zeros((8, 8, 3), np.uint8), {
            name: rng.normal(off, 0.01, (12, 5)) for name in DISTANCES
        }

    return draw


def points(folder: Path, open: Callable[[], Draw], key: str = "k") -> CurvePoints:
    rng = np.random.default_rng(1)
    real = {name: rng.normal(0, 0.01, (12, 5)) for name in DISTANCES}
    results = Results(folder, key)
    return CurvePoints(results, open, real, list("aabbccddeeff"), Resampling(30))


def quiet(done: int, total: int) -> None:
    """No progress."""
