"""Intervals of visits, and the numbers that describe them."""

from __future__ import annotations

import numpy as np
import pytest
from visit_intervals import SPEC, intervals

from latentdrift.attributes.specification import Attribute
from latentdrift.longitudinal.visit_intervals import Covariates, VisitInterval


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
