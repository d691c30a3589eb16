"""Combinations that never occur among real images: asked for in the synthetic table, and seen by
the judges.

`No Finding` beside a finding, one sex with an organ of the other. Never is only a rule where chance
alone would have brought the combination several times.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from latentdrift.evaluate.attributes.attribute_predictors import Judges
from latentdrift.evaluate.images import subgroups
from latentdrift.evaluate.images.image_sets import EvaluationImages

# images that both values would share by chance, from which their absence is a rule (Cochran 1954)
EXPECTED = 5.0


def rules(
    judges: Judges,
    train: EvaluationImages,
    real: EvaluationImages,
    synthetic: EvaluationImages,
    ours: np.ndarray,
    theirs: np.ndarray,
) -> list[dict[str, Any]]:
    """Pairs of values that no real image has together, the least expected absence first.

    Args:
        judges: Attribute predictors that made `ours` and `theirs`.
        train, real: Real images, whose tables give the rules.
        synthetic: Synthetic images, which are checked.
        ours, theirs: Predictions [N, K] of real and of synthetic images.

    Returns:
        `values`; `expected`, real images with both by chance; `asked`, synthetic images with both
        in their table; `seen`, synthetic images with both by prediction, None where a value has no
        predictor; `seen_share`, their share; `seen_real`, that of held-out real images, which are
        errors of the predictors.
    """
    tables = [images.attributes for images in (train, real) if images.attributes is not None]
    known = EvaluationImages(
        np.zeros((sum(map(len, tables)), 1, 1, 3)), attributes=pd.concat(tables, ignore_index=True)
    )
    held = _values(known)
    n = len(known)
    table = _values(synthetic) if synthetic.attributes is not None else {}
    rows = []
    for one, other in combinations(held, 2):
        expected = len(held[one]) * len(held[other]) / n
        if one[0] == other[0] != "findings" or expected < EXPECTED or held[one] & held[other]:
            continue
        requested = len(table.get(one, set()) & table.get(other, set()))
        seen = [_seen(judges, predictions, one, other) for predictions in (theirs, ours)]
        row = {
            "values": [f"{name}={value}" for name, value in (one, other)],
            "expected": expected,
            "asked": requested,
        }
        row |= {"seen": None if seen[0] is None else int(seen[0].sum())}
        row |= {
            name: None if part is None else float(part.mean())
            for name, part in zip(("seen_share", "seen_real"), seen, strict=True)
        }
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["asked"], -row["expected"]))


def _values(images: EvaluationImages) -> dict[tuple[str, str], set[int]]:
    """(attribute, value) -> the places of its images; ages by decades, other numbers not at all."""
    assert images.attributes is not None
    table = images.attributes
    columns = [
        name for name in table if name == "age" or not pd.api.types.is_numeric_dtype(table[name])
    ]
    return {
        (str(name), value): set(places.tolist())
        for name in columns
        for value, places in subgroups.places(images, str(name), "real").items()
    }


def _seen(
    judges: Judges, predictions: np.ndarray, one: tuple[str, str], other: tuple[str, str]
) -> np.ndarray | None:
    """Images [N] in which the predictors see both values."""
    sees = {
        (output.attribute, output.value): predictions[:, place] > 0
        for place, output in enumerate(judges.outputs)
    }
    sees |= {
        (output.attribute, output.other): predictions[:, place] <= 0
        for place, output in enumerate(judges.outputs)
        if output.other
    }
    return sees[one] & sees[other] if one in sees and other in sees else None
