"""Result of a variant: its file holds every number, and an edit's names no prompt."""

from __future__ import annotations

import json

import pytest

from latentdrift.model.drift import Drift
from latentdrift.study.benchmarks.variant_result import RunMetric, VariantResult, name_of

DISTANCE = {"value": 61.25, "ci": [58.5, 64.0], "floor": None, "matched": 60.5}
AUC = {"value": 0.5, "ci": None, "trained": [[2, 2]], "tested": [6, 4]}
RUN = {"method": "lora", "variant": "none", "seed": 1, "n": 4}
DRIFT = {"drift": Drift.of([0.1, -0.1], "infer").to_dict()}
METRICS = {"background": None, "spread": 0.25, "latent_dc": [0.5, -0.5], "frechet": DISTANCE}

DOCUMENTS = {
    "drawn": {**RUN, "metrics": {**METRICS, "auc": AUC}, **DRIFT, "prompt": "a brain MRI"},
    "edited": {**RUN, **DRIFT, "metrics": METRICS},
    "real": {**RUN, "method": None, "n": 0, "metrics": {"auc": AUC}},
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_file_survives_a_round_trip_to_the_byte(kind: str) -> None:
    text = json.dumps(DOCUMENTS[kind], indent=1)
    result = VariantResult.from_dict(json.loads(text))
    assert json.dumps(result.to_dict(), indent=1) == text
    assert VariantResult.from_dict(result.to_dict()) == result


def test_metrics_are_numbers_or_have_an_interval() -> None:
    metrics = VariantResult.from_dict(DOCUMENTS["edited"]).metrics
    distance = metrics["frechet"]
    assert isinstance(distance, RunMetric) and (distance.value, distance.floor) == (61.25, None)
    assert (metrics["background"], metrics["spread"]) == (None, 0.25)


def test_names_of_files_tell_methods_variants_and_seeds_apart() -> None:
    names = {
        name_of(method, variant, seed)
        for method in ("lora", None)
        for variant in ("none", "pin")
        for seed in (0, 1)
    }
    assert len(names) == 8 and "none-s0" in names
