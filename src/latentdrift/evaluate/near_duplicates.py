"""Pairs of a cohort that look alike -> those that share fine structure, by the search that tells copies from strangers.

Thumbnails of aligned scans correlate at 0.97 where only the outline is shared. What makes a picture one patient's is finer, so
the pairs that thumbnails name are laid over each other, and held against what strangers of the same cohort have in common.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentdrift.data.cohort import Cohort
from latentdrift.data.inspect import Pair
from latentdrift.evaluate import ImageSet, sets
from latentdrift.evaluate.bootstrap import part_of, rng
from latentdrift.evaluate.overlay import nearest, structure
from latentdrift.evaluate.privacy import Yardstick, same_patient

SIZE = 128
"""Pixels on a side at which pictures are compared at most: the finest that `overlay.py` looks at."""
STRANGERS = 64
"""Pictures of the cohort, at random, that say how alike strangers are."""
CANDIDATES = 256
"""Pictures that are laid over each other at most; of more, those of the pairs that correlate most."""


def confirmed(cohort: Cohort, pairs: Sequence[Pair]) -> list[Pair]:
    """Those of the pairs that are near-duplicates: each picture with its nearest among those that it is paired with.

    Args:
        cohort: With the pictures.
        pairs: From `duplicates.alike`, positions of rows and their correlation.

    Returns:
        Pairs with the similarity of their fine structure.
    """
    chosen = _candidates(pairs)
    if not chosen:
        return []
    size = min(SIZE, sets.native_size(cohort.folder))
    usual = _strangers(cohort, size)
    looked = sets.from_rows(cohort, cohort.rows().iloc[chosen], size)
    common, known = structure(usual.images), structure(looked.images)
    yardstick = Yardstick.of(nearest(usual.images, common, same_patient(usual, usual)))
    paired = _paired(chosen, pairs)
    found = nearest(looked.images, known, lambda rows, columns: ~paired[rows, columns], common=[common])
    similarity = yardstick.similarity(found)
    alike = {
        tuple(sorted((chosen[place], chosen[int(found.index[place])]))): float(similarity[place])
        for place in np.flatnonzero(similarity > yardstick.threshold)
    }
    return [(first, second, value) for (first, second), value in sorted(alike.items())]


def _candidates(pairs: Sequence[Pair]) -> list[int]:
    """Positions of the rows in the pairs that correlate most."""
    chosen: set[int] = set()
    for first, second, _ in sorted(pairs, key=lambda pair: -pair[2]):
        if len(chosen | {first, second}) > CANDIDATES:
            break
        chosen |= {first, second}
    return sorted(chosen)


def _strangers(cohort: Cohort, size: int) -> ImageSet:
    places = part_of(np.arange(len(cohort.rows())), STRANGERS, rng(0, "near-duplicates"))
    return sets.from_rows(cohort, cohort.rows().iloc[np.sort(places)], size)


def _paired(chosen: Sequence[int], pairs: Sequence[Pair]) -> np.ndarray:
    """bool [n, n]: whether two of the chosen rows are a pair."""
    place = {row: at for at, row in enumerate(chosen)}
    paired = np.zeros((len(chosen), len(chosen)), bool)
    for first, second, _ in pairs:
        if first in place and second in place:
            paired[place[first], place[second]] = paired[place[second], place[first]] = True
    return paired
