"""Sizes of structures in pictures, against the label maps that the phantoms were drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.phantom import phantom
from latentdrift.study.editors.structures import MEASURES, Structure

SIZE = 96
STATES = {
    "brain": (
        phantom.BrainAttributes(60.0, "F", "no dementia"),
        phantom.BrainAttributes(85.0, "F", "dementia"),
    ),
    "chest": (
        phantom.ChestAttributes(60.0, "F"),
        phantom.ChestAttributes(60.0, "F", ("cardiomegaly",)),
    ),
}

TOLERANCE = {"brain": 0.15, "chest": 0.25}  # ribs are as bright as the heart that grows over them


@pytest.mark.parametrize("kind", list(MEASURES))
def test_the_change_of_a_structure_is_that_of_its_label_map(kind: str) -> None:
    kinds = phantom.kind_of(kind)
    changes = []
    for number in (1, 2, 3):
        states = STATES[kind]
        before, after = (kinds.labels(number, state, SIZE) for state in states)
        pictures = [kinds.render(number, state, visit=1, size=SIZE) for state in states]
        structure = Structure.of(kind, before, after, kinds.tissues)
        value = kinds.tissues[structure.measure.label]
        true = [(labels == value) & structure.region for labels in (before, after)]
        rows = structure.original.any(1).sum() if structure.measure.width else SIZE
        sizes = [mask.sum() / SIZE / rows for mask in true]
        seen = [structure.size(picture, pictures[0]) for picture in pictures]
        changes.append((sizes[1] - sizes[0], seen[1] - seen[0]))
        assert structure.size(pictures[0], pictures[0]) == seen[0]
    wanted, found = np.array(changes).T
    assert (wanted > 0).all() and found == pytest.approx(wanted, rel=TOLERANCE[kind])


def test_a_change_of_brightness_is_no_change_of_size() -> None:
    before = np.zeros((50, 50), np.uint8)
    before[20:30, 20:30] = 5
    picture = np.where(before == 5, 0.2, 0.8)
    structure = Structure.of("brain", before, before, {"ventricle": 5})
    assert structure.size(picture, picture) == pytest.approx(100 / 2500)
    assert structure.size(picture + 0.1, picture) == structure.size(picture, picture)
    larger = picture.copy()
    larger[20:30, 30] = 0.2
    assert structure.size(larger, picture) - structure.size(picture, picture) == pytest.approx(
        10 / 2500
    )
