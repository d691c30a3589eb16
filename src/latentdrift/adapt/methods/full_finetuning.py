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
    """Path of the whole network's weights in an adapter folder, for any family.

    It is that of the first family where the folder holds no network.
    """
    candidates = [folder / family.network_file for family in FAMILIES.values()]
    return next((path for path in candidates if path.is_file()), candidates[0])


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, torch.nn.Parameter]]:
    """Train the whole network, and the text encoders if `train_text_encoder` is set.

    Args:
        base: The base in float32; its networks are changed in place.
        options: Options of `fit`.
        words: Not used.

    Returns:
        The base, and the trained parameters by name.
    """
    parameters = dict(base.network.requires_grad_(True).named_parameters())
    if options.train_text_encoder:
        for folder, encoder in base.text_encoders.items():
            named = encoder.requires_grad_(True).named_parameters()
            parameters |= {f"{folder}.{name}": parameter for name, parameter in named}
    return base, parameters


def save(base: Base, folder: Path) -> None:
    """Write the network, and trained text encoders, as folders that diffusers reads."""
    from diffusers.utils import logging

    logging.disable_progress_bar()  # a bar for one file
    base.network.save_pretrained(folder / base.family.network_folder)
    for name, encoder in base.text_encoders.items():
        if any(parameter.requires_grad for parameter in encoder.parameters()):
            encoder.save_pretrained(folder / name)


def apply(base: Base, folder: Path, info: AdapterInfo, weight: float = 1.0) -> Base:
    """Replace a base's network and text encoders by those of an adapter.

    Args:
        base: The base.
        folder: Adapter folder.
        info: adapter.json.
        weight: Not used; the network is replaced in full.
    """
    load = base.family.load_component
    network = load(folder, base.family.network_folder, base.dtype).to(base.device)
    encoders = dict(base.text_encoders)
    for name in encoders:
        if (folder / name).is_dir():
            encoders[name] = load(folder, name, base.dtype).to(base.device)
    return replace(base, network=network, text_encoders=encoders)


def remove(base: Base) -> Base:
    """Load the base's own networks again from its folder."""
    precision = next(name for name, dtype in PRECISIONS.items() if dtype == base.dtype)
    return Base.load(base.name, device=str(base.device), precision=precision, fetch=False)
