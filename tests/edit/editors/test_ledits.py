"""LEDITS: several changes add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gaussian_edits import number, task

from latentdrift.edit.editors.ledits import ledits
from latentdrift.edit.inversions.inversion import INVERSIONS


def test_several_changes_add_up() -> None:
    """Where every change is a number, and the network is linear in it, the changes of both are the
    sum of each."""
    half = task(strength=0.6)
    start = replace(half, inversion=INVERSIONS["edit-friendly"].invert(half))
    moves = []
    for parts in ((0.5,), (-0.2,), (0.5, -0.2)):
        one, other = ledits(replace(start, parts=tuple(number(part) for part in parts)))
        moves.append((other - one).mean().item())
    assert moves[2] == pytest.approx(moves[0] + moves[1], abs=1e-12) and moves[1] < 0 < moves[0]
