"""Reference edits: phantoms differ from their truth by the change alone, and visits in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from specs import spec_of
from tiny import tiny_cohort

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.phantom import phantom
from latentdrift.errors import CohortError, OptionError
from latentdrift.study.editors.editor_benchmark import picture_of
from latentdrift.study.editors.reference_edits import of_phantoms, of_visits, visits

SPEC = spec_of(
    {
        "age": {"type": "number", "unit": "years"},
        "sex": {"type": "category", "vocabulary": ["F", "M"]},
        "diagnosis": {"type": "category", "vocabulary": ["dementia", "no dementia"]},
        "findings": {
            "type": "findings",
            "vocabulary": ["No Finding", "effusion", "cardiomegaly", "nodule"],
        },
    }
)


@pytest.mark.parametrize("kind", phantom.KINDS)
def test_phantoms_differ_from_their_truth_by_the_change_alone(kind: str) -> None:
    cases = of_phantoms(kind, 6, 0, 128, SPEC)
    assert len({case.patient for case in cases}) == 6 and len({case.group for case in cases}) == 2
    for case in cases:
        change = np.abs(case.truth - picture_of(case))
        assert 0.01 < (change > 0.05).mean() < 0.6  # something changes, and not everything
    first = cases[0]
    if kind == "brain":
        assert first.changes["age"] == pytest.approx(first.subject.attributes["age"] + 15)
        assert (
            cases[1].changes == {"diagnosis": "dementia"}
            and cases[1].subject.attributes["diagnosis"] == "no dementia"
        )
    else:
        assert (
            first.add == ("effusion",)
            and first.subject.attributes["findings"] == phantom.NO_FINDING
        )
    again = of_phantoms(kind, 2, 0, 128, SPEC)
    assert np.array_equal(again[1].truth, cases[1].truth)
    with pytest.raises(OptionError, match="does not know age and sex"):
        of_phantoms(kind, 1, 0, 32, {phantom.kind_of(kind).column: {}})


def test_visits_are_the_first_and_the_last(cohort: Cohort) -> None:
    cases = of_visits(cohort, "train", 32, cohort.attributes)
    table = cohort.rows("train")
    assert len(cases) == table["patient"].nunique()
    for case in cases:
        own = table[table["patient"] == case.patient]
        assert case.changes["age"] == own["age"].astype(float).max()
        last = cohort.batch(own.iloc[[own["age"].astype(float).argmax()]], 32)[0].mean(0)
        assert np.allclose(case.truth, (last + 1) / 2)
        assert case.interval.known["age"] == case.subject.attributes["age"]
        assert case.interval.later["age"] == case.changes["age"]
    alone = Cohort(cohort.folder, cohort.table.drop_duplicates("patient"), cohort.info)
    with pytest.raises(CohortError, match="no patient of the train split"):
        of_visits(alone, "train", 32, cohort.attributes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures of thirty patients, six of them to test, who age by a year."""
    return tiny_cohort(tmp_path_factory.mktemp("edits") / "cohort", 60)


def test_visits_that_a_prompt_cannot_tell_apart_are_no_case(folder: Path) -> None:
    cohort = Cohort.load(folder)
    assert len(visits(cohort, "test", cohort.attributes)) == 6
    table = cohort.table.copy()
    months = table["age"].where(table["days"] == 0, table["age"] - 0.8)
    same = Cohort(cohort.folder, table.assign(age=months), cohort.info)
    assert visits(same, "test", cohort.attributes) == []
