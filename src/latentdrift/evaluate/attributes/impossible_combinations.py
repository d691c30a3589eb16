"""Combinations that never occur among real images: asked for in the synthetic table, and seen by
the judges.

`No Finding` beside a finding, one sex with an organ of the other. Never is only a rule where chance
alone would have brought the combination several times.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from pydantic import Field

from latentdrift.evaluate.attributes.attribute_predictors import Judges
from latentdrift.evaluate.images import subgroups
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.results import ResultModel

# images that both values would share by chance, from which their absence is a rule (Cochran 1954)
EXPECTED = 5.0


class CombinationRule(ResultModel):
    """Two values that no real image has together, although several would by chance."""

    values: list[str]
    expected: float
    """Real images expected by chance."""
    requested: int = Field(alias="asked")
    """Synthetic images whose table has both values."""
    seen: int | None
    """Synthetic images in which the predictors see both; null where one is not predicted."""
    seen_share: float | None
    seen_real: float | None
    """Share of the held-out real images in which the predictors see both: their mistakes."""


def rules(
    judges: Judges,
    train: EvaluationImages,
    real: EvaluationImages,
    synthetic: EvaluationImages,
    ours: np.ndarray,
    theirs: np.ndarray,
) -> list[CombinationRule]:
    """Pairs of values that no real image has together, the least expected absence first.

    Args:
        judges: Attribute predictors that made `ours` and `theirs`.
        train, real: Real images, whose tables give the rules.
        synthetic: Synthetic images, which are checked.
        ours, theirs: Predictions [N, K] of real and of synthetic images.
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
        seen, seen_real = (_seen(judges, predictions, one, other) for predictions in (theirs, ours))
        rows.append(
            CombinationRule(
                values=[f"{name}={value}" for name, value in (one, other)],
                expected=expected,
                asked=len(table.get(one, set()) & table.get(other, set())),
                seen=None if seen is None else int(seen.sum()),
                seen_share=None if seen is None else float(seen.mean()),
                seen_real=None if seen_real is None else float(seen_real.mean()),
            )
        )
    return sorted(rows, key=lambda row: (-row.requested, -row.expected))


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
