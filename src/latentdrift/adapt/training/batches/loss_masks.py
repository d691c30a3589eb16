"""Masked loss: where in the picture it counts. A mask is a picture as large as its image, in which
everything but 0 is inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from latentdrift.adapt.training.batches.latent_cache import VERSION
from latentdrift.adapt.training.batches.row_cache import CacheRoot, RowCache, Rows
from latentdrift.attributes.specification import ImageRow
from latentdrift.data.cohort import masks as files
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError
from latentdrift.prompts import is_missing
from latentdrift.record import sha256, short_hash
from latentdrift.storage import key


def fingerprint(cohort: Cohort, column: str, positions: Sequence[int]) -> str:
    """Hash of the masks of these images.

    Args:
        cohort: The cohort.
        column: Column that names the mask files.
        positions: Positions of images; each needs a mask.

    Raises:
        OptionError: There is no such column, or prompts use it.
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
    root: CacheRoot,
) -> Rows:
    """Weight of each latent in the loss: [rows of the cohort, 1, size, size] float32.

    It is 1 where all of a latent's pixels are inside the mask, and `outside` where none is.

    Args:
        cohort: Cohort with the masks.
        column: Column that names the mask files.
        outside: Weight outside of the mask.
        positions: Positions of the images whose masks are used; all others have weight 1.
        resolution: Pixels on a side in training.
        size: Latents on a side.
        root: Folder of all caches of a run.

    Raises:
        CohortError: Masks cannot be used; the message counts them and names the first.
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
    return RowCache.open(root, "masks", name, len(table), compute)["weight"]


def _inside(cohort: Cohort, row: ImageRow, column: str, resolution: int, size: int) -> np.ndarray:
    """Share of each latent inside the mask, [size, size] in [0, 1]: the mask is padded as its image
    is, then averaged by area."""
    mask = files.labels(cohort, row, column)
    fit = cohort.fit(row, mask, resolution)
    (top, left), square = fit.corner, np.zeros(fit.padded)
    square[top : top + mask.shape[0], left : left + mask.shape[1]] = mask != 0
    result: np.ndarray = cover(size, square.shape[0]) @ square @ cover(size, square.shape[1]).T
    return result


def cover(parts: int, length: int) -> np.ndarray:
    """Weights that average `length` pixels over `parts` equal parts: [parts, length].

    Each row adds up to 1.

    Args:
        parts: Number of parts.
        length: Number of pixels; a part may cover a fraction of one.
    """
    edges = np.linspace(0, length, parts + 1)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    result: np.ndarray = np.clip(overlap, 0, None) * parts / length
    return result
