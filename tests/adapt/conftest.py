"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from foreign_files import EVEN, MIXED, load, random_changes, words
from safetensors.torch import save_file

from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.methods import lora


@pytest.fixture(scope="module")
def adopted(tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of ours: a LoRA of mixed ranks and alphas, one as `fit` makes them, a word of three
    vectors."""
    root = tmp_path_factory.mktemp("adapters")
    for name, modules in {"mixed": MIXED, "even": EVEN}.items():
        lora.write(random_changes(load(tiny_base_folder), modules), root / f"{name}.safetensors")
    save_file({"<lesion>": words()}, root / "word.safetensors")
    for name in ("mixed", "even", "word"):
        adopt(load(tiny_base_folder), root / f"{name}.safetensors", root / name)
    return {name: root / name for name in ("mixed", "even", "word")}
