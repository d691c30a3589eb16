"""Work of `evaluate` that workers share: features of images, and the search for copies.

Workers fill the cache of features before the evaluations read it. START READING AT `fill_cache`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from latentdrift.config import EvaluateOptions
from latentdrift.engines.schedule import Workers, run_items
from latentdrift.engines.work import Work
from latentdrift.errors import ResourceError
from latentdrift.evaluate.features.feature_cache import CachedSpace
from latentdrift.evaluate.features.features import (
    BATCH,
    Learned,
    Space,
    load_features,
    parse_all,
)
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.lazy_images import Pictures, batches
from latentdrift.evaluate.images.search_workers import THIS_PROCESS, SearchWorkers
from latentdrift.jobs import agreement
from latentdrift.model.base import Base
from latentdrift.progress import ProgressCallback, bar
from latentdrift.storage import key, scratch_folder

TOLERANCE = 1e-3
"""Largest difference of a worker's features of test images, in units of their length. Numbers of
threads and kinds of processors change the last digits."""
SCRATCH = ".search"
"""Folder in `out` through which workers read training images."""


def open_spaces(
    options: EvaluateOptions, train: EvaluationImages | None, encoder: Base
) -> dict[str, Space]:
    """Feature spaces of the option `features`.

    Args:
        options: Options of `evaluate`.
        train: Training images, from which the space `ssl` learns; None without a train split.
        encoder: The base whose encoder is the space `pocket`.
    """
    return load_features(
        options.features,
        learned=Learned(train, cache_of(options), options.seed) if train else None,
        pocket=encoder.features,
        pocket_maps=encoder.feature_maps,
        resolution=encoder.resolution,
        device=str(encoder.device),
    )


def cache_of(options: EvaluateOptions) -> Path:
    """Folder with the cache of features."""
    return options.cache or options.out / "cache"


@dataclass(frozen=True, eq=False)
class FeatureBatch:
    """Images whose features are computed together."""

    label: str
    """Name of the feature space."""
    first: int
    """Position of the first image in its set."""
    images: np.ndarray | Pictures


@dataclass(frozen=True, eq=False)
class FeatureStart:
    """Values from which a worker opens the feature spaces."""

    options: EvaluateOptions
    """With the device of the main process."""
    train: EvaluationImages | None
    """Training images, where a space learns from them."""
    facts: Mapping[str, str]
    """Facts in which the worker has to agree."""
    test_features: Mapping[str, np.ndarray] = field(repr=False)
    """Name of a space -> features of test images."""

    def open(self) -> dict[str, Space]:
        """Open the feature spaces.

        Raises:
            ResourceError: They are not those of the main process.
        """
        encoder = Base.load("pocket", device=self.options.device, precision="fp32")
        spaces = open_spaces(self.options, self.train, encoder)
        agreement.check(self.facts, _facts(spaces))
        for label, expected in self.test_features.items():
            difference = np.linalg.norm(spaces[label].test_features - expected)
            if difference > TOLERANCE * np.linalg.norm(expected):
                raise ResourceError(
                    f"a worker computes other features '{label}' than this process; all machines "
                    "need the same weights under the same paths"
                )
        return spaces


def fill_cache(
    options: EvaluateOptions,
    spaces: Mapping[str, CachedSpace],
    sets: Sequence[EvaluationImages],
    train: EvaluationImages | None,
    encoder: Base,
    *,
    quiet: bool,
) -> None:
    """Compute the features of all sets that the cache lacks, where there are workers.

    An item is a batch, as one process computes it, so features are equal to the bit. The file of a
    set and a space is written whole or not at all.

    Args:
        options: Options of `evaluate`.
        spaces: Feature spaces by name.
        sets: Sets of images.
        train: Training images; None without a train split.
        encoder: The base whose encoder is the space `pocket`.
        quiet: Whether to show no progress.
    """
    workers = agreement.workers_of(options, encoder)
    missing = [] if workers.is_this_process else _missing(spaces, sets)
    if not missing:
        return
    work = Work(_start(options, spaces, train, encoder).open, _encode)
    total = sum(_batches_of(images) for _, images in missing)
    with (
        bar("features", quiet=quiet) as report,
        closing(run_items(work, _items(missing), workers, in_order=True)) as results,
    ):
        counted = _counted(results, total, report)
        for label, images in missing:
            parts = islice(counted, _batches_of(images))
            spaces[label].keep(images, parts)
            deque(parts, maxlen=0)  # where another process has written the file meanwhile


def _batches_of(images: np.ndarray | Pictures) -> int:
    """Number of batches of images."""
    return math.ceil(len(images) / BATCH)


def _counted(
    results: Iterator[np.ndarray], total: int, report: ProgressCallback
) -> Iterator[np.ndarray]:
    """Results, each of which is reported as done."""
    for done, result in enumerate(results, 1):
        report(done, total)
        yield result


def _missing(
    spaces: Mapping[str, CachedSpace], sets: Sequence[EvaluationImages]
) -> list[tuple[str, np.ndarray | Pictures]]:
    """Spaces and images whose features the cache lacks, each once."""
    by_path = {
        space.path(one.images): (label, one.images)
        for label, space in spaces.items()
        for one in sets
    }
    return [pair for path, pair in by_path.items() if not path.is_file()]


def _items(missing: Sequence[tuple[str, np.ndarray | Pictures]]) -> Iterator[FeatureBatch]:
    for label, images in missing:
        for number, part in enumerate(batches(images, BATCH)):
            yield FeatureBatch(label, number * BATCH, part)


def _start(
    options: EvaluateOptions,
    spaces: Mapping[str, CachedSpace],
    train: EvaluationImages | None,
    encoder: Base,
) -> FeatureStart:
    is_learned = any(row == "ssl" for _, row, _ in parse_all(options.features))
    opened = {label: cached.space for label, cached in spaces.items()}
    return FeatureStart(
        options.model_copy(update={"device": str(encoder.device)}),
        train if is_learned else None,
        _facts(opened),
        {label: space.test_features for label, space in opened.items()},
    )


def _facts(spaces: Mapping[str, Space]) -> dict[str, str]:
    """Facts in which workers agree."""
    return agreement.facts(key({label: space.protocol for label, space in spaces.items()}))


def _encode(spaces: Mapping[str, Space], batch: FeatureBatch) -> np.ndarray:
    """Features of a batch, float32 [B, D]."""
    return spaces[batch.label].of_batch(batch.images[:], batch.first)


@contextmanager
def search_workers(options: EvaluateOptions) -> Iterator[SearchWorkers]:
    """Context with the workers of the search for copies, which compute on processors.

    Args:
        options: Options of `evaluate`.
    """
    workers = Workers(options.workers, options.ray)
    if workers.is_this_process:
        yield THIS_PROCESS
        return
    with scratch_folder(options.out / SCRATCH) as folder:
        yield SearchWorkers(workers, folder, partial(_check, agreement.facts(SCRATCH)))


def _check(facts: Mapping[str, str]) -> None:
    """Check in a worker of the search that it has the packages of the main process."""
    agreement.check(facts, agreement.facts(SCRATCH))
