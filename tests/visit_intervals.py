"""Intervals between visits, drawn at random."""

from __future__ import annotations

import numpy as np

from latentdrift.attributes.specification import Attribute
from latentdrift.longitudinal.visit_intervals import Covariates, VisitInterval
from latentdrift.longitudinal.volume_model import VolumeModel

SPEC = {
    "age": Attribute(type="number"),
    "diagnosis": Attribute(type="category", vocabulary=["dementia", "no dementia"]),
}


def intervals(count: int, rng: np.random.Generator) -> tuple[VisitInterval, ...]:
    """Intervals of 1 to 5 years, half of them of patients without dementia."""
    return tuple(
        VisitInterval(
            float(rng.uniform(1, 5)),
            {"age": float(rng.uniform(60, 90))},
            {"diagnosis": "no dementia" if rng.random() < 0.5 else "dementia"},
        )
        for _ in range(count)
    )


def growing(rate: float) -> VolumeModel:
    """Volume model of which each volume grows by so much of the head in a year."""
    return VolumeModel(
        covariates=Covariates(0.0, 1.0, (), ()),
        mean=(0.0,) * 4,
        weights=((rate, 0.0, 0.0),) * 4,
        errors=(0.01,) * 4,
        patients=7,
    )
