"""ControlNet: a copy of the U-Net's encoder that reads a hint picture and adds to the U-Net's
levels (Zhang et al. 2023).

The U-Net stays as it is. Files are those of diffusers' `ControlNetModel`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from latentdrift.adapt.methods import lora
from latentdrift.config import FitOptions
from latentdrift.errors import OptionError
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import Base
from latentdrift.seeds import derive

FOLDER = "controlnet"
FILE = f"{FOLDER}/diffusion_pytorch_model.safetensors"
WIDTHS = (
    16,
    32,
    96,
    256,
)  # channels in which the hint is brought down to the latent's size (diffusers' default, for f8)


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """Add a float32 ControlNet to the U-Net, and train all of it.

    Its last convolutions are zero, so at first it changes nothing.

    Args:
        base: The base.
        options: Options of `fit`.
        words: Not used.

    Returns:
        The base with the ControlNet, and its parameters by name.

    Raises:
        OptionError: The U-Net reads a source image.
    """
    if base.sees_source:
        raise OptionError(
            "the U-Net of this base takes a source image; a ControlNet is trained beside "
            "a U-Net without one; take another base"
        )
    copied = base
    if hasattr(base.network, "peft_config"):
        # copied as it is with the matrices that stand beside its modules
        copied = replace(base, network=copy.deepcopy(base.network))
        lora.fold(copied.network)
    halvings = (base.factor - 1).bit_length()
    widths = (WIDTHS + WIDTHS[-1:] * halvings)[: halvings + 1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            derive(options.seed, "controlnet")
        )  # of the convolutions that read the hint
        net = base.family.new_controlnet(copied, widths)
    net.requires_grad_(True).eval().to(base.device)
    return replace(base, controls=((net, 1.0),)), dict(net.named_parameters())


def save(base: Base, folder: Path) -> None:
    """Write the last ControlNet as a folder that `ControlNetModel.from_pretrained` reads."""
    from diffusers.utils import logging

    logging.disable_progress_bar()  # a bar for one file
    base.controls[-1][0].save_pretrained(folder / FOLDER)


def apply(base: Base, folder: Path, info: AdapterInfo, weight: float = 1.0) -> Base:
    """Add the ControlNet of an adapter to those of a base.

    Args:
        base: The base.
        folder: Adapter folder.
        info: adapter.json; not used.
        weight: Factor of the ControlNet's output.
    """
    net = base.family.load_controlnet(folder / FOLDER, base.dtype).to(base.device)
    return replace(base, controls=(*base.controls, (net, weight)))


def remove(base: Base) -> Base:
    """Base without its last ControlNet."""
    return replace(base, controls=base.controls[:-1])
