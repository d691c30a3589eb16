"""Points of a search on disk: each is computed once, and an interruption keeps them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from delta_curves import GRID, fake, points, quiet

from latentdrift.study.drift.search_cache import Draw


def test_points_are_made_once_and_an_interruption_keeps_them(tmp_path: Path) -> None:
    asked: list[float] = []

    def counting(stop: int) -> Draw:
        def draw(delta: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            if len(asked) == stop:
                raise KeyboardInterrupt
            asked.append(delta)
            return fake(0.1)(delta)

        return draw

    with pytest.raises(KeyboardInterrupt):
        points(tmp_path, lambda: counting(3)).all(GRID, 1, quiet)
    assert len(asked) == 3
    cut = points(tmp_path, lambda: counting(99)).all(GRID[::-1], 1, quiet)
    assert sorted(asked) == sorted(GRID)  # none twice
    assert cut == points(tmp_path / "whole", partial(fake, 0.1)).all(GRID, 1, quiet)
    points(tmp_path, lambda: counting(99), key="other").all(GRID, 1, quiet)
    assert len(asked) == 2 * len(GRID)  # other settings, other points
