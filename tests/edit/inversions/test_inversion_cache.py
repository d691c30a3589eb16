"""Inversions on disk: each is computed once for its image, its model and its settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentdrift.edit.core.task import Inverted
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.errors import InputError
from latentdrift.model.conditioning import Conditioning

X0 = torch.rand(1, 4, 8, 8)


class Inversion:
    """An inversion that counts its computations."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> Inverted:
        self.count += 1
        references = Conditioning(torch.full((2, 7, 8), float(self.count)))
        return Inverted(torch.rand(1, 4, 8, 8), references)


def test_an_inversion_is_computed_once(tmp_path: Path) -> None:
    shelf = InversionCache(tmp_path, {"base": "a"})
    invert = Inversion()
    first = shelf.get(X0, invert, steps=10)
    again = shelf.get(X0, invert, steps=10)
    assert invert.count == 1 and len(list(tmp_path.glob("*.safetensors"))) == 1
    assert torch.equal(first.xt, again.xt) and again.references.equals(first.references)


def test_another_image_model_or_setting_is_another_inversion(tmp_path: Path) -> None:
    shelf = InversionCache(tmp_path, {"base": "a"})
    invert = Inversion()
    shelf.get(X0, invert, steps=10)
    shelf.get(X0 + 1, invert, steps=10)
    shelf.get(X0, invert, steps=11)
    replace(shelf, model={"base": "b"}).get(X0, invert, steps=10)
    assert invert.count == 4


def test_a_damaged_file_is_a_sentence(tmp_path: Path) -> None:
    shelf = InversionCache(tmp_path, {})
    shelf.get(X0, Inversion())
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="delete it, and it is made again"):
        shelf.get(X0, Inversion())
