"""Ruined controls: each destroys anatomy in its own way, and keeps what it says that it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.errors import InputError
from latentdrift.evaluate.images.controls import CONTROLS, ruined

PATIENTS = ["a", "a", "b", "b", "c"]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Five images [5, 64, 64, 3] of smooth structure, of three patients."""
    rng = np.random.default_rng(0)
    places = np.linspace(0, 3 * np.pi, 64)
    planes = [
        0.5 + 0.4 * np.sin(places + shift)[:, None] * np.cos(places)[None]
        for shift in rng.uniform(0, 3, 5)
    ]
    return np.repeat(np.stack(planes)[..., None], 3, -1).astype(np.float32)


def made(name: str, images: np.ndarray, seed: int = 0) -> np.ndarray:
    return ruined(name, images, PATIENTS, np.random.default_rng(seed))


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_changes_each_image_and_keeps_its_form(name: str, images: np.ndarray) -> None:
    result = made(name, images)
    assert result.shape == images.shape and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 1
    assert (np.abs(result - images).mean((1, 2, 3)) > 0.001).all()
    assert np.array_equal(result, made(name, images))


@pytest.mark.parametrize("name", ["patches-4", "patches-8", "halves"])
def test_moved_parts_keep_every_pixel(name: str, images: np.ndarray) -> None:
    for before, after in zip(images, made(name, images), strict=True):
        assert np.array_equal(np.sort(before, axis=None), np.sort(after, axis=None))


@pytest.mark.parametrize("side", [4, 8])
def test_a_shuffled_patch_is_a_patch_of_the_same_image(side: int, images: np.ndarray) -> None:
    width = 64 // side
    for before, after in zip(images, made(f"patches-{side}", images), strict=True):
        grid = [
            {
                part[r : r + width, c : c + width].tobytes()
                for r in range(0, 64, width)
                for c in range(0, 64, width)
            }
            for part in (before, after)
        ]
        assert grid[0] == grid[1]


@pytest.mark.parametrize("cycles", [4, 8])
def test_scrambled_phases_keep_the_histogram_and_the_slow_waves(
    cycles: int, images: np.ndarray
) -> None:
    rng = np.random.default_rng(1)
    grey = images[0, ..., 0] + 0.2 * rng.standard_normal((64, 64)).clip(-2, 2)
    noisy = np.repeat(((grey - grey.min()) / np.ptp(grey))[None, ..., None], 3, -1).repeat(2, 0)
    result = ruined(f"phase-{cycles}", noisy, ["a", "b"], rng)[0, ..., 0]
    assert np.allclose(np.sort(result, axis=None), np.sort(noisy[0, ..., 0], axis=None), atol=1e-6)

    def waves(image: np.ndarray, low: float, high: float) -> np.ndarray:
        frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(64) * 64]))
        return np.fft.ifft2(
            np.fft.fft2(image) * ((frequency > low) & (frequency <= high))
        ).real.ravel()

    kept = np.corrcoef(waves(result, 0, cycles - 2), waves(noisy[0, ..., 0], 0, cycles - 2))[0, 1]
    lost = np.corrcoef(waves(result, cycles + 2, 40), waves(noisy[0, ..., 0], cycles + 2, 40))[0, 1]
    assert kept > 0.9 and abs(lost) < 0.2


def test_mixtures_are_of_two_patients(images: np.ndarray) -> None:
    flat = np.stack([np.full((8, 8, 3), value) for value in (0.0, 0.0, 0.4, 0.4, 0.8)])
    partners = {0.0: {0.4, 0.8}, 0.4: {0.0, 0.8}, 0.8: {0.0, 0.4}}
    for seed in range(5):
        for own, average, joined in zip(
            flat, made("average", flat, seed), made("joined", flat, seed), strict=True
        ):
            value = float(own[0, 0, 0])
            assert round(float(2 * average[0, 0, 0]) - value, 5) in partners[value]
            assert (
                np.allclose(joined[:, :4], value)
                and round(float(joined[0, 7, 0]), 5) in partners[value]
            )


def test_torn_images_lie_within_the_share_of_the_side() -> None:
    column = np.zeros((2, 64, 64, 3), np.float32)
    column[:, :, 31:33] = 1.0
    for name, share in (("torn-6", 0.06), ("torn-10", 0.10)):
        result = ruined(name, column, ["a", "b"], np.random.default_rng(3))
        reached = np.flatnonzero(result[0, ..., 0].max(0) > 0.5)
        moved = max(31 - reached.min(), reached.max() - 32)
        assert 1 <= moved <= share * 64 + 1


def test_colours_stay_with_their_channel() -> None:
    images = np.zeros((2, 16, 16, 3), np.float32)
    images[..., 0], images[..., 2] = 0.9, np.random.default_rng(0).random((2, 16, 16))
    for name in ("patches-4", "halves", "average", "joined"):
        result = ruined(name, images, ["a", "b"], np.random.default_rng(0))
        assert np.allclose(result[..., 0], 0.9) and np.allclose(result[..., 1], 0)


def test_one_patient_gives_a_sentence(images: np.ndarray) -> None:
    with pytest.raises(InputError, match="all images are of one"):
        ruined("average", images, ["a"] * 5, np.random.default_rng(0))
