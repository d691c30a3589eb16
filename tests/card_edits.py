"""Edits of people drawn as shapes, and their counterfactual card."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapes

from latentdrift.evaluate.attributes.counterfactual_metrics import card
from latentdrift.evaluate.attributes.counterfactual_results import Card
from latentdrift.evaluate.images.recorded_edits import EditRecord, RecordedEdit
from latentdrift.resampling import Resampling

N = 8


def edits(
    *, changes: dict[str, Any], add: tuple[str, ...] = (), **drawn: Any
) -> list[RecordedEdit]:
    """Edits of N people without findings; `drawn`: what the counterfactual shows."""
    found = []
    for i in range(N):
        source = np.random.default_rng(100 + i)
        noise = source.normal(0, 0.03, (shapes.SIDE,) * 2)
        person = {"age": 62.0 + i, "sex": "FM"[i % 2], "findings": "No Finding"}
        original, made = (shapes.draw(**{**person, **shown}, noise=noise) for shown in ({}, drawn))
        record = EditRecord(attributes=person, changes=changes, add=add)
        found.append(RecordedEdit(f"{i:06d}", record, original, original, made))
    return found


def judged(some: list[RecordedEdit], **how: Any) -> Card:
    spaces = {"tiles": lambda images: np.asarray(images)[:, ::4, ::4, 0].reshape(len(images), -1)}
    return card(
        shapes.judges(),
        some,
        shapes.held_out(),
        spaces,
        shapes.SPEC,
        size=shapes.SIDE,
        resampling=Resampling(40),
        **how,
    )
