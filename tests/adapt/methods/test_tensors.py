"""Tensors on disk: the same content has the same bytes."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from latentdrift.adapt.methods.tensors import save_tensors

ABOUT = {
    "format": "pt",
    "alpha": "8",
    "rank": "4",
    "words": 'a "quoted" <ünï> \\ word\n',
    "base": "x" * 30,
}


def test_the_same_tensors_have_the_same_bytes_and_lose_nothing(tmp_path: Path) -> None:
    tensors = {
        name: torch.arange(size).float() for name, size in (("b", 3), ("a", 5), ("c.weight", 1))
    }
    orders = [list(ABOUT.items()), list(ABOUT.items())[::-1]] * 4
    for place, order in enumerate(orders):
        save_tensors(tensors, tmp_path / f"{place}.safetensors", dict(order))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert file.metadata() == ABOUT and set(file.keys()) == set(tensors)
        assert all(torch.equal(file.get_tensor(name), value) for name, value in tensors.items())
