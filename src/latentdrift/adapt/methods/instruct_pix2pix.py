"""InstructPix2Pix: a U-Net that reads the latent of a source picture beside the noisy one, all of
it trained; on request it also reads the numbers of an instruction.

Brooks et al. 2023, section 3.2. What it reads, and how the two conditions are dropped in training,
is in `training_setup.IMAGE_INPUTS` and `batches`; the folder is the one that `full` keeps.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from latentdrift.adapt.methods import full_finetuning
from latentdrift.config import FitOptions
from latentdrift.model.base import Base
from latentdrift.model.number_features import WIDTH
from latentdrift.prompts import Manner


def prepare(
    base: Base, options: FitOptions, words: Mapping[str, str]
) -> tuple[Base, dict[str, nn.Parameter]]:
    """Make the network read a source image, and numbers where instructions say them; train all of
    it.

    Args:
        base: The base in float32; its network is changed in place.
        options: Options of `fit`.
        words: Not used.

    Returns:
        The base, and the trained parameters by name.
    """
    if not base.sees_source:  # it does, where the fit starts from such an adapter
        base.family.widen(base)
    if Manner.of_options(options).uses_numbers and not base.reads_numbers:
        base.family.add_numbers(base, WIDTH)
    return full_finetuning.prepare(base, options, words)
