"""Adapters as other tools write them: LoRA matrices under several names, and words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from latentdrift.adapt.interop import lora_keys
from latentdrift.adapt.methods import lora
from latentdrift.adapt.methods.lora import Lora, Pair
from latentdrift.model.base import Base
from latentdrift.model.families import sd
from latentdrift.model.families.families import FAMILIES
from latentdrift.model.families.sd import TEXT_PREFIX as TEXT
from latentdrift.model.families.sd import UNET_PREFIX as UNET

BLOCK = UNET + "down_blocks.0.attentions.0"
MIXED = {  # module -> rank, alpha: nothing alike, a convolution, the text encoder
    f"{BLOCK}.transformer_blocks.0.attn1.to_q": (4, 4.0),
    f"{BLOCK}.transformer_blocks.0.attn2.to_k": (2, 1.0),
    f"{BLOCK}.transformer_blocks.0.attn2.to_out.0": (4, 8.0),
    f"{BLOCK}.proj_in": (3, 1.5),
    f"{TEXT}encoder.layers.1.self_attn.q_proj": (2, 0.5),
    f"{TEXT}encoder.layers.0.mlp.fc1": (2, 2.0),
}


EVEN = {
    f"{BLOCK}.transformer_blocks.0.{attn}.{part}": (4, 4.0)
    for attn in ("attn1", "attn2")
    for part in sd.ATTENTION
}


def load(folder: Path) -> Base:
    return Base.load(folder, device="cpu", precision="fp32")


def random_changes(base: Base, modules: dict[str, tuple[int, float]]) -> Lora:
    """Matrices large enough to be seen."""
    source = torch.Generator().manual_seed(3)
    found = {}
    for name, (rank, alpha) in modules.items():
        out, into, *window = lora.places(base)[name].weight.shape
        a = torch.randn((rank, into, *window), generator=source) * 0.3
        found[name] = Pair(
            a, torch.randn((out, rank, *[1 for _ in window]), generator=source) * 0.3, alpha
        )
    return found


def words(vectors: int = 3, width: int = 32) -> torch.Tensor:
    return torch.randn((vectors, width), generator=torch.Generator().manual_seed(4)) * 0.5


def same(one: Lora, other: Lora) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[k].a, other[k].a)
        and torch.equal(one[k].b, other[k].b)
        and one[k].alpha == other[k].alpha
        for k in one
    )


def stock(folder: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, feature_extractor=None
    )
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def kohya(changes: Lora, path: Path) -> None:
    tensors = {}
    for name, pair in changes.items():
        stem = lora_keys.kohya_name(name, FAMILIES["sd"])
        tensors |= {
            f"{stem}.lora_down.weight": pair.a,
            f"{stem}.lora_up.weight": pair.b,
            f"{stem}.alpha": torch.tensor(pair.alpha),
        }
    save_file(tensors, path)


def by_sides(between: str) -> Callable[[Lora, Path], None]:
    """As older diffusers had it; what alpha does is put into the matrices."""

    def write(changes: Lora, path: Path) -> None:
        tensors = {}
        for name, pair in changes.items():
            module = (
                name.removesuffix(".0")
                if between.startswith("_") and name.endswith("to_out.0")
                else name
            )
            tensors |= {
                f"{module}{between}down.weight": pair.a,
                f"{module}{between}up.weight": pair.b,
            }
        save_file(tensors, path)

    return write
