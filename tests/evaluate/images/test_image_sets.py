"""Sets of images: named, and read from folders when they are needed."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image
from tiny import tiny_cohort

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import InputError
from latentdrift.evaluate.features.features import BATCH
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.lazy_images import Pictures

N = 2 * BATCH + 3


def test_a_set_of_pictures_reads_none_of_them(pictures, read):
    some = EvaluationImages(pictures, [str(i) for i in range(N)]).take(np.array([2, 3]))
    assert len(some) == 2 and some.patients == ["2", "3"] and not read


def test_a_folder_is_checked_first_and_read_when_needed(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((8, 6), 40 * i, np.uint8)).save(tmp_path / f"{i}.png")
    images = image_sets.from_folder(tmp_path, 8)
    assert isinstance(images.images, Pictures) and images.images[2].shape == (8, 8, 3)
    assert images.images[2].max() == pytest.approx(80 / 255, abs=1e-6)
    (tmp_path / "1.png").write_bytes(b"no")
    with pytest.raises(InputError, match=r"1\.png"):
        image_sets.from_folder(tmp_path, 8)


def test_sets_have_names_of_their_own(tmp_path):
    for folder in ("a", "b", "other/a", "train"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / folder / "x.png")
    found = image_sets.named([tmp_path / name for name in ("a", "a", "b", "other/a", "train")], 8)
    assert list(found) == ["synthetic", "a", "b", "a-3", "train-4"]


def test_pictures_travel_with_the_files_that_they_are_read_from(tmp_path):
    """A part of a set holds its own files only, and reads the same in another process."""
    cohort = Cohort.load(tiny_cohort(tmp_path / "cohort", 40))
    ours = image_sets.from_cohort(cohort, None, 16).images
    theirs = image_sets.from_folder(tmp_path / "cohort" / "images", 16).images
    squares = (np.moveaxis(cohort.batch(cohort.rows(), 16), 1, -1) + 1) / 2
    np.testing.assert_array_equal(ours[:], squares.clip(0, 1))
    for pictures in (ours, theirs):
        part = pickle.dumps(pictures.take(np.array([7, 3])))
        assert len(part) < len(pickle.dumps(pictures)) / 4
        np.testing.assert_array_equal(pickle.loads(part)[:], pictures[[7, 3]])
