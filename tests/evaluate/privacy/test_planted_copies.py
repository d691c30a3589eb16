"""Planted copies are found in any disguise, and other patients are left alone, on phantoms and, by
hand, on real cohorts."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from latentdrift.data.phantom import phantom
from latentdrift.evaluate.images import registration
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.registration import Structure, nearest, structure
from latentdrift.evaluate.privacy.copy_detection import (
    CopyThresholds,
    find_copies,
    find_duplicates,
    planted,
)
from latentdrift.evaluate.privacy.copy_perturbations import DISGUISES, disguise
from latentdrift.evaluate.statistics.bootstrap import rng

PLANTS = 5


@cache
def patients(kind: str, n: int, seed: int, visits: int = 1, size: int = 96) -> EvaluationImages:
    spec = phantom.kind_of(kind)
    rows = phantom.cohort_table(kind, n, visits, seed)
    grey = np.stack(
        [
            spec.render(row["subject"], spec.attributes(row), visit=row["visit"], size=size)
            for row in rows
        ]
    )
    return EvaluationImages(
        np.repeat(grey.clip(0, 1)[..., None], 3, -1), [f"{seed}-{row['patient']}" for row in rows]
    )


@cache
def reference(kind: str) -> tuple[Structure, CopyThresholds]:
    """What the search knows of 40 training patients, and what 30 others set."""
    train = structure(patients(kind, 40, 1).images)
    return train, CopyThresholds.of(nearest(patients(kind, 30, 2).images, train))


@pytest.mark.parametrize("name", DISGUISES)
def test_brains_are_found_in_disguise_and_named(name):
    train, thresholds = reference("brain")
    found = nearest(disguise(name, patients("brain", 40, 1).images[:PLANTS], rng(0, name)), train)
    assert (
        thresholds.similarity(found) > thresholds.threshold
    ).all() and found.index.tolist() == list(range(PLANTS))


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


def test_grain_is_known_for_what_it_is():
    """White grain: its variance in the structure's scales, and its share of a picture that had
    none."""
    generator = np.random.default_rng(0)
    grain = torch.from_numpy(generator.normal(size=(40, 100, 150)).astype(np.float32))
    rows, columns = (registration._sampler(size, 32) for size in (100, 150))
    small = (rows @ grain @ columns.T)[:, None]
    detail = registration._blur(small, registration.FINE) - registration._blur(
        small, registration.WIDE
    )
    assert float(detail[..., 8:-8, 8:-8].var()) == pytest.approx(
        registration._gain(100, 150, 32), rel=0.1
    )
    picture = 0.5 + 0.05 * gaussian_filter(generator.normal(size=(128, 128)), 2) * 7
    noisy = picture + generator.normal(0, 0.05, picture.shape)
    both = np.repeat(np.stack([picture, noisy])[..., None], 3, -1).clip(0, 1)
    clean, share = (float(x) for x in structure(both).grain[:][:, 2])
    alike = nearest(both[1:], structure(both[:1]), common=[structure(0.5 + 0 * both)])
    assert clean < 0.01 and 0.03 < share < registration.GRAIN and alike.fine[0] > 0.97
    left = np.corrcoef(
        *(x[8:-8, 8:-8].flatten() for x in structure(both).sides[2][:][:, 0].numpy())
    )[0, 1]
    assert left < 0.95 and left == pytest.approx(np.sqrt(1 - share), abs=0.03)  # what is put right
    other_way = nearest(both[:1], structure(both[1:]), common=[structure(0.5 + 0 * both)])
    assert other_way.fine[0] == pytest.approx(left, abs=0.03)


def test_the_step_towards_a_fit_is_that_of_unit_vectors():
    """J of w / |w| by automatic differentiation gives the same normal equations as inner products
    of w and its slopes."""
    generator = torch.Generator().manual_seed(0)
    view = torch.randn(
        3, 5, 4, 6, generator=generator
    )  # w, and its slopes with respect to four moves
    ours = torch.nn.functional.normalize(torch.randn(3, 24, generator=generator), dim=1)
    gram, pull = registration._normal_equations(ours, view)
    for i in range(3):
        w = view[i, 0].flatten()
        slopes = view[i, 1:].flatten(1).T
        unit = lambda move, w=w, slopes=slopes: torch.nn.functional.normalize(  # noqa: E731
            w + slopes @ move, dim=0
        )
        jacobian = torch.autograd.functional.jacobian(unit, torch.zeros(4))
        torch.testing.assert_close(gram[i], jacobian.T @ jacobian, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            pull[i], jacobian.T @ (ours[i] - unit(torch.zeros(4))), rtol=1e-4, atol=1e-5
        )


def test_a_picture_finds_back_to_where_it_was():
    """Smooth pictures, moved by less than the coarse steps part: laid over themselves as they
    were."""
    picture = gaussian_filter(
        np.random.default_rng(0).normal(size=(3, 1, 64, 64)), (0, 0, 1.5, 1.5)
    ).astype(np.float32)
    train = Structure([torch.from_numpy(picture)] * 3, torch.zeros(3, 3))
    moves = torch.tensor(
        [[0.02, -0.03, 0.05, 0.04], [0.0, 0.01, 0.0, -0.05], [-0.01, 0.02, -0.06, 0.02]]
    )
    moved = registration._read(train.sides[1], registration._view(moves, 64)[0])
    reference = registration._Reference(train, [torch.zeros(1, 1, 64, 64)] * 3)
    start = moves + torch.tensor([0.005, -0.006, 0.01, 0.015])
    value, found = reference._fit(
        moved, torch.arange(3)[:, None], start[:, None], torch.zeros(3, 1, dtype=torch.bool), 1, 8
    )
    assert (value > 0.999).all() and (found[:, 0] - moves).abs().max() < 5e-4


@pytest.mark.parametrize("kind", ["brain", "chest"])
def test_other_patients_are_left_alone(kind):
    train, thresholds = reference(kind)
    found = thresholds.similarity(nearest(patients(kind, 60, 3).images, train))
    assert (
        found > thresholds.threshold
    ).sum() <= 1  # of 60; benchmarks/copies.py asks more of them


def test_the_report_of_planted_copies_names_what_it_misses():
    train = patients("brain", 40, 1)
    found = planted(train, CopyThresholds(0.8, 0.8), seed=0)
    assert (
        found["n"] == found["caught"] == len(DISGUISES)
        and not found["missed"]
        and found["ci"][0] > 0.8
    )
    blind = planted(train, CopyThresholds(0.999, 0.999), seed=0)
    assert (
        0 < blind["caught"] < len(DISGUISES)
        and "cropped by 12 %" in blind["missed"]
        and "none" not in blind["missed"]
    )


def test_a_disguise_keeps_size_and_range_and_changes_something():
    train = patients("brain", 40, 1).images[:2]
    for name in DISGUISES:
        made = disguise(name, train, rng(0, name))
        assert (
            made.shape == train.shape
            and made.min() >= 0
            and made.max() <= 1
            and (made[..., 0] == made[..., 2]).all()
        )
        assert np.allclose(made, train, atol=1e-6) == (name == "none")


def test_a_turn_and_a_shift_are_what_they_say():
    """A spot lands where geometry puts it: 5 degrees about the centre, 6 % of the frame."""
    spot = np.zeros((101, 101))
    spot[50, 90] = 1.0
    picture = np.repeat((gaussian_filter(spot, 2) * 20)[None, ..., None], 3, -1)

    def place(x):
        weights = x[0, ..., 0] / x[0, ..., 0].sum()
        return np.array([(weights * axis).sum() for axis in np.mgrid[:101, :101]])

    turned, shifted = (
        place(disguise(name, picture, rng(0))) for name in ("turned by 5 degrees", "shifted by 6 %")
    )
    assert abs(turned[0] - 50) == pytest.approx(40 * np.sin(np.deg2rad(5)), abs=0.1)
    assert turned[1] - 50 == pytest.approx(40 * np.cos(np.deg2rad(5)), abs=0.1)
    assert np.hypot(*(shifted - [50, 90])) == pytest.approx(0.06 * 101, abs=0.1)


def test_a_collapsed_model_is_found_out():
    """Thirty pictures of six: each has a twin, also where it is mirrored or noised; thirty of
    thirty have none."""
    real = patients("brain", 30, 2)
    few = patients("brain", 60, 3)
    again = [
        few.images[:6],
        *(disguise(name, few.images[:6], rng(0, name)) for name in ("mirrored", "noise of 0.02")),
    ]
    metric, details = find_duplicates(real, EvaluationImages(np.concatenate(again)))
    assert metric["value"] == 18 and metric["n"]["synthetic"] == 18 and metric["ci"][0] > 12
    pairs = [(int(pair["first"]), int(pair["second"])) for pair in details["pairs"]]
    assert pairs and all(first % 6 == second % 6 for first, second in pairs)
    assert find_duplicates(real, EvaluationImages(few.images[:30]))[0]["value"] <= 1


def test_visits_of_one_patient_are_no_duplicates():
    real = patients("brain", 12, 2, visits=2)
    metric, _ = find_duplicates(real, EvaluationImages(patients("brain", 60, 3).images[:8]))
    assert metric["floor"] == 0 and metric["value"] == 0


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
    assert report["caught"] == report["n"]
    assert find_copies(real, others, train).metrics["copies"]["value"] <= max(1, 0.01 * len(others))
