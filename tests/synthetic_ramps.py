"""A synthetic cohort of three ramps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.sample.synthetic_cohort import ImageStore, Request


def drawn(out: Path, *, depth: int = 16, colour: bool = False) -> Cohort:
    """Three ramps as `generate` would publish them."""
    ramp = np.linspace(-1, 1, 32 * 32).reshape(32, 32)
    sheet = ImageStore.open(out, {})
    wanted = [
        Request.of("a CT", {"age": 61.0 + i, "sex": "FMF"[i], "view": ("PA", "axial", None)[i]})
        for i in range(3)
    ]
    for index in range(3):
        picture = np.stack([ramp, ramp, ramp * (0.5 if colour else 1)], -1)
        sheet.keep(index, picture, colour=colour, depth=depth)
    return sheet.publish(wanted, {"describe": "CT"}, 0)
