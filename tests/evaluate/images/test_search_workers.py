"""The search for copies by several workers: that of one process, to the bit."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_workers import local_workers

from latentdrift.engines.schedule import Workers
from latentdrift.errors import ResourceError
from latentdrift.evaluate.features.nearest_neighbours import same
from latentdrift.evaluate.images import candidate_index, fine_structure, registration
from latentdrift.evaluate.images.fine_structure import structure
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.evaluate.images.registration import Overlaid, nearest
from latentdrift.evaluate.images.search_workers import THIS_PROCESS, SearchWorkers

SIDE = 32
BLOCK = 4
TRAIN = np.random.default_rng(0).random((112, SIDE, SIDE, 3), dtype=np.float32)
QUERY = TRAIN[20:26, :, ::-1].copy()
OWN = same(np.arange(6) + 20, np.arange(112))


def read(seed: int, place: int) -> np.ndarray:
    """A picture that a worker makes again from its number."""
    return np.random.default_rng((seed, place)).random((SIDE, SIDE, 3), dtype=np.float32)


def pictures(n: int, seed: int) -> Pictures:
    keys = [f"{seed}-{i}" for i in range(n)]
    return Pictures(partial(read, seed), (SIDE, SIDE), keys, keys)


@pytest.fixture
def all_work_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fine_structure, registration):
        monkeypatch.setattr(module, "MIN_SHARED", 1)
        monkeypatch.setattr(module, "BLOCK", BLOCK)


def search(workers: SearchWorkers, query: Any, train: Any) -> Overlaid:
    known = structure(train, workers=workers)
    common = (known, structure(query, workers=workers))
    return nearest(query, known, OWN, common, workers)


def assert_equal(one: Overlaid, other: Overlaid) -> None:
    for name in ("index", "value", "mirrored", "fine"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(("n", "shortlist"), [(112, 110), (30, 512)], ids=["index", "no index"])
@pytest.mark.usefixtures("all_work_is_large")
def test_workers_find_the_pairs_of_one_process(
    n: int, shortlist: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one of them dies."""
    monkeypatch.setattr(candidate_index, "SHORTLIST", shortlist)
    monkeypatch.setattr(registration, "SHORTLIST", shortlist)
    alone = search(THIS_PROCESS, QUERY, TRAIN[:n])
    with local_workers(deaths=1) as engines:
        together = search(SearchWorkers(Workers(2), tmp_path), QUERY, TRAIN[:n])
    assert len(engines) == 3 and len(engines[0].items) == math.ceil(n / BLOCK) + 1
    assert_equal(alone, together)
    assert not (alone.index == np.arange(20, 26)).any()  # they are forbidden


@pytest.mark.usefixtures("all_work_is_large")
def test_pictures_on_disk_travel_by_their_names(tmp_path: Path) -> None:
    train = pictures(9, 0)
    query = pictures(6, 1)
    with local_workers() as engines:
        together = search(SearchWorkers(Workers(2), tmp_path), query, train)
    assert all(isinstance(item, Pictures) and len(item) <= BLOCK for item in engines[0].items)
    rows, images = engines[2].items[0]
    assert rows in (slice(0, 4), slice(4, 6)) and isinstance(images, Pictures)
    assert_equal(together, search(THIS_PROCESS, query[:], train[:]))


@pytest.mark.usefixtures("all_work_is_large")
def test_nothing_of_the_training_images_stays_in_the_folder(tmp_path: Path) -> None:
    with local_workers():
        workers = SearchWorkers(Workers(2), tmp_path)
        known = structure(TRAIN[:5], workers=workers)
        assert len(list(tmp_path.iterdir())) == 4
        nearest(QUERY[:3], known, workers=workers)
    del known
    assert not list(tmp_path.iterdir())


def test_few_images_need_no_workers(tmp_path: Path) -> None:
    with local_workers() as engines:
        together = search(SearchWorkers(Workers(2), tmp_path), QUERY[:4], TRAIN[:9])
    assert not engines
    assert_equal(together, search(THIS_PROCESS, QUERY[:4], TRAIN[:9]))


def refuse() -> None:
    raise ResourceError("other packages")


@pytest.mark.usefixtures("all_work_is_large")
def test_a_worker_that_does_not_fit_refuses(tmp_path: Path) -> None:
    with local_workers(), pytest.raises(ResourceError, match="other packages"):
        structure(TRAIN[:5], workers=SearchWorkers(Workers(2), tmp_path, refuse))


@pytest.mark.slow
@pytest.mark.usefixtures("all_work_is_large")
def test_processes_find_the_pairs_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many threads as this process."""
    import torch

    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", str(torch.get_num_threads()))
    together = search(SearchWorkers(Workers(2), tmp_path), QUERY, TRAIN)
    assert_equal(together, search(THIS_PROCESS, QUERY, TRAIN))
