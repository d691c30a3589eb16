"""Mask files: grey pictures with the rows and columns of their images, which a column of the cohort names; 0 is outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image as Pillow

from latentdrift.data.cohort import Cohort, member
from latentdrift.data.geometry import Fit
from latentdrift.errors import CohortError, OptionError, unknown


def names(cohort: Cohort, column: str, flag: str) -> pd.Series:
    """What a column says of each image's mask, None where it says nothing.

    Args:
        cohort: With the masks below its folder.
        column: That names them.
        flag: The option that asks for it.

    Raises:
        OptionError: There is no such column, or it is one that prompts speak.
    """
    table = cohort.rows()
    if column not in table:
        raise unknown(f"column for {flag}", column, table.columns)
    if column in cohort.attributes:
        raise OptionError(
            f"{flag} {column} is an attribute, which stands in prompts, and not a column of files; import the cohort with "
            f"--keep {column}, or take it out of the attributes in {cohort.folder / 'cohort.json'}"
        )
    return table[column]


def positions(cohort: Cohort, column: str, flag: str) -> list[int]:
    """Positions of the images that name a mask, all of which are there.

    Raises:
        OptionError: As `names`.
        CohortError: A file is missing.
    """
    named = names(cohort, column, flag).reset_index(drop=True)
    named = named[named.map(lambda name: isinstance(name, str) and bool(name.strip()))]
    check_there(cohort, column, named)
    return [int(position) for position in named.index]


def check_there(cohort: Cohort, column: str, named: pd.Series) -> None:
    """See that these files are in the cohort's folder.

    Raises:
        CohortError: One is not.
    """
    lost = [name for name in named if not member(cohort.folder, name).is_file()]
    if lost:
        raise CohortError(
            f"{len(lost)} of {len(named)} masks named in column {column} are not there, the first {cohort.folder / lost[0]}; "
            "put them into the cohort's folder: the column holds paths below it"
        )


def labels(cohort: Cohort, row: Mapping[str, Any], column: str) -> np.ndarray:
    """A row's mask as whole numbers [H, W], 0 outside.

    Raises:
        CohortError: It cannot be read, or has another shape than its image.
    """
    path, image = member(cohort.folder, row[column]), cohort.stored(row)
    try:
        with Pillow.open(path) as picture:
            mask = np.asarray(picture)
    except (OSError, SyntaxError) as error:
        raise CohortError(f"the mask {path} cannot be read ({error}); write it again as PNG") from error
    if mask.shape != image.shape[:2]:
        raise CohortError(
            f"the mask {path} has the shape {mask.shape} and its image {row['file_name']} {image.shape[:2]}; "
            "a mask is a grey picture with the rows and columns of its image in the cohort"
        )
    return mask.astype(np.int64)


def fitted(cohort: Cohort, position: int, column: str, resolution: int) -> np.ndarray:
    """The mask of the image at a position on the model's square, where its image lies: int64 [R, R]."""
    row = cohort.rows().iloc[position].to_dict()
    mask = labels(cohort, row, column)
    return sampled(mask, cohort.fit(row, mask, resolution))


def sampled(mask: np.ndarray, fit: Fit) -> np.ndarray:
    """A mask on the model's square, padded as its image is; each pixel has the label at its centre."""
    (top, left), square = fit.corner, np.zeros(fit.padded, dtype=mask.dtype)
    square[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    down, right = (((np.arange(fit.resolution) + 0.5) * side / fit.resolution).astype(int) for side in square.shape)
    return square[np.ix_(down, right)]
