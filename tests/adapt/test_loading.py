"""Loading of adapters: a file alone needs its base, and an adapter belongs to one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import tiny_base

from latentdrift.adapt.loading import load_adapter
from latentdrift.errors import AdapterError


def test_a_file_alone_asks_for_its_base(tmp_path: Path) -> None:
    save_file({"<cat>": torch.zeros(768)}, tmp_path / "cat.safetensors")
    with pytest.raises(
        AdapterError,
        match=r"is a diffusers textual inversion for prompts 768 .* give that one with `base`",
    ):
        load_adapter(tmp_path / "cat.safetensors")


def test_an_adopted_adapter_belongs_to_its_base(adopted: dict[str, Path], tmp_path: Path) -> None:
    other = tiny_base(tmp_path / "other", seed=1)
    with pytest.raises(
        AdapterError, match=r"was made for base '.*tiny' \(hash \w{12}\) and does not fit '.*other'"
    ):
        load_adapter(adopted["even"], base=str(other), device="cpu", precision="fp32")
