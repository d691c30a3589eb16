"""Scores of counterfactuals as report.json holds them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from latentdrift.evaluate.attributes.counterfactual_results import (
    Collateral,
    CollateralCell,
    unit_words,
)
from latentdrift.evaluate.privacy.repeat_visits import Identity

IDENTITY = {
    "counterfactual": 0.9,
    "reconstruction": 0.95,
    "visits": 0.8,
    "strangers": 0.2,
    "limit": 0.7,
    "kept": 0.75,
    "kept_ci": [0.5, 0.9],
    "strangers_kept": 0.1,
    "n": {"edits": 8, "patients": 6},
}


def test_keys_of_the_report_stay_those_of_version_0_1() -> None:
    identity = Identity.model_validate(IDENTITY)
    assert (identity.passing, identity.strangers_passing) == (0.75, 0.1)
    assert identity.to_dict() == IDENTITY
    cell = {
        "value": 1.0,
        "ci": None,
        "n": 3,
        "share": None,
        "share_ci": None,
        "asked": True,
        "beyond": False,
    }
    assert CollateralCell.model_validate(cell).is_requested
    assert CollateralCell.model_validate(cell).to_dict() == cell


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="passing_rate"):
        Identity.model_validate(IDENTITY | {"passing_rate": 1.0})


@pytest.mark.parametrize(
    ("unit_of", "words"),
    [("visits", "two visits of a patient"), ("patients", "two real patients")],
)
def test_the_unit_of_collateral_changes_is_said(unit_of: str, words: str) -> None:
    assert unit_words(Collateral(columns=[], unit={}, unit_of=unit_of, rows={})) == words
