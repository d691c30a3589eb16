"""Custom Diffusion: the keys and values of cross-attention and the new word, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from infos import info_of
from method_fits import load, options
from safetensors.torch import load_file, save_file

from latentdrift.adapt.methods import custom_diffusion
from latentdrift.errors import AdapterError


def test_keys_and_values_of_every_cross_attention_are_trained(tiny_base_folder: Path) -> None:
    base = load(tiny_base_folder)
    layers = [name for name in base.network.attn_processors if ".attn2." in name]
    begun, parameters = custom_diffusion.prepare(
        base, options("custom-diffusion"), {"<cohort>": "brain MRI"}
    )
    expected = {
        f"{name}.{part}_custom_diffusion.weight" for name in layers for part in ("to_k", "to_v")
    }
    assert custom_diffusion.projections(begun).keys() == expected
    assert parameters.keys() > expected
    assert len(parameters) == len(expected) + 1  # the rows of the new word


def test_the_file_has_every_attention_layer_and_fits_its_base_alone(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    base, _ = custom_diffusion.prepare(
        load(tiny_base_folder), options("custom-diffusion"), {"<cohort>": "brain MRI"}
    )
    custom_diffusion.save(base, tmp_path)
    tensors = load_file(tmp_path / custom_diffusion.FILE)
    unchanged = {name for name, tensor in tensors.items() if not tensor.numel()}
    assert unchanged == {name for name in base.network.attn_processors if ".attn1." in name}
    name = next(name for name in tensors if name not in unchanged)
    save_file({**tensors, name: torch.zeros(3, 3)}, tmp_path / custom_diffusion.FILE)
    with pytest.raises(AdapterError, match="its cross-attention is another network's"):
        custom_diffusion.apply(load(tiny_base_folder), tmp_path, info_of())
