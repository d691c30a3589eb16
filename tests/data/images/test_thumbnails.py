"""Thumbnails: the same picture in other clothes, and pictures that are not the same."""

from __future__ import annotations

import time

import numpy as np

from latentdrift.data.images import thumbnails as small_images


def picture(seed: int, size: int = 96) -> np.ndarray:
    """Smooth blobs: as different from one another as scans of different things."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:size, :size] / size
    return sum(
        rng.uniform(-1, 1) * np.exp(-((row - rng.random()) ** 2 + (col - rng.random()) ** 2) / 0.02)
        for _ in range(12)
    )


def test_the_same_picture_in_other_clothes_is_found_and_others_are_not():
    rng = np.random.default_rng(0)
    originals = [picture(seed) for seed in range(12)]
    copies = [
        image * 37 + 5 + rng.normal(0, 1, image.shape) for image in originals
    ]  # contrast, brightness, noise
    smaller = [image[::2, ::2] for image in originals]
    thumbnails = np.stack(
        [small_images.thumbnail(image) for image in (*originals, *copies, *smaller)]
    )
    groups = small_images.groups(len(thumbnails), small_images.alike(thumbnails))
    assert groups == [i % 12 for i in range(36)]


def test_even_pictures_are_like_nothing():
    thumbnails = np.stack(
        [small_images.thumbnail(np.full((20, 20), value)) for value in (0.0, 0.0, 255.0)]
    )
    assert small_images.alike(thumbnails) == []


def test_union_find_joins_chains():
    assert small_images.groups(6, [(4, 5), (3, 4), (0, 2)]) == [0, 1, 0, 3, 3, 3]


def test_five_thousand_images_take_seconds():
    thumbnails = (
        np.random.default_rng(0).normal(size=(5000, small_images.SIDE**2)).astype(np.float32)
    )
    thumbnails /= np.linalg.norm(thumbnails, axis=1, keepdims=True)
    thumbnails[4999] = thumbnails[0]
    start = time.perf_counter()
    pairs = small_images.alike(thumbnails)
    assert [(i, j) for i, j, _ in pairs] == [(0, 4999)]
    assert time.perf_counter() - start < 15


def test_the_pixel_hash_sees_shape_type_and_values_and_not_memory_order():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert small_images.pixel_hash(image) == small_images.pixel_hash(np.asfortranarray(image))
    others = (image + 1, image.reshape(4, 3), image.astype(np.uint16))
    assert len({small_images.pixel_hash(other) for other in (image, *others)}) == 4
    assert small_images.pixel_hash(image.astype("<u2")) == small_images.pixel_hash(
        image.astype(">u2")
    )
