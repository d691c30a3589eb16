"""The images of a set by the values of one attribute."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from latentdrift.errors import OptionError, unknown
from latentdrift.evaluate.images.image_sets import EvaluationImages

MIN_IMAGES = 10  # images of a value in each set, below which it is not scored by itself (ours)
DECADE = 10  # years of an age that count as one value


def places(images: EvaluationImages, column: str, whose: str) -> dict[str, np.ndarray]:
    """Positions of the images of each value of an attribute, in order of values.

    An image with several findings counts for each. Ages are grouped by decade ("70 to 79"). An
    image without the attribute is left out.

    Args:
        images: The set.
        column: Attribute, a column of the set's table.
        whose: "real" or the name of the synthetic set, for messages.

    Raises:
        OptionError: The set has no such column, it is empty, or it holds numbers that are not ages.
    """
    table = images.attributes if images.attributes is not None else pd.DataFrame()
    if column not in table:
        if len(table.columns):
            raise unknown(f"attribute of the {whose} images", column, table.columns)
        raise OptionError(
            f"the {whose} images have no attributes, so there is no '{column}' to go by. A folder "
            "of images has none, and neither have images drawn from a prompt; give a cohort with "
            "attributes, or images that `latentdrift generate --like COHORT` drew"
        )
    values = table[column]
    if values.isna().all():
        raise OptionError(
            f"the attribute '{column}' is empty in the table of the {whose} images; give another "
            "`by`, or images with this attribute"
        )
    if pd.api.types.is_numeric_dtype(values):
        if column != "age":
            raise OptionError(
                f"'{column}' is a number; `by` takes a category, findings or age, which goes by "
                "decades"
            )
        values = values.map(_decade)
    by_value: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        for part in str(value).split("|") if isinstance(value, str) else ():
            by_value.setdefault(part, []).append(place)
    return {value: np.asarray(by_value[value]) for value in sorted(by_value)}


def check(
    real: EvaluationImages, synthetic_sets: Mapping[str, EvaluationImages], column: str | None
) -> None:
    """Check that `shared` can group all sets by an attribute.

    Args:
        real: Real images.
        synthetic_sets: Synthetic images by the name of their set.
        column: Attribute; None: nothing is checked.

    Raises:
        OptionError: A set lacks the attribute, or it holds numbers that are not ages.
    """
    if column is None:
        return
    for whose, images in {"real": real, **synthetic_sets}.items():
        places(images, column, whose)


def shared(
    real: EvaluationImages, synthetic: EvaluationImages, column: str
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], list[str]]:
    """Subgroups with enough images in both sets.

    Args:
        real: Real images.
        synthetic: Synthetic images.
        column: Attribute, a column of both tables.

    Returns:
        Value -> its positions in the real and in the synthetic set, for values with at least
        MIN_IMAGES in each; and a list with a sentence on the other values, empty if there are none.

    Raises:
        OptionError: As `places`.
    """
    ours = places(real, column, "real")
    theirs = places(synthetic, column, "synthetic")
    none = np.empty(0, int)
    both = {
        value: (ours.get(value, none), theirs.get(value, none))
        for value in sorted(ours.keys() | theirs.keys())
    }
    enough = {value: pair for value, pair in both.items() if min(map(len, pair)) >= MIN_IMAGES}
    few = [
        f"{value} ({len(a)} real, {len(b)} synthetic)"
        for value, (a, b) in both.items()
        if value not in enough
    ]
    words = (
        f"Not scored by themselves, fewer than {MIN_IMAGES} images of {column} in one of the sets: "
        f"{', '.join(few)}."
    )
    return enough, [words] if few else []


def _decade(age: float) -> str | None:
    if not np.isfinite(age):
        return None
    low = int(age // DECADE) * DECADE
    return f"{low} to {low + DECADE - 1}"
