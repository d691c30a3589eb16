"""Masked loss: where in the picture it counts. A mask is a picture as large as its image, in which
everything but 0 is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentdrift.adapt.training.latent_cache import VERSION, cached
from latentdrift.data.cohort import masks as files
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError
from latentdrift.prompts import is_missing
from latentdrift.record import sha256, short_hash
from latentdrift.storage import key


def fingerprint(cohort: Cohort, column: str, positions: Sequence[int]) -> str:
    """A hash of the masks of these images, all of which are there.

    Raises:
        OptionError: There is no such column, or it is one that prompts speak.
        CohortError: An image has no mask, or its file is missing.
    """
    table = cohort.rows()
    named = files.names(cohort, column, "mask").iloc[list(positions)]
    empty = named.map(is_missing)
    if empty.any():
        raise CohortError(
            f"{int(empty.sum())} of {len(named)} training images of {cohort.folder} name no mask "
            f"in column {column}, the first {table['file_name'].iloc[empty.idxmax()]}; give each "
            "of them one, or leave `mask` out"
        )
    files.check_there(cohort, column, named)
    return short_hash(*(sha256(cohort.folder / name) for name in named))


def weights(
    cohort: Cohort,
    column: str,
    outside: float,
    positions: Sequence[int],
    resolution: int,
    size: int,
    root: Path,
) -> np.ndarray:
    """Weight of each latent in the loss: [rows of the cohort, 1, size, size] float32, 1 where all
    of it is inside.

    Args:
        cohort: With the masks.
        column: That names their files.
        outside: Weight outside.
        positions: Of the images that have one; all others count in full.
        resolution: Pixels on a side, as training sees them.
        size: Latents on a side.
        root: Folder of all caches of a run.

    Raises:
        CohortError: Masks cannot be used; how many, and the first ones by name.
    """
    files.census(cohort, column, positions)
    table = cohort.rows().to_dict("records")
    masked = set(positions)

    def compute(first: int, last: int) -> Mapping[str, torch.Tensor]:
        inside = [
            _inside(cohort, table[row], column, resolution, size)
            if row in masked
            else np.ones((size, size))
            for row in range(first, last)
        ]
        return {"weight": torch.from_numpy(outside + (1 - outside) * np.stack(inside))[:, None]}

    masks = fingerprint(cohort, column, positions)
    name = key(VERSION, masks, positions, outside, resolution, size)
    return cached(root, "masks", name, len(table), compute)["weight"]


def _inside(
    cohort: Cohort, row: Mapping[str, Any], column: str, resolution: int, size: int
) -> np.ndarray:
    """Share of each latent inside the mask, [size, size] in [0, 1]: the mask is padded as its image
    is, then averaged by area."""
    mask = files.labels(cohort, row, column)
    fit = cohort.fit(row, mask, resolution)
    (top, left), square = fit.corner, np.zeros(fit.padded)
    square[top : top + mask.shape[0], left : left + mask.shape[1]] = mask != 0
    result: np.ndarray = cover(size, square.shape[0]) @ square @ cover(size, square.shape[1]).T
    return result


def cover(parts: int, length: int) -> np.ndarray:
    """[parts, length]: the share that each of `length` pixels has in each of as many equal parts;
    each row adds up to 1."""
    edges = np.linspace(0, length, parts + 1)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    result: np.ndarray = np.clip(overlap, 0, None) * parts / length
    return result
