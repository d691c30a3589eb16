"""Aggregation of a benchmark's seeds: Student's interval, and a single seed's own."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.study.benchmarks.aggregation import cell, over_seeds, people, real, summarise
from latentdrift.study.benchmarks.table1 import TABLE1
from latentdrift.study.benchmarks.variant_result import RunMetric, VariantResult


def test_one_seed_shows_its_own_interval_and_several_their_spread() -> None:
    def result(seed: int, value: float) -> VariantResult:
        auc = RunMetric(value=value, ci=[value - 0.1, value + 0.1])
        return VariantResult("full", "none", seed, 4, {"auc": auc})

    (one,) = people(summarise([result(0, 0.7)]), TABLE1)
    assert one["AUC"] == "0.7 [0.6, 0.8]"
    (row,) = summarise([result(0, 0.6), result(1, 0.8)])
    assert np.allclose(row.metrics["auc"].ci, [[0.5, 0.7], [0.7, 0.9]])
    half = 12.706 * 0.1414 / 2**0.5  # t(0.975, 1) = 12.706
    assert people([row], TABLE1)[0]["AUC"] == f"0.7 ± {half:.2g}"
    assert cell(over_seeds([None])) == "–"


def test_intervals_over_seeds_are_students() -> None:
    found = over_seeds([1.0, 2.0, 3.0])
    assert found is not None
    assert found.mean == 2.0
    assert found.half == pytest.approx(4.303 / 3**0.5, rel=1e-3)  # t(0.975, 2) = 4.303, sd 1
    assert over_seeds([None]) is None
    alone = over_seeds([1.5])
    assert alone is not None and alone.half is None


def test_a_summary_has_no_metrics_of_the_real_images_and_a_mean_per_channel() -> None:
    def result(seed: int, latent_dc: list[float]) -> VariantResult:
        distance = RunMetric(value=1.0, ci=None, floor=0.5)
        metrics = {"real_spread": 3.0, "latent_dc": latent_dc, "spread": 2.0, "kid_x": distance}
        return VariantResult("lora", "none", seed, 4, metrics)

    results = [result(0, [0.0, 1.0]), result(1, [1.0, 2.0])]
    (row,) = summarise(results)
    assert row.latent_dc == [0.5, 1.5] and list(row.metrics) == ["spread", "kid_x"]
    spread, distance = row.metrics.values()
    assert spread is not None and distance is not None
    assert spread.ci is None and distance.ci == [None, None]
    reference = real(results)
    assert (reference.spread, reference.background) == (3.0, None)
    assert reference.floors == {"kid_x": 0.5}


def test_a_metric_that_one_seed_lacks_is_the_mean_of_the_others() -> None:
    known = VariantResult("lora", "none", 0, 4, {"effect": RunMetric(value=0.4, ci=[0.2, 0.6])})
    unknown = VariantResult("lora", "none", 1, 4, {"effect": None})
    (row,) = summarise([known, unknown])
    effect = row.metrics["effect"]
    assert effect is not None and (effect.mean, effect.ci) == (0.4, [[0.2, 0.6], None])
