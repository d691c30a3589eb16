"""Pairs of visits, and the covariates of the time between."""

from __future__ import annotations

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.study.editors.visit_baselines import VisitBaselines
from latentdrift.study.editors.visit_pairs import VisitPairs


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
