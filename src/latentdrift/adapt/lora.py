"""LoRA: a low-rank change B A of every attention projection of the U-Net (Hu et al. 2021), by peft."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from latentdrift.config import FitOptions
from latentdrift.errors import AdapterError
from latentdrift.model.base import Base
from latentdrift.seeds import derive

FILE = "pytorch_lora_weights.safetensors"  # the name that `pipe.load_lora_weights(folder)` looks for
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]  # self- and cross-attention
PREFIX = "unet."


def prepare(base: Base, options: FitOptions, describe: str) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """Matrices A (random, from the seed) and B (zero) beside each projection: nothing changes before the first step."""
    return base, _inject(base, options.rank, options.seed)


def save(base: Base, folder: Path) -> None:
    """The matrices under diffusers' names; alpha equals the rank, so every reader scales them by 1."""
    tensors = {PREFIX + name: parameter.detach().float().cpu().contiguous() for name, parameter in _matrices(base).items()}
    save_file(tensors, folder / FILE, metadata={"format": "pt"})


def apply(base: Base, folder: Path, info: Mapping[str, Any]) -> Base:
    """The base with the matrices beside its projections, kept apart so that they can be taken away exactly.

    Raises:
        AdapterError: The file holds other matrices than this U-Net has places for.
    """
    stored = load_file(folder / FILE)
    parameters = _inject(base, int(info["options"]["rank"]), seed=0)
    expected = {PREFIX + name: parameter.shape for name, parameter in parameters.items()}
    if {name: tensor.shape for name, tensor in stored.items()} != expected:
        remove(base)
        raise AdapterError(
            f"{folder / FILE} does not fit base '{base.name}': its {len(stored)} matrices have not the names and shapes of the "
            f"{len(expected)} that rank {info['options']['rank']} needs here; it was made for another U-Net"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(stored[PREFIX + name]).requires_grad_(False)
    return base


def remove(base: Base) -> Base:
    """The base's own projections back in their places."""
    base.unet.unload_lora()
    return base


def _inject(base: Base, rank: int, seed: int) -> dict[str, torch.nn.Parameter]:
    from peft import LoraConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "lora"))  # peft draws A from torch's own generator
        base.unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS))
    matrices = _matrices(base)
    for parameter in matrices.values():
        parameter.data = parameter.data.float()  # trained in float32 whatever the frozen weights are
    return matrices


def _matrices(base: Base) -> dict[str, torch.nn.Parameter]:
    """Name as in the file, without the prefix -> matrix."""
    return {name.replace(".default.", "."): parameter for name, parameter in base.unet.named_parameters() if ".lora_" in name}
