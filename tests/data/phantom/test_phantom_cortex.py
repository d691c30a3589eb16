"""Cortex of the brain phantom: a folded ribbon."""

from __future__ import annotations

from phantoms import old

from latentdrift.data.phantom.phantom import KINDS, labels
from latentdrift.data.phantom.phantom_brain import VIEW as BRAIN_VIEW


def test_cortex_is_a_folded_ribbon():
    """Grey matter borders on fluid deep inside the brain: its border is several times as long as
    the brain's outline."""
    tissue = labels(100, old(60.0), "brain", size=192)
    size = 192
    names = KINDS["brain"].tissues
    white = tissue == names["white matter"]
    border = (white[1:] != white[:-1]).sum() + (white[:, 1:] != white[:, :-1]).sum()
    head = tissue != names["background"]
    outline = (head[1:] != head[:-1]).sum() + (head[:, 1:] != head[:, :-1]).sum()
    assert border > 3.0 * outline
    cortex = (tissue == names["cortex"]).sum() * (BRAIN_VIEW / size) ** 2
    assert 0.2 < cortex / (head.sum() * (BRAIN_VIEW / size) ** 2) < 0.5
