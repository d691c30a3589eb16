"""Two-sample test: equal sets, different sets, and patients who stay together."""

from __future__ import annotations

import numpy as np

from latentdrift.evaluate.critics.structure_views import Views
from latentdrift.evaluate.critics.two_sample_test import TwoSample, two_sample
from latentdrift.resampling import Resampling


def views(vectors: np.ndarray, units: np.ndarray | None = None) -> Views:
    """Real images that have these numbers in both views."""
    return Views([vectors, vectors], {}, np.arange(len(vectors)) if units is None else units)


def test_the_two_sample_test_knows_equal_and_different_sets() -> None:
    rng = np.random.default_rng(0)
    real = views(rng.standard_normal((80, 6)))
    same, moved = (rng.standard_normal((80, 6)) + shift for shift in (0.0, 3.0))
    alike, unlike = (
        two_sample(real, [made, made], resampling=Resampling(100)) for made in (same, moved)
    )
    assert alike.ci[0] < 0.5 < alike.ci[1] and abs(alike.auc - 0.5) < 0.15
    assert unlike.auc > 0.98 and unlike.ci[0] > 0.9 and abs(unlike.floor - 0.5) < 0.25


def test_the_two_sample_test_keeps_patients_together() -> None:
    """Ten patients with ten equal images each: an image-wise split would recognise patients and not
    the set."""
    rng = np.random.default_rng(1)
    real = rng.standard_normal((10, 6)).repeat(10, 0)
    made = rng.standard_normal((100, 6))
    together = two_sample(
        views(real, np.arange(10).repeat(10)), [made, made], resampling=Resampling(50)
    )
    apart = two_sample(views(real), [made, made], resampling=Resampling(50))
    assert isinstance(together, TwoSample) and together.auc < apart.auc - 0.1


def test_halves_of_few_patients_do_not_differ_on_average() -> None:
    """Seven patients with two images each are exchangeable, so the area is 0.5 on average."""
    floors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        patients = rng.standard_normal((7, 40)).repeat(2, 0)
        real = views(patients + 0.3 * rng.standard_normal((14, 40)), np.arange(7).repeat(2))
        made = rng.standard_normal((14, 40))
        floors.append(two_sample(real, [made, made], resampling=Resampling(1, seed)).floor)
    assert abs(np.mean(floors) - 0.5) < 0.1


def test_a_few_images_of_the_same_kind_are_not_told_apart() -> None:
    """Eight real and eight synthetic images from one distribution."""
    areas = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        real, made = rng.standard_normal((2, 8, 40))
        areas.append(two_sample(views(real), [made, made], resampling=Resampling(1, seed)).auc)
    assert abs(np.mean(areas) - 0.5) < 0.15
