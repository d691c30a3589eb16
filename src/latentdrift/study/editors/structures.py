"""Sizes of structures in edited phantoms, whose true size is known: ventricles, and the width of
the heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

# of the picture's side: how far beside the structure of either state an edit is looked at (ours)
REACH = 0.04


@dataclass(frozen=True)
class Measure:
    """A structure of a kind of phantom and how its size is given."""

    label: str
    """Row of TISSUES."""
    beside: str | None
    """Row of TISSUES that the structure may grow into; None for any."""
    dark: bool
    """Whether the structure is darker than what lies beside it."""
    width: bool
    """Its mean width over the rows of the original structure, as a share of the picture's; else its
    area, as a share."""


MEASURES: dict[str, Measure] = {
    "brain": Measure("ventricle", None, dark=True, width=False),
    "chest": Measure("heart", "lung", dark=False, width=True),
}


@dataclass(frozen=True, eq=False)
class Structure:
    """Region of a structure in the original, and the region that it may have in the counterfactual.

    Attributes:
        measure: A row of MEASURES.
        original: bool [R, R], the structure before the change.
        region: bool [R, R], the places that are looked at.
    """

    measure: Measure
    original: np.ndarray
    region: np.ndarray

    @classmethod
    def of(
        cls, kind: str, before: np.ndarray, after: np.ndarray, tissues: dict[str, int]
    ) -> Structure:
        """Find the structure of a phantom and the region in which the counterfactual may have it.

        Args:
            kind: Row of MEASURES.
            before: Label map [R, R] of the original.
            after: Label map [R, R] of the true counterfactual.
            tissues: Tissue -> label.
        """
        measure = MEASURES[kind]
        value = tissues[measure.label]
        either = (before == value) | (after == value)
        region = binary_dilation(either, iterations=max(1, round(REACH * len(before))))
        if measure.beside is not None:
            region &= (before == value) | (before == tissues[measure.beside])
        return cls(measure, before == value, region)

    def size(self, picture: np.ndarray, original: np.ndarray) -> float:
        """Measure the structure in an image by grey levels; changes of heart width come out a sixth
        too small.

        A pixel of the region belongs to the structure if its grey level is nearer to the
        structure's mean than to that of the rest. Both means come from the original.

        Args:
            picture: Image [R, R].
            original: Original [R, R], of the same scale.

        Returns:
            Share of all pixels; for a width, the share of the picture's width.
        """
        levels = original[self.original].mean(), original[self.region & ~self.original].mean()
        limit = sum(levels) / 2
        inside = self.region & ((picture < limit) if self.measure.dark else (picture > limit))
        return float(
            inside.mean() * len(picture) / self.original.any(1).sum()
            if self.measure.width
            else inside.mean()
        )
