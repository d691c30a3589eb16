"""The page of an inspection, and its numbers."""

from __future__ import annotations

import json
import re

import numpy as np
from block_pictures import blocks

from latentdrift.data.cohort.cohort import write_cohort
from latentdrift.data.inspection.report import write_inspection


def test_the_page_and_the_numbers_are_written(cohort, tmp_path):
    found = write_inspection(cohort, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "inspect.html",
        "inspect.json",
    ]
    assert json.loads((tmp_path / "out" / "inspect.json").read_text()) == found.to_dict()
    html = (tmp_path / "out" / "inspect.html").read_text()
    assert html.count("data:image/svg+xml") == 2
    assert html.count("data:image/png") == 12 * 3 + 2
    assert not re.search(r"https?://", html)
    assert "In more than one split: 1 patient." in html and 'aria-label="red"' in html


def test_a_cohort_without_anything_but_pictures(tmp_path):
    cohort = write_cohort(
        tmp_path / "c", [(blocks(0), {}), (np.zeros((10, 12, 3), np.uint8), {})], {}
    )
    found = write_inspection(cohort, tmp_path / "out")
    assert found.patients == 0 and found.ages is None and found.visits.images_per_patient == {}
    assert "The test split is empty." in found.warnings
    assert (
        "The images have 2 different sizes; each is padded to a square and resized."
        in found.warnings
    )
    assert "Patients are not known" in (tmp_path / "out" / "inspect.html").read_text()
