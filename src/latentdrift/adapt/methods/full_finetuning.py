"""Every weight of the U-Net is trained, and of the text encoder where it is asked for (the paper's
"Basic FT")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from latentdrift.config import FitOptions
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import PRECISIONS, Base
from latentdrift.model.families.families import FAMILIES


def network_file(folder: Path) -> Path:
    """Weights of the whole network in an adapter folder, of whatever family.

    Returns:
        A path; that of the first family where the folder holds no network.
    """
    candidates = [folder / family.network_file for family in FAMILIES.values()]
    return next((path for path in candidates if path.is_file()), candidates[0])


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """The network, all of it trained; the base comes in float32."""
    parameters = dict(base.network.requires_grad_(True).named_parameters())
    if options.train_text_encoder:
        for folder, encoder in base.text_encoders.items():
            named = encoder.requires_grad_(True).named_parameters()
            parameters |= {f"{folder}.{name}": parameter for name, parameter in named}
    return base, parameters


def save(base: Base, folder: Path) -> None:
    """Write the network's folder as diffusers reads it, and those of text encoders that were
    trained."""
    from diffusers.utils import logging

    logging.disable_progress_bar()  # a bar for one file
    base.network.save_pretrained(folder / base.family.network_folder)
    for name, encoder in base.text_encoders.items():
        if any(parameter.requires_grad for parameter in encoder.parameters()):
            encoder.save_pretrained(folder / name)


def apply(base: Base, folder: Path, info: AdapterInfo, weight: float = 1.0) -> Base:
    """The base with the adapter's network, and text encoders, in place of its own."""
    load = base.family.load_component
    network = load(folder, base.family.network_folder, base.dtype).to(base.device)
    encoders = dict(base.text_encoders)
    for name in encoders:
        if (folder / name).is_dir():
            encoders[name] = load(folder, name, base.dtype).to(base.device)
    return replace(base, network=network, text_encoders=encoders)


def remove(base: Base) -> Base:
    """The base with its own networks, read again from where it lies."""
    precision = next(name for name, dtype in PRECISIONS.items() if dtype == base.dtype)
    return Base.load(base.name, device=str(base.device), precision=precision, fetch=False)
