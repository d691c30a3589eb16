"""Volumes of a cohort's images, and the model of its training patients."""

from __future__ import annotations

import pytest

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.longitudinal import cohort_volumes
from latentdrift.longitudinal.cohort_volumes import evenly, measured_volumes, volume_model_of
from latentdrift.longitudinal.tissue_volumes import tissue_volumes


def test_each_image_is_measured_once(cohort: Cohort) -> None:
    """Also where an image is named twice."""
    seen: list[tuple[int, int]] = []
    found = measured_volumes(cohort, [3, 1, 3], 32, lambda *done: seen.append(done))
    assert seen == [(1, 2), (2, 2)] and sorted(found) == [1, 3]
    picture = (cohort.batch(cohort.rows().loc[[3]], 32)[0].mean(0) + 1) / 2
    assert found[3] == tissue_volumes(picture)


def test_a_large_cohort_is_learned_from_some_pairs(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def patients() -> int:
        model = volume_model_of(cohort, 32, cohort.attributes, lambda *done: None)
        assert model is not None
        return model.patients

    assert patients() > 2
    monkeypatch.setattr(cohort_volumes, "MOST_PAIRS", 2)
    assert patients() == 2


@pytest.mark.parametrize(
    ("count", "most", "places"), [(3, 5, [0, 1, 2]), (10, 4, [0, 2, 5, 7]), (0, 4, [])]
)
def test_positions_are_spread_evenly(count: int, most: int, places: list[int]) -> None:
    assert list(evenly(count, most)) == places
