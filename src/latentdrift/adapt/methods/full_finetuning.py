"""Every weight of the U-Net is trained, and of the text encoder where it is asked for (the paper's
"Basic FT")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from latentdrift.config import FitOptions
from latentdrift.model.base import PRECISIONS, Base

FILE = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder"


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """The U-Net, all of it trained; the base comes in float32."""
    parameters = dict(base.unet.requires_grad_(True).named_parameters())
    if options.train_text_encoder:
        named = base.text_encoder.requires_grad_(True).named_parameters()
        parameters |= {f"{TEXT}.{name}": parameter for name, parameter in named}
    return base, parameters


def save(base: Base, folder: Path) -> None:
    """A `unet` folder, as `UNet2DConditionModel.from_pretrained` reads it; `text_encoder`, if it
    was trained."""
    from diffusers.utils import logging

    logging.disable_progress_bar()  # a bar for one file
    base.unet.save_pretrained(folder / "unet")
    if any(parameter.requires_grad for parameter in base.text_encoder.parameters()):
        base.text_encoder.save_pretrained(folder / TEXT)


def apply(base: Base, folder: Path, info: Mapping[str, Any]) -> Base:
    """The base with the adapter's U-Net, and text encoder, in place of its own."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    unet = UNet2DConditionModel.from_pretrained(
        folder / "unet", torch_dtype=base.dtype, use_safetensors=True
    )
    base = replace(base, unet=unet.requires_grad_(False).eval().to(base.device))
    if (folder / TEXT).is_dir():
        text = CLIPTextModel.from_pretrained(folder / TEXT, dtype=base.dtype, use_safetensors=True)
        base = replace(base, text_encoder=text.requires_grad_(False).eval().to(base.device))
    return base


def remove(base: Base) -> Base:
    """The base with its own networks, read again from where it lies."""
    precision = next(name for name, dtype in PRECISIONS.items() if dtype == base.dtype)
    return Base.load(base.name, device=str(base.device), precision=precision, fetch=False)
