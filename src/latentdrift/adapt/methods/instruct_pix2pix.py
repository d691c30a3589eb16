"""InstructPix2Pix: a U-Net that reads the latent of a source picture beside the noisy one, all of
it trained.

Brooks et al. 2023, section 3.2. What it reads, and how the two conditions are dropped in training,
is in `job.SHOWN` and `batches`; the folder is the one that `full` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from latentdrift.adapt.methods import full_finetuning
from latentdrift.config import FitOptions
from latentdrift.model.base import Base


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, nn.Parameter]]:
    """The widened U-Net, all of it trained; the base comes in float32."""
    if not base.sees_source:  # it does, where the fit starts from such an adapter
        widen(base)
    return full_finetuning.prepare(base, options, words)


def widen(base: Base) -> None:
    """Twice the input channels; the weights of the new ones are zero, so that the source changes
    nothing at first."""
    first = base.unet.conv_in
    first.weight = nn.Parameter(
        torch.cat([first.weight.detach(), torch.zeros_like(first.weight)], dim=1)
    )
    first.in_channels = 2 * base.latent_channels
    base.unet.register_to_config(in_channels=first.in_channels)
