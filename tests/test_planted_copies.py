"""Planted copies are found in any disguise, and other patients are left alone, on phantoms and, by
hand, on real cohorts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from planted_brains import patients, reference

from latentdrift.evaluate.images.fine_structure import structure
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.registration import nearest
from latentdrift.evaluate.privacy.copy_detection import (
    CopyThresholds,
    find_copies,
    find_duplicates,
    planted,
)
from latentdrift.evaluate.privacy.copy_perturbations import DISGUISES, disguise
from latentdrift.evaluate.statistics.bootstrap import rng


@pytest.mark.parametrize(
    "name", ["cropped by 12 %", "shifted by 6 %", "gamma 0.7", "noise of 0.05"]
)
def test_chests_that_are_all_alike_are_told_apart_by_finer_structure(name):
    """Strangers come as near as 0.98 in coarse structure; copies in disguise are hardly nearer."""
    train = patients("chest", 40, 1, size=128)
    strangers = nearest(patients("chest", 12, 2, size=128).images, known := structure(train.images))
    thresholds = CopyThresholds.of(strangers)
    found = nearest(disguise(name, train.images[:4], rng(1, name)), known)
    assert (
        thresholds.similarity(found) > thresholds.threshold
    ).all() and found.index.tolist() == list(range(4))
    assert (found.fine > strangers.fine.max()).all() and strangers.value.max() > 0.9


@pytest.mark.parametrize("kind", ["brain", "chest"])
def test_other_patients_are_left_alone(kind):
    """None of 30 is as strict as at most one of 60; benchmarks/copies.py searches among more."""
    train, thresholds = reference(kind)
    found = thresholds.similarity(nearest(patients(kind, 60, 3).images[:30], train))
    assert not (found > thresholds.threshold).any()


def test_the_report_of_planted_copies_names_what_it_misses():
    train = patients("brain", 40, 1)
    found = planted(train, CopyThresholds(0.8, 0.8), seed=0)
    assert found.n == found.caught == len(DISGUISES) and not found.missed and found.ci[0] > 0.8
    blind = planted(train, CopyThresholds(0.999, 0.999), seed=0)
    assert (
        0 < blind.caught < len(DISGUISES)
        and "cropped by 12 %" in blind.missed
        and "none" not in blind.missed
    )


def test_a_collapsed_model_is_found_out():
    """Eighteen pictures of six patients have a twin each, also where it is mirrored or noised;
    twenty-four of as many other patients have none."""
    real = patients("brain", 30, 2)
    few = patients("brain", 60, 3)
    again = [
        few.images[:6],
        *(disguise(name, few.images[:6], rng(0, name)) for name in ("mirrored", "noise of 0.02")),
        few.images[6:30],
    ]
    metric, search = find_duplicates(real, EvaluationImages(np.concatenate(again)))
    assert metric.value == 18 and metric.n["synthetic"] == 42 and metric.ci[0] > 11
    pairs = [(int(pair.first), int(pair.second)) for pair in search.pairs]
    assert {place for pair in pairs for place in pair} == set(range(18))
    assert all(first % 6 == second % 6 for first, second in pairs)


def test_visits_of_one_patient_are_no_duplicates():
    real = patients("brain", 12, 2, visits=2)
    metric, _ = find_duplicates(real, EvaluationImages(patients("brain", 60, 3).images[:8]))
    assert metric.floor == 0 and metric.value == 0


@pytest.mark.slow
@pytest.mark.parametrize("place", os.environ.get("LATENTDRIFT_COHORTS", "").split(":"))
def test_copies_of_real_images_are_found_and_real_patients_left_alone(place):
    """LATENTDRIFT_COHORTS=COHORT:COHORT names cohorts of your own."""
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.evaluate.images import image_sets

    if not place:
        pytest.skip("LATENTDRIFT_COHORTS names no cohort")
    cohort = Cohort.load(Path(place))
    train, real, others = (
        image_sets.from_cohort(cohort, split, 256) for split in ("train", "test", "validation")
    )
    report = planted(train, find_copies(real, others, train).thresholds, seed=0)
    assert report.caught == report.n
    assert find_copies(real, others, train).metrics["copies"].value <= max(1, 0.01 * len(others))
