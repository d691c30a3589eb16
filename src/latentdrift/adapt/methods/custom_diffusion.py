"""Custom Diffusion: what the U-Net makes of a prompt's tokens, the keys and values of its
cross-attention, and a new word.

Kumari et al. 2023, section 3.2. The file is the one that `pipe.unet.load_attn_procs` of diffusers
reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from latentdrift.adapt.methods import full_finetuning, textual_inversion
from latentdrift.config import FitOptions
from latentdrift.errors import AdapterError
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import Base

FILE = "pytorch_custom_diffusion_weights.safetensors"


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, nn.Parameter]]:
    """Train the keys and values of the cross-attention, and new words.

    Args:
        base: The base in float32; its networks are changed in place.
        options: Options of `fit`.
        words: New word -> text that it starts as.

    Returns:
        The base with the words, and the trained parameters by name.
    """
    base, parameters = textual_inversion.prepare(base, options, words)
    for name, projection in projections(base).items():
        parameters[name] = projection.requires_grad_(True).get_parameter("weight")
    return base, parameters


def save(base: Base, folder: Path) -> None:
    """Write the projections under diffusers' names, and the words to their own file."""
    tensors = {
        name: projection.weight.detach().float().cpu().contiguous()
        for name, projection in projections(base).items()
    }
    # diffusers wants an entry for every attention layer, and reads one without elements as a layer
    # that is not changed
    tensors |= {
        name: torch.zeros(0)
        for name in base.network.attn_processors
        if not name.removesuffix(".processor").endswith(_cross_attention(base))
    }
    save_file(tensors, folder / FILE, metadata={"format": "pt"})
    textual_inversion.save(base, folder)


def apply(base: Base, folder: Path, info: AdapterInfo, weight: float = 1.0) -> Base:
    """Replace a base's projections by those of an adapter, and add its words.

    Args:
        base: The base; its network is changed in place.
        folder: Adapter folder.
        info: adapter.json.
        weight: Not used; projections are replaced in full.

    Raises:
        AdapterError: The file holds other projections than this base has.
    """
    tensors = {name: tensor for name, tensor in load_file(folder / FILE).items() if tensor.numel()}
    here = projections(base)
    if {name: tensor.shape for name, tensor in tensors.items()} != {
        name: layer.weight.shape for name, layer in here.items()
    }:
        raise AdapterError(
            f"{folder / FILE} does not fit base '{base.name}': its cross-attention is another "
            "network's"
        )
    with torch.no_grad():
        for name, layer in here.items():
            layer.weight.copy_(tensors[name])
    return textual_inversion.apply(base, folder, info)


def remove(base: Base) -> Base:
    """Load the base's own networks and words again."""
    return full_finetuning.remove(base)


def projections(base: Base) -> dict[str, nn.Linear]:
    """Key and value layers of the cross-attention: name in the adapter's file -> layer."""
    layers: dict[str, nn.Linear] = {}
    for name, module in base.network.named_modules():
        if name.endswith(_cross_attention(base)):
            layers |= {
                f"{name}.processor.{part}_custom_diffusion.weight": getattr(module, part)
                for part in ("to_k", "to_v")
            }
    return layers


def _cross_attention(base: Base) -> tuple[str, ...]:
    """Endings of the names of the network's cross-attention layers."""
    return tuple(name for name, cross in base.family.attention.items() if cross)
