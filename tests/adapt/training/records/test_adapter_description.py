"""Adapter descriptions: the prompts of a fit are those that the adapter generates by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_fits import asked, report_cohort

from latentdrift.adapt.training.records.adapter_description import describe_adapter
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.adapter_info import DriftFile
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.prompts.phrases import in_words
from latentdrift.sample.synthetic_cohort import follow_cohort


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return report_cohort(tmp_path_factory.mktemp("cohort") / "reports")


NO_DRIFT = DriftFile.model_validate({**Drift().to_dict(), "source": "none"})


def test_fit_words_its_captions_as_asked_and_generate_follows(base: Base, cohort: Cohort) -> None:
    _, todo = asked(base, cohort, age_encoding="word", negate_findings=True, prompt_style="diverse")
    told = describe_adapter(base, cohort, todo, NO_DRIFT, {})
    assert {"age_encoding": "word", "negate_findings": True, "caption": None}.items() <= (
        told.prompt.to_dict().items()
    )
    followed = [request.prompt for request in follow_cohort(cohort, None, len(cohort.rows()), told)]
    assert len(todo.train) == len(cohort.rows("train")) and len(todo.validation) == len(
        cohort.rows("validation")
    )
    for example in (*todo.train, *todo.validation):
        row = cohort.rows().iloc[example.row]
        text = example.caption
        assert text == followed[example.row]
        assert in_words(int(row["age"])) in text
        assert ("no effusion" in text) == (row["findings"] is not None)


def test_reports_are_captions_and_stay_out_of_the_adapter(base: Base, cohort: Cohort) -> None:
    _, todo = asked(base, cohort, caption="report")
    said = {example.row: example.caption for example in todo.train}
    assert said[1] == "normal brain 1" and said[4].startswith("a brain MRI of a 62 year old female")
    told = describe_adapter(base, cohort, todo, NO_DRIFT, {})
    assert told.prompt.caption == "report" and "normal brain" not in json.dumps(told.to_dict())
    requests = follow_cohort(cohort, None, len(cohort.rows()), told)
    assert all(requests[row].prompt == text for row, text in said.items())
    assert all("report" not in request.attributes for request in requests)
    _, taught = asked(base, cohort, caption="report", method="textual-inversion")
    assert all("<cohort>" in example.caption for example in taught.train)
    with pytest.raises(OptionError, match="which `caption` replaces; give one of them"):
        asked(base, cohort, caption="report", drift_by="diagnosis")
