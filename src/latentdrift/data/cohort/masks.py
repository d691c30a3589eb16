"""Mask files: grey pictures with the rows and columns of their images, which a column of the cohort
names; 0 is outside."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from PIL import Image as Pillow

from latentdrift.attributes.specification import ImageRow
from latentdrift.data.cohort.cohort import Cohort, member
from latentdrift.data.images.letterbox import Fit
from latentdrift.errors import CohortError, OptionError, unknown

log = logging.getLogger(__name__)

MAX_EXAMPLES = 3
"""Masks that a message names."""


def names(cohort: Cohort, column: str, option: str) -> pd.Series:
    """Names of the images' mask files in a column, None where the cell is empty.

    Args:
        cohort: With the masks below its folder.
        column: Column that names them.
        option: The parameter that names the column, for errors.

    Raises:
        OptionError: There is no such column, or it is one that prompts speak.
    """
    table = cohort.rows()
    if column not in table:
        raise unknown(f"column for `{option}`", column, table.columns)
    if column in cohort.attributes:
        raise OptionError(
            f"`{option}={column}` is an attribute, which stands in prompts, and not a column of "
            f"files; import the cohort with `keep={column}`, or take it out of the attributes in "
            f"{cohort.folder / 'cohort.json'}"
        )
    return table[column]


def positions(cohort: Cohort, column: str, option: str) -> list[int]:
    """Positions of the images that name a mask.

    Args:
        cohort: The cohort.
        column: Column that names the mask files.
        option: Name of the option with the column, for messages.

    Raises:
        OptionError: As `names`.
        CohortError: A file is missing.
    """
    named = names(cohort, column, option).reset_index(drop=True)
    named = named[named.map(lambda name: isinstance(name, str) and bool(name.strip()))]
    check_there(cohort, column, named)
    return [int(position) for position in named.index]


def check_there(cohort: Cohort, column: str, named: pd.Series) -> None:
    """Check that mask files exist in the cohort's folder.

    Args:
        cohort: The cohort.
        column: Their column, for messages.
        named: Names of the files.

    Raises:
        CohortError: One is missing.
    """
    lost = [name for name in named if not member(cohort.folder, name).is_file()]
    if lost:
        raise CohortError(
            f"{len(lost)} of {len(named)} masks named in column {column} are not there, the first "
            f"{cohort.folder / lost[0]}; put them into the cohort's folder: the column holds paths "
            "below it"
        )


def labels(cohort: Cohort, row: ImageRow, column: str) -> np.ndarray:
    """Read the mask of a row as integers [H, W]; 0 is outside.

    Args:
        cohort: The cohort.
        row: Row of the table.
        column: Column that names the mask file.

    Raises:
        CohortError: It cannot be read, or has another shape than its image.
    """
    path = member(cohort.folder, str(row[column]))
    image = cohort.stored(row)
    try:
        with Pillow.open(path) as picture:
            mask = _grey(np.asarray(picture))
    except (OSError, SyntaxError) as error:
        raise CohortError(
            f"the mask {path} cannot be read ({error}); write it again as PNG"
        ) from error
    if mask.shape != image.shape[:2]:
        raise CohortError(
            f"the mask {path} has the shape {mask.shape} and its image {row['file_name']} "
            f"{image.shape[:2]}; a mask is a grey picture with the rows and columns of its image "
            "in the cohort"
        )
    return mask.astype(np.int64)


def _grey(mask: np.ndarray) -> np.ndarray:
    """A coloured picture whose channels are equal, and which is opaque where it has alpha, as the
    grey picture that it shows."""
    if mask.ndim != 3:
        return mask
    has_alpha = mask.shape[-1] in (2, 4)
    colours = mask[..., :-1] if has_alpha else mask
    is_opaque = not has_alpha or bool((mask[..., -1] == np.iinfo(mask.dtype).max).all())
    return colours[..., 0] if is_opaque and (colours == colours[..., :1]).all() else mask


def census(cohort: Cohort, column: str, places: Iterable[int]) -> dict[int, int]:
    """Count the images of each label in the masks of rows; label 0 is counted, too.

    Args:
        cohort: The cohort.
        column: Column that names the mask files.
        places: Positions of the rows.

    Returns:
        Label -> number of images.

    Raises:
        CohortError: Some masks cannot be used; the first are named, each with a remedy.
    """
    rows = cohort.rows().to_dict("records")
    counts = Counter[int]()
    unusable = []
    for place in places:
        try:
            counts.update(int(label) for label in np.unique(labels(cohort, rows[place], column)))
        except CohortError as error:
            unusable.append(str(error))
    if unusable:
        further = len(unusable) - MAX_EXAMPLES
        more = f"; and {further} more" if further > 0 else ""
        raise CohortError(
            f"{len(unusable)} masks cannot be used: {'; '.join(unusable[:MAX_EXAMPLES])}{more}"
        )
    return dict(sorted(counts.items()))


def check_labels(cohort: Cohort, column: str, places: Sequence[int]) -> list[int]:
    """Labels in the masks of rows, 0 among them.

    The number of images of each label is logged. A warning says where 1 and 255 are probably one
    label.

    Args:
        cohort: The cohort.
        column: Column that names the mask files.
        places: Positions of the rows.

    Raises:
        CohortError: As `census`.
    """
    counts = census(cohort, column, places)
    examples = ", ".join(f"{label} in {number}" for label, number in counts.items())
    log.info("Labels of the %d masks of column %s: %s.", len(places), column, examples)
    if {1, 255} <= counts.keys() and not _meet(cohort, column, places, 1, 255):
        log.warning(
            "The labels 1 (%d masks) and 255 (%d masks) of column %s never meet in one mask: they "
            "are probably one label, written in two ways, and count as two. Write it alike in all "
            "masks.",
            counts[1],
            counts[255],
            column,
        )
    return list(counts)


def _meet(cohort: Cohort, column: str, places: Iterable[int], *wanted: int) -> bool:
    """Whether one mask has all of these labels."""
    rows = cohort.rows().to_dict("records")
    return any(np.isin(wanted, labels(cohort, rows[place], column)).all() for place in places)


def fitted(cohort: Cohort, position: int, column: str, resolution: int) -> np.ndarray:
    """Mask of a row on the model's square, padded as its image: integers [R, R].

    Args:
        cohort: The cohort.
        position: Position of the row.
        column: Column that names the mask file.
        resolution: R, pixels on a side.

    Raises:
        CohortError: As `labels`.
    """
    row = cohort.rows().iloc[position].to_dict()
    mask = labels(cohort, row, column)
    return sampled(mask, cohort.fit(row, mask, resolution))


def sampled(mask: np.ndarray, fit: Fit) -> np.ndarray:
    """Pad and resample a mask to the model's square; each pixel has the label at its centre.

    Args:
        mask: Labels [H, W].
        fit: Padding and scale of its image.

    Returns:
        Labels [R, R] of the type of `mask`.
    """
    (top, left), square = fit.corner, np.zeros(fit.padded, dtype=mask.dtype)
    square[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    down, right = (
        ((np.arange(fit.resolution) + 0.5) * side / fit.resolution).astype(int)
        for side in square.shape
    )
    return square[np.ix_(down, right)]
