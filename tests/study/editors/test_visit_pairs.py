"""Pairs of visits, and the covariates of the time between."""

from __future__ import annotations

import numpy as np
import pytest
from visit_intervals import SPEC, intervals

from latentdrift.attributes.specification import Attribute
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.study.editors.visit_baselines import VisitBaselines
from latentdrift.study.editors.visit_pairs import Covariates, VisitInterval, VisitPairs


def test_covariates_are_years_by_what_is_known() -> None:
    spec = {**SPEC, "findings": Attribute(type="findings", vocabulary=["effusion"])}
    rng = np.random.default_rng(0)
    between = [
        VisitInterval(
            one.years,
            {**one.known, "findings": ["effusion"] if place % 2 else []},
            {**one.later, "findings": []},
        )
        for place, one in enumerate(intervals(40, rng))
    ]
    chosen = Covariates.of(between, spec)
    assert chosen.findings == ("effusion",)
    ages = np.array([one.known["age"] for one in between])
    for one in between[:4]:
        age = (one.known["age"] - ages.mean()) / ages.std()
        healthy = float(one.later["diagnosis"] == "no dementia")
        gone = -1.0 if one.known["findings"] else 0.0
        expected = [one.years, one.years * age, one.years * healthy, gone]
        assert chosen.of_interval(one) == pytest.approx(expected)


def test_pairs_are_first_visits_and_all_later_ones(cohort: Cohort) -> None:
    read = VisitPairs.of(cohort, "train", 32, cohort.attributes)
    table = cohort.rows("train")
    assert len(read) == len(table) - table["patient"].nunique()
    assert read.first.shape == read.last.shape == (len(read), 32, 32)
    assert all(one.years > 0 for one in read.intervals)
    assert VisitBaselines.of(cohort, 32, cohort.attributes, brains=False).volumes is None
    empty = VisitPairs.of(
        Cohort(cohort.folder, cohort.table.drop_duplicates("patient"), cohort.info),
        "train",
        32,
        cohort.attributes,
    )
    assert len(empty) == 0
