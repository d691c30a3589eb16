"""Aggregation of a benchmark's seeds: Student's interval, and a single seed's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latentdrift.study.benchmarks.aggregation import cell, over_seeds, people, summarise
from latentdrift.study.benchmarks.table1 import TABLE1


def test_one_seed_shows_its_own_interval_and_several_their_spread() -> None:
    def result(seed: int, value: float) -> dict[str, Any]:
        auc = {"value": value, "ci": [value - 0.1, value + 0.1]}
        return {"method": "full", "variant": "none", "seed": seed, "metrics": {"auc": auc}}

    (one,) = people(summarise([result(0, 0.7)]), TABLE1)
    assert one["AUC"] == "0.7 [0.6, 0.8]"
    (row,) = summarise([result(0, 0.6), result(1, 0.8)])
    assert np.allclose(row["metrics"]["auc"]["ci"], [[0.5, 0.7], [0.7, 0.9]])
    half = 12.706 * 0.1414 / 2**0.5  # t(0.975, 1) = 12.706
    assert people([row], TABLE1)[0]["AUC"] == f"0.7 ± {half:.2g}"
    assert cell(over_seeds([None])) == "–"


def test_intervals_over_seeds_are_students() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    assert found is not None
    assert found["mean"] == 2.0
    assert found["half"] == pytest.approx(4.303 / 3**0.5, rel=1e-3)  # t(0.975, 2) = 4.303, sd 1
    assert over_seeds([None]) is None
    assert (over_seeds([1.5]) or {})["half"] is None
