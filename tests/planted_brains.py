"""Phantom patients, in which copies are planted."""

from __future__ import annotations

from functools import cache

import numpy as np

from latentdrift.data.phantom import phantom
from latentdrift.evaluate.images.fine_structure import Structure, structure
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.registration import nearest
from latentdrift.evaluate.privacy.copy_detection import CopyThresholds

PLANTS = 5


@cache
def patients(kind: str, n: int, seed: int, visits: int = 1, size: int = 96) -> EvaluationImages:
    spec = phantom.kind_of(kind)
    rows = phantom.cohort_table(kind, n, visits, seed)
    grey = np.stack(
        [spec.render(row.subject, row.attributes, visit=row.visit, size=size) for row in rows]
    )
    return EvaluationImages(
        np.repeat(grey.clip(0, 1)[..., None], 3, -1), [f"{seed}-{row.patient}" for row in rows]
    )


@cache
def reference(kind: str) -> tuple[Structure, CopyThresholds]:
    """What the search knows of 40 training patients, and what 30 others set."""
    train = structure(patients(kind, 40, 1).images)
    return train, CopyThresholds.of(nearest(patients(kind, 30, 2).images, train))
