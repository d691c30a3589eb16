"""What an inspection costs, from a few real images and pairs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images.near_duplicates import MAX_PAIRS, Read, similarities
from latentdrift.data.inspection.statistics import measure_pixels

TRIED = 8
"""Images that are read to measure the time of one."""


@dataclass(frozen=True)
class InspectionCost:
    """Work of an inspection.

    Attributes:
        images: Images that are read.
        pairs_at_most: Pairs of images of different splits that may be compared by fine structure.
            Those whose thumbnails do not correlate are left out.
        seconds_per_image: Time of reading an image.
        seconds_per_pair: Time of comparing a pair.
    """

    images: int
    pairs_at_most: int
    seconds_per_image: float
    seconds_per_pair: float

    @property
    def seconds_at_most(self) -> float:
        """Time of an inspection in which all these pairs are compared."""
        return self.images * self.seconds_per_image + self.pairs_at_most * self.seconds_per_pair


def inspection_cost(cohort: Cohort) -> InspectionCost:
    """Estimate an inspection; a few images are read and compared.

    Args:
        cohort: The cohort.
    """
    sizes = cohort.table["split"].value_counts().to_numpy()
    images = len(cohort.table)
    across = int(images**2 - np.square(sizes).sum()) // 2
    few = cohort.table.iloc[np.unique(np.linspace(0, images - 1, TRIED).astype(int))]
    began = time.perf_counter()
    measure_pixels(cohort, few)
    each = (time.perf_counter() - began) / len(few)
    rows = few.to_dict("records")
    pair = seconds_per_pair(len(rows), lambda place: cohort.stored(rows[place]))
    return InspectionCost(images, min(across, MAX_PAIRS), each, pair)


def seconds_per_pair(number: int, read: Read) -> float:
    """Measure the comparison of two neighbouring pictures; 0 where there are fewer than three.

    Args:
        number: Number of pictures.
        read: Position -> picture.
    """
    pairs = list(pairwise(range(number)))
    if len(pairs) < 2:
        return 0.0

    def seconds(some: Sequence[tuple[int, int]]) -> float:
        began = time.perf_counter()
        similarities(number, some, read)
        return time.perf_counter() - began

    seconds(pairs[:1])  # imports
    return max((seconds(pairs) - seconds(pairs[:1])) / (len(pairs) - 1), 0.0)
