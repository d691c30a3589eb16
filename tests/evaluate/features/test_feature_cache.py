"""Pictures read when needed, and features that are kept: the same as those that are not, and never
twice."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from latentdrift.errors import InputError
from latentdrift.evaluate.features.feature_cache import features_key, keep
from latentdrift.evaluate.features.features import BATCH, load_features
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.lazy_images import Pictures

N = 2 * BATCH + 3


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).random((N, 12, 12, 3), dtype=np.float32)


@pytest.fixture
def read() -> list[int]:
    return []


@pytest.fixture
def pictures(values, read) -> Pictures:
    def one(place: int) -> np.ndarray:
        read.append(place)
        return values[place]

    return Pictures(one, (12, 12), [f"k{i}" for i in range(N)], [f"p{i}" for i in range(N)])


def space(scale: float = 1.0):
    return load_features(["pocket"], pocket=lambda x: scale * x.mean((2, 3)), resolution=12)


def test_pictures_are_indexed_as_an_array_is(pictures, values):
    assert pictures.shape == values.shape and len(pictures) == N
    for at in (3, slice(2, 7), np.array([5, 1, 1]), values[:, 0, 0, 0] > 0.5, slice(None)):
        assert np.array_equal(pictures[at], values[at])
    assert np.array_equal(np.asarray(pictures), values) and np.array_equal(
        np.stack(list(pictures)), values
    )
    assert np.array_equal(pictures.take(np.array([4, 9])).take(np.array([1]))[:], values[[9]])


def test_a_set_of_pictures_reads_none_of_them(pictures, read):
    some = EvaluationImages(pictures, [str(i) for i in range(N)]).take(np.array([2, 3]))
    assert len(some) == 2 and some.patients == ["2", "3"] and not read


def test_a_picture_that_is_none_is_named_when_it_is_read(pictures, values):
    values[4] = np.nan
    with pytest.raises(InputError, match="p4 holds values"):
        pictures[4]


def test_pictures_that_are_read_at_one_time_keep_their_order(values, monkeypatch):
    """Each waits longer than the next one, and of two that are none the first is named."""
    monkeypatch.setattr("latentdrift.evaluate.images.lazy_images.READERS", 8)

    def one(place: int) -> np.ndarray:
        time.sleep((N - place) / 1000)
        return values[place]

    slow = Pictures(one, (12, 12), [str(i) for i in range(N)], [f"p{i}" for i in range(N)])
    assert np.array_equal(slow[:], values)
    values[[3, 6]] = np.nan
    with pytest.raises(InputError, match="p3 holds values"):
        slow[:8]


def test_kept_features_are_the_features(tmp_path, pictures, values):
    spaces = space()
    kept = keep(spaces, tmp_path)["pocket"](pictures)
    assert kept.dtype == np.float32 and isinstance(kept, np.memmap)
    assert np.array_equal(kept, spaces["pocket"](values)) and len(list(tmp_path.iterdir())) == 1


def test_nothing_is_encoded_twice(tmp_path, pictures, read):
    keep(space(), tmp_path)["pocket"](pictures)
    assert sorted(read) == list(range(N))
    keep(space(), tmp_path)["pocket"](pictures)
    assert len(read) == N


def test_other_contents_order_or_weights_have_another_name(pictures, values):
    plain = space()["pocket"]
    places = np.arange(N)
    names = [
        features_key(plain, pictures),
        features_key(plain, pictures.take(places[::-1])),
        features_key(plain, pictures.take(places[1:])),
        features_key(space(2.0)["pocket"], pictures),
        features_key(plain, values),
        features_key(plain, values[:-1]),
    ]
    assert len(set(names)) == len(names) and features_key(plain, values) == features_key(
        plain, values.copy()
    )


def test_an_interrupted_encoding_leaves_nothing(tmp_path, pictures, values):
    values[-1] = np.nan
    with pytest.raises(InputError):
        keep(space(), tmp_path)["pocket"](pictures)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes_when_the_features_are_there(tmp_path, pictures):
    kept = keep(space(), tmp_path)["pocket"]
    name = features_key(space()["pocket"], pictures)
    (tmp_path / f"{name}.1.partial").write_bytes(b"half")
    (tmp_path / "other.1.partial").write_bytes(b"another's")
    kept(pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"{name}.npy", "other.1.partial"]
    )


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
