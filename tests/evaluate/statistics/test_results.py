"""Numbers of report.json: frozen, closed, and written as they were given."""

from __future__ import annotations

import pytest
from pydantic import Field, ValidationError

from latentdrift.evaluate.statistics.results import Metric, ResultModel, Subsets


class Share(ResultModel):
    """A share whose key has another name."""

    passing: float = Field(alias="kept")
    note: str | None = None


def test_what_was_not_given_is_not_written() -> None:
    metric = Metric(value=2, ci=None, n={"real": 3}, floor=0.5, subsets=None)
    assert metric.to_dict() == {
        "value": 2,
        "ci": None,
        "n": {"real": 3},
        "floor": 0.5,
        "subsets": None,
    }
    back = Metric.model_validate(metric.to_dict() | {"subsets": {"sd": 1, "size": 2, "count": 3}})
    assert back.subsets == Subsets(sd=1, size=2, count=3)


def test_keys_are_those_of_the_report() -> None:
    assert Share(passing=0.5).to_dict() == Share.model_validate({"kept": 0.5}).to_dict()
    assert Share(passing=0.5).to_dict() == {"kept": 0.5}


def test_results_are_frozen_and_closed() -> None:
    share = Share(passing=0.5)
    with pytest.raises(ValidationError, match="frozen"):
        share.passing = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        Share.model_validate({"kept": 0.5, "unknown": 1})
