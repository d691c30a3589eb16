"""Statistics of real images that a search aims at."""

from __future__ import annotations

from pathlib import Path

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.study.drift.image_statistics import Target


def test_the_target_is_never_the_test_split(tiny_cohort_folder: Path) -> None:
    cohort = Cohort.load(tiny_cohort_folder)
    assert Target.of(cohort, 0).split == "validation"
    cohort.table.loc[cohort.table["split"] == "validation", "split"] = "test"
    assert Target.of(cohort, 0).split == "train" and Target.of(cohort, 0).summary.images == 8
