"""Hints in training and in drawing: who has one, and what the network is shown of whom."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.batches.batches import Beside
from latentdrift.adapt.training.batches.latent_cache import VERSION
from latentdrift.adapt.training.batches.row_cache import CacheRoot, RowCache
from latentdrift.config import GenerateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.controlnet_hints import HINTS, Hint, from_file
from latentdrift.errors import CohortError, OptionError
from latentdrift.model.model import Model
from latentdrift.record import sha256, short_hash
from latentdrift.storage import key

log = logging.getLogger(__name__)
RECENT = 16  # hint pictures of images being drawn that are kept at hand


def examples(
    cohort: Cohort, split: str, candidates: Sequence[Example], hint: Hint
) -> tuple[Example, ...]:
    """Select the examples that have a hint, and note its source row in `Example.shown`.

    The number of examples without a hint is logged.

    Args:
        cohort: The cohort.
        split: Split of the examples, for messages.
        candidates: Examples of that split.
        hint: Kind of hint.

    Raises:
        CohortError: There are training images, and none has a hint.
    """
    sources = hint.sources(cohort)
    with_hint = tuple(
        replace(example, shown=sources[example.row])
        for example in candidates
        if example.row in sources
    )
    if candidates and not with_hint and split == "train":
        raise CohortError(_none(cohort, hint, len(candidates)))
    if len(with_hint) < len(candidates):
        log.warning(
            "%d of %d %s images have no hint '%s': left out",
            len(candidates) - len(with_hint),
            len(candidates),
            split,
            hint,
        )
    return with_hint


def _none(cohort: Cohort, hint: Hint, images: int) -> str:
    return (
        f"none of {images} images of cohort {cohort.folder} has a hint '{hint}' "
        f"({HINTS[hint.kind].summary}); take another one of {', '.join(HINTS)}, or give the cohort "
        "what it needs"
    )


def beside(
    cohort: Cohort, hint: Hint, positions: Sequence[int], resolution: int, root: CacheRoot
) -> Beside:
    """Function from examples to their hints [B, 3, R, R] in [0, 1], with a cache below `root`.

    Args:
        cohort: Cohort with the images or masks of the hints.
        hint: Kind of hint.
        positions: `Example.shown` of all examples, each once.
        resolution: R, pixels on a side.
        root: Folder of all caches of a run.
    """
    channels = hint.channels(cohort, positions)

    def compute(first: int, last: int) -> Mapping[str, Tensor]:
        pictures = [
            _of(hint.picture(cohort, source, resolution), channels)
            for source in positions[first:last]
        ]
        return {"hint": torch.stack(pictures)}

    sources = hint.fingerprint(cohort, positions)
    name = key(VERSION, str(hint), hint.labels, resolution, channels, sources)
    hints = RowCache.open(root, "hints", name, len(positions), compute)["hint"]
    place = {source: row for row, source in enumerate(positions)}
    return lambda indices: torch.from_numpy(
        hints[[place[example.shown or 0] for example in indices]]
    ).expand(-1, 3, -1, -1)


def _of(picture: np.ndarray, channels: int = 3) -> Tensor:
    """[C, R, R] with so many channels."""
    return torch.from_numpy(picture).expand(channels, -1, -1)


def hints(model: Model) -> list[Hint]:
    """The hint of each ControlNet of a model, in the order of its adapters."""
    return [
        adapter.hint.hint()
        for adapter in model.adapters
        if METHODS[adapter.method].image_input == "hint" and adapter.hint
    ]


def followed(cohort: Cohort, split: str | None, model: Model) -> list[int]:
    """Positions of the rows of a split that have every hint; the number of the others is logged.

    Args:
        cohort: The cohort.
        split: Name of the split; None: all rows.
        model: The model with its ControlNets.

    Raises:
        CohortError: No row has every hint.
    """
    rows = [int(position) for position in cohort.rows(split).index]
    for hint in hints(model):
        there = hint.sources(cohort)
        usable = [row for row in rows if row in there]
        if rows and not usable:
            raise CohortError(_none(cohort, hint, len(rows)))
        if len(usable) < len(rows):
            none = len(rows) - len(usable)
            log.warning(
                "%d of %d images of %s have no hint '%s': they are not followed",
                none,
                len(rows),
                cohort.folder,
                hint,
            )
        rows = usable
    return rows


@dataclass(frozen=True, eq=False)
class Pictures(Mapping[int, list[Tensor]]):
    """Index of an image to draw -> a hint [3, R, R] in [0, 1] for each ControlNet, made when it is
    asked for."""

    count: int
    """Number of images."""
    make: Callable[[int], list[Tensor]]
    key: str
    """A hash of all that they are made from."""
    mask: Callable[[int], np.ndarray] | None = None
    """The mask behind an image's hint, uint8 or uint16 [R, R], where a ControlNet is shown one."""

    def __getitem__(self, index: int) -> list[Tensor]:
        if index not in range(self.count):
            raise KeyError(index)
        return self.make(index)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))

    def __len__(self) -> int:
        return self.count


def pictures(
    options: GenerateOptions,
    model: Model,
    rows: Sequence[int | None],
    resolution: int,
) -> Pictures | None:
    """Hints of the images to generate; None where the model has no ControlNets.

    Args:
        options: Options of `generate`; `like` or `hint_image` gives the hints.
        model: The model with its ControlNets.
        rows: For each image, the position of its row in the cohort `like`; None: it has no row.
        resolution: R, pixels on a side.

    Raises:
        OptionError: Hints are missing, not needed, or not one for each ControlNet.
        InputError, CohortError: A hint cannot be read.
    """
    wanted = len(model.base.controls)
    files = options.hint_image
    if files and len(files) != wanted:
        raise OptionError(
            f"`hint_image` gives {len(files)} pictures, and this network has {wanted} ControlNets; "
            "give one for each"
        )
    if not wanted:
        return None
    if files:
        given = [
            _of(from_file(file, resolution, hint))
            for file, hint in zip(files, hints(model), strict=True)
        ]
        return Pictures(len(rows), lambda index: given, short_hash(*map(sha256, files)))
    if options.like is None:
        raise OptionError(
            f"this network needs {model.base.shows} beside noise and text: give "
            "`like=COHORT`, from whose images hints are made, or `hint_image=FILE`, one "
            "for each ControlNet"
        )
    return of_rows(
        Cohort.load(options.like),
        hints(model),
        [row for row in rows if row is not None],
        resolution,
    )


def of_rows(
    cohort: Cohort, wanted: Sequence[Hint], rows: Sequence[int], resolution: int
) -> Pictures:
    """Hints of rows of a cohort; index i has the hints of `rows[i]`.

    Args:
        cohort: The cohort.
        wanted: Kind of hint of each ControlNet.
        rows: Positions of rows that have every hint.
        resolution: R, pixels on a side.
    """
    sources = [hint.sources(cohort) for hint in wanted]

    @lru_cache(maxsize=RECENT)
    def of_row(row: int) -> list[Tensor]:
        pairs = zip(wanted, sources, strict=True)
        return [_of(hint.picture(cohort, there[row], resolution)) for hint, there in pairs]

    files = [
        hint.fingerprint(cohort, [there[row] for row in rows])
        for hint, there in zip(wanted, sources, strict=True)
    ]
    masked = [(hint, there) for hint, there in zip(wanted, sources, strict=True) if hint.column]

    def mask(index: int) -> np.ndarray:
        hint, there = masked[0]
        return hint.mask(cohort, there[rows[index]], resolution)

    name = short_hash(*wanted, *files)
    return Pictures(len(rows), lambda index: of_row(rows[index]), name, mask if masked else None)
