"""Features and copies of `evaluate` by several workers: those of one process, to the bit."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kills import contents
from local_workers import local_workers
from tiny import tiny_cohort

from latentdrift import config, record, service
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import InputError, ResourceError
from latentdrift.evaluate.evaluations import evaluation, evaluations
from latentdrift.evaluate.features import features, vicreg
from latentdrift.evaluate.features.feature_cache import CachedSpace, keep
from latentdrift.evaluate.features.features import Space
from latentdrift.evaluate.images import fine_structure, registration
from latentdrift.evaluate.images.image_sets import EvaluationImages, from_cohort, from_folder
from latentdrift.evaluate.images.lazy_images import Pictures
from latentdrift.evaluate.privacy import copy_detection
from latentdrift.evaluate.report import report_page
from latentdrift.jobs import evaluation_job
from latentdrift.jobs.evaluation_job import cache_of, fill_cache, open_spaces

BATCH = 4
N = 30


class Means:
    """A base whose features are means of quarters of an image."""

    resolution = 16
    device = torch.device("cpu")

    @classmethod
    def load(cls, *place: Any, **more: Any) -> Means:
        return cls()

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images[:, :1], 8).flatten(1)

    def feature_maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [images]


@pytest.fixture(autouse=True)
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches, and a base that computes features at once."""
    if "slow" in request.keywords:  # processes of its own, where nothing is replaced
        return
    monkeypatch.setattr(features, "BATCH", BATCH)
    monkeypatch.setattr(evaluation_job, "BATCH", BATCH)
    monkeypatch.setattr(evaluation_job, "Base", Means)
    monkeypatch.setattr("latentdrift.model.base.Base.load", Means.load)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`real`, a tiny cohort, and `made`, another one."""
    folder = tmp_path_factory.mktemp("sets")
    tiny_cohort(folder / "real", N, size=16)
    tiny_cohort(folder / "made", 18, size=16, seed=1)
    return folder


@pytest.fixture
def pocket() -> Any:
    return evaluation_job.Base.load("pocket", device="cpu", precision="fp32")


def asked(folders: Path, out: Path, **more: Any) -> config.EvaluateOptions:
    values = {"bootstrap": 10, "split": None, **more}
    return config.EvaluateOptions(
        real=folders / "real", synthetic=folders / "made", out=out, **values
    )


def sets_of(folders: Path) -> list[EvaluationImages]:
    cohort = Cohort.load(folders / "real")
    return [from_cohort(cohort, None, 16), from_folder(folders / "made" / "images", 16)]


def filled(options: config.EvaluateOptions, pocket: Any, sets: list[EvaluationImages]) -> Path:
    """Fill the cache of an evaluation with the features of sets."""
    spaces = keep(open_spaces(options, sets[0], pocket), cache_of(options))
    fill_cache(options, spaces, sets, sets[0], pocket, quiet=True)
    return cache_of(options)


@pytest.fixture
def alone(folders: Path, pocket: Any, tmp_path: Path) -> Path:
    """Cache that one process filled where the features were read."""
    options = asked(folders, tmp_path / "alone")
    for space in keep(open_spaces(options, None, pocket), cache_of(options)).values():
        for images in sets_of(folders):
            space(images.images)
    return cache_of(options)


@pytest.mark.parametrize("workers", [2, 7])
def test_workers_fill_the_cache_of_one_process(
    workers: int, folders: Path, alone: Path, pocket: Any, tmp_path: Path
) -> None:
    with local_workers() as engines:
        cache = filled(asked(folders, tmp_path / "out", workers=workers), pocket, sets_of(folders))
    assert contents(cache) == contents(alone) and len(list(cache.iterdir())) == 2
    (engine,) = engines
    assert all(isinstance(item.images, Pictures) for item in engine.items)
    assert sorted(len(item.images) for item in engine.items) == [2, 2, *[BATCH] * 11]


def test_a_dead_worker_loses_nothing(
    folders: Path, alone: Path, pocket: Any, tmp_path: Path
) -> None:
    with local_workers(deaths=2) as engines:
        cache = filled(asked(folders, tmp_path / "out", workers=2), pocket, sets_of(folders))
    assert contents(cache) == contents(alone) and len(engines[0].items) == 13 + 2


def test_features_that_are_there_are_not_computed_again(
    folders: Path, alone: Path, pocket: Any, tmp_path: Path
) -> None:
    options = asked(folders, tmp_path / "out", workers=2)
    with local_workers() as engines:
        filled(options, pocket, sets_of(folders)[1:])
        filled(options, pocket, sets_of(folders))
        filled(options, pocket, sets_of(folders)[::-1])
    assert [len(engine.items) for engine in engines] == [5, 8]
    assert contents(cache_of(options)) == contents(alone)


def test_a_file_that_another_process_wrote_meanwhile_stays(
    folders: Path, alone: Path, pocket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The features of the next set are still its own."""
    keep_features = CachedSpace.keep

    def late(space: CachedSpace, images: Any, parts: Iterator[np.ndarray]) -> Path:
        if len(images) == N:
            keep_features(space, images, space.space.batches(images))
        return keep_features(space, images, parts)

    monkeypatch.setattr(CachedSpace, "keep", late)
    with local_workers():
        cache = filled(asked(folders, tmp_path / "out", workers=2), pocket, sets_of(folders))
    assert contents(cache) == contents(alone)


