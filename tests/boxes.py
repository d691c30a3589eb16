"""Pictures of boxes, and the type of a function that makes a cohort of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from latentdrift.data.cohort.cohort import Cohort

Make = Callable[..., Cohort]


def drawn(height: int, width: int, rows: slice, columns: slice, value: int = 255) -> np.ndarray:
    """A box on black."""
    picture = np.zeros((height, width), np.uint8)
    picture[rows, columns] = value
    return picture
