"""A curve of distances over delta -> the delta that is chosen, and what speaks against trusting
it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

EQUAL = 1e-9  # relative; what differs by less is one number


@dataclass(frozen=True)
class Reading:
    """The distance that decides, at one delta, with its interval."""

    delta: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Flag:
    """Something that the reader of a curve has to know."""

    name: str
    """degenerate, flat, no-interval, edge or non-convex."""
    sentence: str

    def to_dict(self) -> dict[str, str]:
        """Content for search.json."""
        return asdict(self)


def lowest(curve: Sequence[Reading]) -> Reading:
    """Reading of the smallest distance; ties go to the smallest |delta|."""
    return min(curve, key=lambda reading: (reading.value, abs(reading.delta), reading.delta))


def choose(curve: Sequence[Reading], anchor: float = 0.0) -> Reading:
    """Choose the delta nearest to an anchor among those that are not clearly worse than the best.

    Their intervals overlap that of the smallest distance. The order of the curve does not matter.

    Args:
        curve: Readings at all deltas.
        anchor: Delta to stay near to; 0: no drift.
    """
    best = lowest(curve)
    tied = [reading for reading in curve if reading.low <= best.high and reading.high >= best.low]
    return min(
        tied,
        key=lambda reading: (round(abs(reading.delta - anchor), 9), reading.value, reading.delta),
    )


def flags(curve: Sequence[Reading]) -> list[Flag]:
    """Warnings about a choice of delta, from the shape of the curve.

    Args:
        curve: Readings at all deltas, in any order.
    """
    ordered = sorted(curve, key=lambda reading: reading.delta)
    best = lowest(curve)
    values = [reading.value for reading in ordered]
    if max(values) - min(values) <= EQUAL * max(map(abs, values)):
        says = (
            f"every delta has the same distance, {best.value:.4g}: drift has no effect on "
            "this measure, and the search has no result"
        )
        return [Flag("degenerate", says)]
    raised = []
    if all(reading.low == reading.high for reading in ordered):
        raised.append(
            Flag(
                "no-interval",
                (
                    "there are too few patients for intervals, so even the smallest "
                    "difference decides"
                ),
            )
        )
    elif all(reading.low <= best.high for reading in ordered):
        raised.append(
            Flag(
                "flat",
                (
                    "no delta differs clearly from the best one, because all intervals "
                    "overlap; more images (`n`) may separate them"
                ),
            )
        )
    if best in (ordered[0], ordered[-1]):
        raised.append(
            Flag(
                "edge",
                (f"the lowest distance is at the edge of the grid, {best.delta:g}; widen `grid`"),
            )
        )
    bump = next(
        (middle for left, middle, right in combinations(ordered, 3) if _above(left, middle, right)),
        None,
    )
    if bump and bump.low < bump.high:
        says = (
            f"the curve is not convex: at {bump.delta:g} it lies clearly above the line "
            "between two other points"
        )
        raised.append(Flag("non-convex", f"{says}; there may be more than one minimum"))
    return raised


def _above(left: Reading, middle: Reading, right: Reading) -> bool:
    share = (middle.delta - left.delta) / (right.delta - left.delta)
    return middle.low > (1 - share) * left.high + share * right.high