def test_one_process_fills_nothing_ahead(folders: Path, pocket: Any, tmp_path: Path) -> None:
    assert not filled(asked(folders, tmp_path / "out"), pocket, sets_of(folders)).exists()


def test_workers_open_the_space_that_the_main_process_learned(
    folders: Path, pocket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vicreg, "learn", lambda *_: vicreg.Encoder())  # other weights each time
    options = asked(folders, tmp_path, workers=2, features=("ssl",))
    sets = sets_of(folders)
    spaces = keep(open_spaces(options, sets[0], pocket), cache_of(options))
    with local_workers() as engines:
        fill_cache(options, spaces, sets, sets[0], pocket, quiet=True)
    assert len(engines[0].items) == 2 * 13 and spaces.keys() == {"pocket", "ssl"}
    for space in spaces.values():
        for images in (one.images for one in sets):
            assert space.path(images).is_file()
            np.testing.assert_array_equal(space(images), space.space(images))


def test_a_worker_with_other_weights_refuses(
    folders: Path, pocket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*arguments: Any) -> dict[str, Space]:
        spaces = open_spaces(*arguments)
        own = spaces["pocket"]
        return {"pocket": replace(own, encode=lambda images: own.encode(images) * 1.01)}

    options = asked(folders, tmp_path / "out", workers=2)
    spaces = keep(open_spaces(options, None, pocket), cache_of(options))
    monkeypatch.setattr(evaluation_job, "open_spaces", elsewhere)
    with local_workers(), pytest.raises(ResourceError, match="other features 'pocket'"):
        fill_cache(options, spaces, sets_of(folders), None, pocket, quiet=True)
    assert not list(cache_of(options).iterdir())


def test_an_image_without_features_is_named_by_its_place(
    folders: Path, pocket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = sets_of(folders)[0].images[:]

    def encode(images: np.ndarray) -> Any:
        return torch.from_numpy(np.where(images[:, 0, 0] == 0.5, np.nan, 0.0))

    broken[BATCH + 3] = 0.5
    spaces = {"pocket": Space("own", "", encode)}
    monkeypatch.setattr(evaluation_job, "open_spaces", lambda *_: spaces)
    with local_workers(), pytest.raises(InputError, match=f"own features of picture {BATCH + 3} "):
        options = asked(folders, tmp_path / "out", workers=2)
        sets = [EvaluationImages(broken)]
        fill_cache(options, keep(spaces, tmp_path), sets, None, pocket, quiet=True)


@pytest.fixture
def small_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few images are searched for few questions, and workers share them all the same."""
    rows = ("distribution", "copies", "re-identification", "duplicates")
    asked_rows = {name: evaluations.EVALUATIONS[name] for name in rows}
    disguises = dict(islice(copy_detection.DISGUISES.items(), 3))
    for module, name, value in (
        (fine_structure, "MIN_SHARED", 1),
        (registration, "MIN_SHARED", 1),
        (evaluations, "EVALUATIONS", asked_rows),
        (evaluation, "MAX_SEARCHED", 4),
        (report_page, "page_blocks", lambda *_: []),
        (copy_detection, "DISGUISES", disguises),
        (copy_detection, "PLANTED", len(disguises)),
    ):
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("small_evaluation")
def test_workers_write_the_report_of_one_process(folders: Path, tmp_path: Path) -> None:
    service.run("evaluate", asked(folders, tmp_path / "one", split="test"), quiet=True)
    with local_workers() as engines:
        options = asked(folders, tmp_path / "two", split="test", workers=2)
        service.run("evaluate", options, quiet=True)
    assert len(engines) > 5
    one, two = (contents(tmp_path / name) for name in ("one", "two"))
    assert one == two and {"report.json", "report.html"} < one.keys()
    assert record.read(tmp_path / "two")["options"]["workers"] == 2
    with local_workers() as engines:  # the same report, with another number of workers
        service.run("evaluate", options.model_copy(update={"workers": 3}), quiet=True)


@pytest.mark.slow
def test_processes_fill_the_cache_also_where_one_is_killed(
    folders: Path, pocket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is killed when the ninth batch is drawn: results have come, and work is left."""
    tiny_cohort(tmp_path / "real", 12 * features.BATCH, size=16)
    sets = [from_cohort(Cohort.load(tmp_path / "real"), None, 16)]
    items = evaluation_job._items
    killed = []

    def deadly(missing: Any) -> Iterator[Any]:
        for number, item in enumerate(items(missing)):
            if number == 9:
                killed.append(multiprocessing.active_children()[0].pid)
                multiprocessing.active_children()[0].kill()
            yield item

    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", str(torch.get_num_threads()))
    monkeypatch.setattr(evaluation_job, "_items", deadly)
    cache = filled(asked(tmp_path, tmp_path / "two", workers=2), pocket, sets)
    options = asked(tmp_path, tmp_path / "one")
    keep(open_spaces(options, None, pocket), cache_of(options))["pocket"](sets[0].images)
    assert len(killed) == 1 and contents(cache) == contents(cache_of(options))
