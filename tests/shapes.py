"""Pictures whose every attribute is one thing to see: a disc as large as the age, stripes for men,
a bright bar for effusion."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
from specs import spec_of

from latentdrift.evaluate.attributes.attribute_predictors import Judges
from latentdrift.evaluate.features.classifier import SMALL
from latentdrift.evaluate.images.image_sets import EvaluationImages

SIDE = 32
SPEC = spec_of(
    {
        "age": {"type": "number", "unit": "years"},
        "sex": {"type": "category", "vocabulary": ["F", "M"]},
        "findings": {"type": "findings", "vocabulary": ["Effusion", "No Finding"]},
    }
)


def draw(age: float, sex: str, findings: str, noise: np.ndarray) -> np.ndarray:
    """[SIDE, SIDE, 3] in [0, 1]."""
    row, col = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    grey = np.full((SIDE, SIDE), 0.2)
    grey[np.hypot(row, col) < (age - 50) / 60] = 0.6
    grey[:6] += 0.5 * (sex == "M") * (np.arange(SIDE) // 2 % 2)
    grey[-5:] += 0.6 * ("Effusion" in findings)
    return np.repeat(np.clip(grey + noise, 0, 1)[..., None], 3, -1).astype(np.float32)


def table(n: int, seed: int) -> pd.DataFrame:
    """Attributes that have nothing to do with each other."""
    source = np.random.default_rng(seed)
    found = np.where(source.random(n) < 0.5, "Effusion", "No Finding")
    return pd.DataFrame(
        {
            "age": source.uniform(60, 85, n).round(),
            "sex": source.choice(["F", "M"], n),
            "findings": found,
        }
    )


def shapes(rows: pd.DataFrame, seed: int, *, patients: int = 1, who: str = "p") -> EvaluationImages:
    """A picture of each row; `patients` is the number of pictures of each."""
    source = np.random.default_rng(seed)
    pictures = [
        draw(row.age, row.sex, row.findings, source.normal(0, 0.03, (SIDE, SIDE)))
        for row in rows.itertuples()
    ]
    return EvaluationImages(
        np.stack(pictures), [f"{who}{i // patients}" for i in range(len(rows))], attributes=rows
    )


def train() -> EvaluationImages:
    return shapes(table(120, 0), 0, who="t")


def held_out() -> EvaluationImages:
    """Twice the same row: two visits of each patient."""
    return shapes(
        table(40, 1).loc[np.repeat(np.arange(40), 2)].reset_index(drop=True), 1, patients=2
    )


@cache
def judges() -> Judges:
    """Trained once per process, by the default network on images of 48 px."""
    return Judges.learn(train(), SPEC, steps=150, repeats=1, network=replace(SMALL, size=48))
