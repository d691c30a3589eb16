"""Inspection counts what was planted, and finds what leaks."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import places
import pytest

from latentdrift.config import ImportOptions
from latentdrift.data.images.thumbnails import thumbnail
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.inspection.results import NumberSummary, SplitLeaks, SplitSize
from latentdrift.data.inspection.statistics import inspect, leaks

DATA = places.SHARED / "data"


@pytest.fixture(scope="module")
def found(cohort):
    return inspect(cohort)


def test_counts(found):
    assert (found.images, found.patients) == (83, 42)
    assert found.splits["train"] == SplitSize(images=48, patients=24)
    assert found.attributes["sex"].counts["F"] == {
        "all": 42,
        "train": 24,
        "validation": 8,
        "test": 10,
    }
    assert (
        found.attributes["findings"].counts["Mass"]["all"] == 54
        and found.attributes["findings"].counts["Edema"]["all"] == 26
    )
    assert found.attributes["age"].by_split["train"] == NumberSummary(
        n=48, mean=61.5, sd=6.9222, low=50.0, median=61.5, high=73.0
    )
    assert found.missing["age"] == 1 and "sha256" not in found.missing
    assert found.sizes == {"48 x 48": 83} and found.spacing_mm == {"1 x 1": 80, "unknown": 3}


def test_ages_and_visits(found):
    assert sum(sum(counts) for counts in found.ages.counts.values()) == 82
    assert found.ages.edges[0] == 50 and found.ages.edges[-1] > 89
    assert found.visits.images_per_patient == {"1": 2, "2": 39, "3": 1}
    assert sorted(found.visits.days_between) == [100.0] * 20 + [200.0] * 20
    assert found.visits.days_between_median == 150


def test_intensities(cohort, found):
    shares = found.intensity.by_split
    assert set(shares) == {"train", "validation", "test"}
    assert all(abs(sum(values) - 1) < 1e-4 for values in shares.values())
    pixels = np.concatenate(
        [cohort.pixels(row).ravel() for row in cohort.rows("test").to_dict("records")]
    )
    assert np.allclose(
        shares["test"], np.histogram(pixels, 64, (-1, 1))[0] / pixels.size, atol=1e-5
    )


def test_planted_leaks_are_found_and_nothing_else(cohort, found):
    assert found.leaks.patients == ["p-0"]
    assert found.leaks.pixels == [cohort.table["sha256"][2]]
    (pair,) = found.leaks.near_duplicates
    assert pair.splits == ["train", "validation"] and pair.correlation > 0.99
    assert cohort.table.set_index("file_name").loc[pair.files, "patient"].tolist() == [
        "p-2",
        "p-102",
    ]


def test_warnings_are_sentences(found):
    for expected in (
        "In more than one split: 1 patient. Scores on held-out images will be too good.",
        "In more than one split, pixel by pixel: 1 image.",
        "Near-duplicates in different splits: 1 pair; look at them below.",
        "The validation split has only 17 images.",
        "1 of 83 images have no age; their prompts leave it out.",
        "All images have the same site; the model cannot learn what it means.",
    ):
        assert expected in found.warnings
    assert not any(
        "score" in sentence for sentence in found.warnings if "scores on" not in sentence
    )


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_visits_of_one_patient_that_are_cut_apart_are_seen_in_real_scans(tmp_path):
    cohort = import_cohort(
        ImportOptions(source=DATA / "oasis2", out=tmp_path / "c", preset="oasis2")
    )
    few = sorted(cohort.table["patient"].unique())[:30]
    table = cohort.table[cohort.table["patient"].isin(few)].reset_index(drop=True)
    cohort = replace(cohort, table=table)
    thumbnails = np.stack(
        [thumbnail(cohort.stored(row)) for row in cohort.table.to_dict("records")]
    )
    assert leaks(cohort, thumbnails) == SplitLeaks([], [], [])
    pairs = [
        (i, j)
        for i, j in combinations(range(len(table)), 2)
        if (i + j) % 2 and table["patient"][i] == table["patient"][j]
    ]
    cohort.table["patient"] = [None] * len(cohort.table)  # nobody knows who is who
    cohort.table["split"] = [("train", "test")[i % 2] for i in range(len(cohort.table))]
    seen = leaks(cohort, thumbnails).near_duplicates
    assert len(seen) > 0.5 * len(pairs) > 20
