"""Phantom subjects, and sets of phantom brains to judge."""

from __future__ import annotations

import numpy as np

from latentdrift.data.phantom.phantom import DIAGNOSES, BrainAttributes, ChestAttributes, brain
from latentdrift.evaluate.images.image_sets import EvaluationImages

WELL, ILL = DIAGNOSES


def brains(first: int, count: int, size: int) -> EvaluationImages:
    """Phantom brains of the subjects from `first` on, 60 to 89 years old, each its own patient."""
    images = []
    for subject in range(first, first + count):
        attributes = BrainAttributes(age=60 + subject % 30, sex="FM"[subject % 2])
        images.append(brain(subject, attributes, size=size).clip(0, 1))
    patients = [f"p{subject}" for subject in range(first, first + count)]
    return EvaluationImages(np.repeat(np.stack(images)[..., None], 3, -1), patients)


def old(age: float = 70.0, sex: str = "F", diagnosis: str = WELL) -> BrainAttributes:
    """Attributes of an old brain."""
    return BrainAttributes(age, sex, diagnosis)


def adult(*findings: str, age: float = 55.0, sex: str = "M") -> ChestAttributes:
    """Attributes of an adult's chest."""
    return ChestAttributes(age, sex, findings)
