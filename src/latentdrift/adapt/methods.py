"""METHODS: the ways to adapt a base. All run on the one loop of `train`; drift is an option of every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from latentdrift.adapt import full, lora, textual_inversion
from latentdrift.config import FitOptions
from latentdrift.errors import unknown
from latentdrift.model.base import Base

SD_WIDTH = 320  # channels of Stable Diffusion's first level, where the rates below are usual


@dataclass(frozen=True)
class Method:
    """A row: what is trained, how, and how it is kept."""

    summary: str
    file: str
    """What stock diffusers loads, inside the adapter folder."""
    options: tuple[str, ...]
    """The options of `fit` that shape its parameters."""
    rate: float
    """Default learning rate at SD_WIDTH."""
    rate_by_width: bool
    """A hidden layer's rate under Adam goes with 1 / width, an embedding's does not (Yang et al. 2022, muP, table 3)."""
    weight_decay: float
    trains_text: bool
    """Prompt embeddings change while training, and the denoiser's weights do not."""
    prepare: Callable[[Base, FitOptions, str], tuple[Base, dict[str, torch.nn.Parameter]]]
    """(base, options, describe) -> the base that is trained, and its float32 parameters by name."""
    save: Callable[[Base, Path], None]
    """Write `file` into a folder."""
    apply: Callable[[Base, Path, Mapping[str, Any]], Base]
    """(base, adapter folder, adapter.json) -> the base with the adapter."""
    remove: Callable[[Base], Base]
    """The base without it, bit for bit."""

    def learning_rate(self, base: Base) -> float:
        """The default rate for this base."""
        width = base.unet.config.block_out_channels[0]
        return self.rate * SD_WIDTH / width if self.rate_by_width else self.rate


METHODS: dict[str, Method] = {
    "full": Method(
        summary="all weights of the U-Net; the best images, from hundreds of pictures on",
        file=full.FILE,
        options=(),
        rate=5e-5,  # RoentGen, chest X-rays with SD 1.4 (Chambon et al. 2022)
        rate_by_width=True,
        weight_decay=1e-2,
        trains_text=False,
        prepare=full.prepare,
        save=full.save,
        apply=full.apply,
        remove=full.remove,
    ),
    "lora": Method(
        summary="a low-rank change of the U-Net's attention; a file of a few MB",
        file=lora.FILE,
        options=("rank",),
        rate=1e-4,  # diffusers' train_text_to_image_lora example
        rate_by_width=True,
        weight_decay=1e-2,
        trains_text=False,
        prepare=lora.prepare,
        save=lora.save,
        apply=lora.apply,
        remove=lora.remove,
    ),
    "textual-inversion": Method(
        summary="one new word, the network untouched; from a few dozen pictures on, a file of kilobytes",
        file=textual_inversion.FILE,
        options=("token", "vectors"),
        rate=5e-3,  # de Wilde et al. 2024
        rate_by_width=False,
        weight_decay=0.0,  # the length of the vectors is learned (de Wilde et al. 2024)
        trains_text=True,
        prepare=textual_inversion.prepare,
        save=textual_inversion.save,
        apply=textual_inversion.apply,
        remove=textual_inversion.remove,
    ),
}


def method(name: str) -> Method:
    """The row of a name.

    Raises:
        OptionError: There is no such row.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]
