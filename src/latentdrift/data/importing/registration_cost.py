"""What the registration of visits costs, from one that is registered for real."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.visits import first_visits
from latentdrift.data.importing.cohort_registration import cohort_to_register
from latentdrift.data.registration.registration import register, resample
from latentdrift.data.registration.transforms import Grid

SIDE = 512
"""Pixels of the image that is tried. Smaller images take about the same time: registration brings
them to one size."""


@dataclass(frozen=True)
class RegistrationCost:
    """Work of `latentdrift import COHORT --register`."""

    images: int
    visits: int
    """Later visits, each of which is registered."""
    seconds: float


def registration_cost(options: ImportOptions) -> RegistrationCost:
    """Estimate the registration of an existing cohort.

    Args:
        options: Options of `import`, whose source is a cohort.

    Raises:
        OptionError, CohortError: As `register_cohort`.
    """
    source = cohort_to_register(options)
    visits = len(first_visits(source.table))
    seconds = visits * seconds_per_visit(options) / options.workers if visits else 0.0
    return RegistrationCost(len(source.table), visits, seconds)


def seconds_per_visit(options: ImportOptions) -> float:
    """Seconds in which one process registers a visit.

    Args:
        options: Options of `import`, with `register`.
    """
    assert options.register is not None
    rng = np.random.default_rng(0)
    fixed = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), SIDE / 32)
    moving = ndimage.shift(fixed, (3.0, -5.0), order=1, mode="nearest")
    grids = (Grid(fixed.shape, (1.0, 1.0)),) * 2
    began = time.perf_counter()
    found = register(fixed, moving, grids, options.register)
    resample(moving, found.transform, grids)
    return time.perf_counter() - began
