"""Fixtures of the tests in this folder."""

from __future__ import annotations

import pytest
from block_pictures import planted

from latentdrift.data.cohort.cohort import write_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(
        tmp_path_factory.mktemp("inspect") / "cohort",
        planted(),
        {"describe": "chest X-ray", "kept": ["score"]},
    )
