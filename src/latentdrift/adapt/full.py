"""Every weight of the U-Net is trained; everything else stays frozen (the paper's "Basic FT")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentdrift.config import FitOptions
from latentdrift.model.base import Base

FILE = "unet/diffusion_pytorch_model.safetensors"


def prepare(base: Base, options: FitOptions, describe: str) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """The U-Net in float32, all of it trained: a sum of small updates is lost in 16-bit weights."""
    exact = base if base.dtype == torch.float32 else Base.load(base.name, device=str(base.device), precision="fp32")
    trained = replace(base, unet=exact.unet.requires_grad_(True), dtype=torch.float32)
    return trained, dict(trained.unet.named_parameters())


def save(base: Base, folder: Path) -> None:
    """A `unet` folder, as `UNet2DConditionModel.from_pretrained` reads it."""
    from diffusers.utils import logging

    logging.disable_progress_bar()  # a bar for one file
    base.unet.save_pretrained(folder / "unet")


def apply(base: Base, folder: Path, info: Mapping[str, Any]) -> Base:
    """The base with the adapter's U-Net in place of its own."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=base.dtype, use_safetensors=True)
    return replace(base, unet=unet.requires_grad_(False).eval().to(base.device))


def remove(base: Base) -> Base:
    """The base with its own U-Net, read again from where it lies."""
    precision = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[base.dtype]
    return Base.load(base.name, device=str(base.device), precision=precision)
