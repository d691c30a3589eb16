"""Combinations of attributes that no real image has: a table of their counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_inputs import inputs_of, rendered, textures

from latentdrift.evaluate.evaluations.attribute_combinations import (
    ATTRIBUTE_COMBINATIONS,
    Combinations,
    CombinationsResult,
    compute,
)
from latentdrift.evaluate.evaluations.evaluation import Results

RULE = {
    "values": ["sex=M", "findings=Effusion"],
    "expected": 6.5,
    "asked": 3,
    "seen": 2,
    "seen_share": 0.25,
    "seen_real": 0.0,
}


def test_the_counts_of_a_combination_stand_in_a_table(tmp_path: Path) -> None:
    result = CombinationsResult.model_validate({"alignment": {"rules": [RULE]}})
    assert result.alignment.rules[0].requested == 3
    assert result.report_keys() == {"alignment": {"rules": [RULE]}}
    page = rendered(ATTRIBUTE_COMBINATIONS, result, tmp_path)
    assert "Pairs of values that no real image has together" in page and "6.5" in page


@pytest.mark.parametrize(
    "results", [Results([]), CombinationsResult(alignment=Combinations(rules=[]))]
)
def test_without_combinations_there_is_no_table(results: object, tmp_path: Path) -> None:
    assert rendered(ATTRIBUTE_COMBINATIONS, results, tmp_path) == ""


def test_nothing_is_computed_where_no_networks_are_trained() -> None:
    assert compute(inputs_of(textures(4, 0), train=textures(4, 1))) is None
    assert ATTRIBUTE_COMBINATIONS.first_set_only and CombinationsResult.needs_training
