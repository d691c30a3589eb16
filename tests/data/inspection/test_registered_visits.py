"""What `inspect` says of registered visits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from moved_brains import imported, moved_scans

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.inspection.registered_visits import registration_statistics, worst_pairs
from latentdrift.data.inspection.report import write_inspection


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Moved brains; the last patient's second visit is noise."""
    from PIL import Image

    scans = moved_scans(tmp_path_factory.mktemp("scans"))
    noise = np.random.default_rng(0).integers(0, 255, (96, 96), dtype=np.uint8)
    Image.fromarray(noise).save(scans / "2_1.png")
    return imported(scans, tmp_path_factory.mktemp("cohort") / "cohort", register="rigid")


def test_registered_and_failed_visits_are_counted(registered: Cohort) -> None:
    found = registration_statistics(registered)
    assert found is not None and found.registered == 2
    assert found.failed == {"correlation below 0.5": 1}
    assert found.correlation["smallest"] > found.correlation_before["largest"]


def test_the_worst_pairs_come_first_with_their_images(registered: Cohort) -> None:
    pairs = worst_pairs(registered)
    assert [pair.correlation for pair in pairs] == sorted(pair.correlation for pair in pairs)
    for pair in pairs:
        before, after = (np.abs(each - pair.first).mean() for each in (pair.before, pair.after))
        assert after < 0.3 * before
    assert worst_pairs(registered, 1)[0].file_name == pairs[0].file_name


def test_the_page_shows_them_and_no_column_of_registration_elsewhere(
    registered: Cohort, tmp_path: Path
) -> None:
    inspection = write_inspection(registered, tmp_path)
    page = (tmp_path / "inspect.html").read_text()
    assert "Registration of visits" in page and "after - first visit" in page
    assert "not registered: correlation below 0.5" in page
    assert not {"gain", "unregistered", "registration"} & set(inspection.missing)


def test_a_cohort_without_registration_says_nothing_of_it(cohort: Cohort, tmp_path: Path) -> None:
    assert registration_statistics(cohort) is None and worst_pairs(cohort) == []
    write_inspection(cohort, tmp_path)
    assert "Registration of visits" not in (tmp_path / "inspect.html").read_text()
