"""Views of images as critics see them, in closed form for seams, folds and ties."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.evaluate.critics.structure_views import (
    FOLDS,
    SIDE,
    Eye,
    critic,
    distinct_units,
    pairwise_wins,
    patient_folds,
    shrunk,
    structure,
    views_of,
)


def tone(images: np.ndarray) -> np.ndarray:
    return images.mean((1, 2))


def test_images_are_averaged_down() -> None:
    images = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)
    expected = images.reshape(2, 4, 2, 4, 2, 3).mean((2, 4))
    np.testing.assert_allclose(shrunk(images, 4), expected, atol=1e-6)


def test_a_seam_shows_at_its_column() -> None:
    images = np.zeros((1, SIDE, SIDE, 3), np.float32)
    images[:, :, 20:] = 0.5
    _, _, steps = structure(images, tone)
    columns, rows = steps[0, : SIDE - 1], steps[0, SIDE - 1 :]
    assert columns[19] == pytest.approx(0.5) and columns.sum() == pytest.approx(0.5)
    assert (rows == 0).all()


def test_equal_images_are_one_unit() -> None:
    images = np.random.default_rng(0).random((3, 32, 32, 3))
    views = views_of(images[[0, 1, 0, 2, 1]], tone)
    assert distinct_units(views).tolist() == [0, 1, 0, 2, 1]


def test_folds_keep_patients_together_and_use_each_once() -> None:
    units = np.repeat(np.arange(9), 3)
    folds = list(patient_folds(units, np.random.default_rng(0)))
    assert len(folds) == FOLDS
    assert sorted(np.concatenate(folds)) == list(range(27))
    owners = [set(units[fold]) for fold in folds]
    assert sum(map(len, owners)) == 9


def test_wins_count_ties_as_half() -> None:
    wins = pairwise_wins(np.array([0.0, 1.0]), np.array([1.0, 2.0, -1.0]))
    np.testing.assert_array_equal(wins, [[1, 1, 0], [0.5, 1, 0]])


def test_components_of_real_images_are_white_and_a_critic_tells_others() -> None:
    rng = np.random.default_rng(0)
    real = [rng.normal(size=(120, 5)) * [1, 2, 3, 4, 5], rng.normal(size=(120, 2))]
    eye = Eye(real, real)
    components = eye(real)
    np.testing.assert_allclose(components.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.cov(components.T), np.eye(components.shape[1]), atol=1e-6)
    others = [view + 3 for view in real]
    score = critic(components, eye(others))
    assert pairwise_wins(score(components), score(eye(others))).mean() > 0.95
