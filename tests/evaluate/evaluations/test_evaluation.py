"""Parts that evaluations share: requests, results, and the part of large sets that is searched."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_inputs import inputs_of, request_of, textures

from latentdrift.errors import OptionError
from latentdrift.evaluate.evaluations import evaluation
from latentdrift.evaluate.evaluations.copies import CopiesResult
from latentdrift.evaluate.evaluations.diversity import DiversityResult
from latentdrift.evaluate.evaluations.duplicates import DuplicatesResult
from latentdrift.evaluate.evaluations.evaluation import Request, Results
from latentdrift.evaluate.statistics.results import Metric


def test_results_are_found_by_their_type() -> None:
    copies, diversity = CopiesResult(), DiversityResult()
    results = Results([copies, diversity])
    assert results.get(DiversityResult) is diversity and results.get(DuplicatesResult) is None
    assert list(results) == [copies, diversity]


def test_a_result_writes_the_fields_that_it_was_given() -> None:
    metric = Metric(value=1, ci=None, n={}, floor=None)
    result = CopiesResult(metrics={"copies": metric}, copies=None, warnings=["A sentence."])
    assert result.report_keys() == {"copies": None}
    assert CopiesResult().report_keys() == {}


def test_a_value_of_a_request_is_computed_once(tiny_cohort_folder: Path) -> None:
    request = request_of(tiny_cohort_folder)
    calls = []

    def count(asked: Request) -> int:
        calls.append(asked)
        return len(calls)

    assert request.once(count) == request.once(count) == 1
    assert calls == [request]


@pytest.mark.parametrize(("split", "held_out"), [("test", True), ("train", False), (None, False)])
def test_held_out_patients_are_those_outside_of_the_train_split(
    split: str | None, held_out: bool, tiny_cohort_folder: Path
) -> None:
    request = request_of(tiny_cohort_folder, split=split)
    assert request.has_held_out == held_out
    assert request.subgroup_column == "sex"
    if held_out:
        request.require_training_split("utility")
        return
    with pytest.raises(OptionError, match="`utility` learns from the train split"):
        request.require_training_split("utility")


def test_a_part_of_large_sets_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_SEARCHED", 5)
    inputs = inputs_of(textures(9, 2))
    real, synthetic = inputs.searched_places
    assert len(set(real)) == len(set(synthetic)) == 5
    assert inputs.searched_synthetic.names == [str(place) for place in synthetic]
    assert inputs.copies is None
