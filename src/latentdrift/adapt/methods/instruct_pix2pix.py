"""InstructPix2Pix: a U-Net that reads the latent of a source picture beside the noisy one, all of
it trained.

Brooks et al. 2023, section 3.2. What it reads, and how the two conditions are dropped in training,
is in `training_setup.IMAGE_INPUTS` and `batches`; the folder is the one that `full` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from latentdrift.adapt.methods import full_finetuning
from latentdrift.config import FitOptions
from latentdrift.model.base import Base


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, nn.Parameter]]:
    """The network that reads a source, all of it trained; the base comes in float32."""
    if not base.sees_source:  # it does, where the fit starts from such an adapter
        base.family.widen(base)
    return full_finetuning.prepare(base, options, words)
