"""Points of a search on disk: each is computed once, and an interruption keeps them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from delta_curves import GRID, fake, points, quiet

from latentdrift.engines.schedule import Workers
from latentdrift.study.drift.search_cache import Draw, SearchPoint


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
        points(tmp_path, lambda: counting(3)).all(GRID, Workers(), quiet)
    assert len(asked) == 3
    cut = points(tmp_path, lambda: counting(99)).all(GRID[::-1], Workers(), quiet)
    assert sorted(asked) == sorted(GRID)  # none twice
    assert cut == points(tmp_path / "whole", partial(fake, 0.1)).all(GRID, Workers(), quiet)
    points(tmp_path, lambda: counting(99), key="other").all(GRID, Workers(), quiet)
    assert len(asked) == 2 * len(GRID)  # other settings, other points


def test_a_damaged_point_is_made_again(tmp_path: Path) -> None:
    curve = points(tmp_path, partial(fake, 0.1))
    whole = curve.all(GRID[:2], Workers(), quiet)
    file = curve.results.path(f"{GRID[0]:+.6f}")
    content = json.loads(file.read_text())
    assert list(content) == ["settings", "delta", "distances"]
    file.write_text(json.dumps({**content, "distances": {"kid": {"value": None}}}))
    assert curve.read(GRID[0]) is None
    assert curve.all(GRID[:2], Workers(), quiet) == whole


def test_a_point_is_written_as_it_is_read() -> None:
    l1 = {"value": 0.5, "ci": None, "n": {"real": 2, "synthetic": 4}, "floor": None}
    subsets = {"sd": 0.25, "size": 2, "count": 100}
    floor = {"floor": 0.125, "floor_ci": [0.0, 0.25], "matched": 0.5, "floor_n": 2}
    kid = {**l1, "ci": [0.25, 0.75], **floor, "subsets": subsets}
    content = {"delta": -0.5, "distances": {"l1": l1, "kid": kid}}
    point = SearchPoint.model_validate({"settings": "k", **content})
    assert point.to_dict() == content
    assert list(point.to_dict()["distances"]["l1"]) == ["value", "ci", "n", "floor"]
