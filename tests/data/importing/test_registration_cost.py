"""What the registration of visits costs."""

from __future__ import annotations

import time

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.cohort_registration import register_cohort
from latentdrift.data.importing.registration_cost import registration_cost


def test_a_dry_run_says_visits_and_time_and_writes_nothing(plain: Cohort, tmp_path) -> None:
    options = ImportOptions(source=plain.folder, out=tmp_path / "out", register="rigid", workers=1)
    cost = registration_cost(options)
    assert (cost.images, cost.visits) == (7, 3)
    assert not options.out.exists()
    began = time.perf_counter()
    register_cohort(options)
    assert cost.seconds < 20 * (time.perf_counter() - began)
