"""Pictures read when needed, and features that are kept: the same as those that are not, and never
twice."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.errors import InputError
from latentdrift.evaluate.features.feature_cache import features_key, keep
from latentdrift.evaluate.features.features import BATCH, load_features

N = 2 * BATCH + 3


def space(scale: float = 1.0):
    return load_features(["pocket"], pocket=lambda x: scale * x.mean((2, 3)), resolution=12)


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
