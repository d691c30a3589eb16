"""METHODS: the ways to adapt a base. All run on the one loop of `train`; drift is an option of
every row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from latentdrift.adapt.methods import (
    controlnet,
    custom_diffusion,
    full_finetuning,
    instruct_pix2pix,
    lora,
    textual_inversion,
)
from latentdrift.adapt.methods.examples import Example, of_pairs, of_rows
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError, unknown
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.base import Base

CLASS_IMAGES = 100  # that prior preservation draws (diffusers' train_dreambooth example)


@dataclass(frozen=True)
class Method:
    """A row: what is trained, how, and how it is kept."""

    summary: str
    file: str | None
    """File inside the adapter folder that stock diffusers loads; None: the whole network, whose
    folder the base's family names."""
    options: tuple[str, ...]
    """The options of `fit` that shape its parameters."""
    rate: float
    """Default learning rate at the family's `reference_width`."""
    rate_by_width: bool
    """A hidden layer's rate under Adam goes with 1 / width, an embedding's does not (Yang et al.
    2022, muP, table 3)."""
    weight_decay: float
    prepare: Callable[
        [Base, FitOptions, Mapping[str, str]], tuple[Base, dict[str, torch.nn.Parameter]]
    ]
    """(base, options, new words and the text that each starts as) -> the base that is trained, and
    its float32 parameters."""
    save: Callable[[Base, Path], None]
    """Write `file` into a folder."""
    apply: Callable[[Base, Path, AdapterInfo, float], Base]
    """(base, adapter folder, adapter.json, weight of the change) -> the base with the adapter."""
    remove: Callable[[Base], Base]
    """The base without it, bit for bit."""
    called: str = "{images}"
    """Placeholder of the images in a prompt: {images} for the cohort's words, {token} for a new
    word, or {rare_word}."""
    examples: Callable[[Cohort, str, FitOptions, str, int], list[Example]] = of_rows
    """(cohort, split, options, what the pictures are called, pixels on a side) -> what there is to
    learn."""
    image_input: str | None = None
    """Image that the network reads beside the noisy latent: a row of IMAGE_INPUTS
    (training_setup.py)."""
    exact: bool = False
    """Trains weights of the base itself, which have to be float32: a sum of small updates is lost
    in 16-bit weights."""
    trains_network: bool = True
    """The denoiser changes, and so may what it predicts."""
    trains_text: bool = False
    """The text encoder can be trained, too."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of options that the method sets itself."""

    @property
    def learns_word(self) -> bool:
        """Whether the method learns a word for its prompts."""
        return "{token}" in self.called

    @property
    def replaces_network(self) -> bool:
        """Whether an adapter holds the whole network."""
        return self.file is None

    def file_in(self, folder: Path) -> Path:
        """Path of the weights of an adapter of this method.

        Args:
            folder: Adapter folder.
        """
        return full_finetuning.network_file(folder) if self.file is None else folder / self.file

    def learning_rate(self, base: Base) -> float:
        """Default learning rate for a base."""
        if not self.rate_by_width:
            return self.rate
        return self.rate * base.family.reference_width / base.family.network_width(base)

    def completed(self, options: FitOptions) -> FitOptions:
        """Fill the options of `fit` with this method's defaults.

        Raises:
            OptionError: An option that this method does not support.
        """
        if options.train_text_encoder and not self.trains_text:
            able = " or ".join(name for name, row in METHODS.items() if row.trains_text)
            raise OptionError(
                f"`train_text_encoder` does not go with `method={options.method}`; take {able}, or "
                "leave it out"
            )
        if options.prior_images and (self.image_input or not self.trains_network):
            why = (
                "shows it what the base was never shown"
                if self.image_input
                else "leaves it as it is"
            )
            raise OptionError(
                f"`prior_images` keeps a network to what it knew; `method={options.method}` {why}: "
                "leave it out"
            )
        if options.instruction and "instruction" not in self.defaults:
            able = " or ".join(
                name for name, row in METHODS.items() if "instruction" in row.defaults
            )
            raise OptionError(
                f"`instruction` words pairs of visits, and `method={options.method}` learns single "
                f"pictures; take {able}"
            )
        known = {"vectors": 1, "prior_images": 0, **self.defaults}
        return options.model_copy(
            update={name: value for name, value in known.items() if getattr(options, name) is None}
        )


WORDS = ("token", "vectors", "concept_by")
LORA = ("rank", "alpha", "targets", "train_text_encoder")
PRIOR = ("prior_images", "prior_weight", "class_prompt")

METHODS: dict[str, Method] = {
    "full": Method(
        summary="all weights of the U-Net; the best images, from hundreds of pictures on",
        file=None,
        options=("train_text_encoder",),
        rate=5e-5,  # RoentGen, chest X-rays with SD 1.4 (Chambon et al. 2022)
        rate_by_width=True,
        weight_decay=1e-2,
        exact=True,
        trains_text=True,
        prepare=full_finetuning.prepare,
        save=full_finetuning.save,
        apply=full_finetuning.apply,
        remove=full_finetuning.remove,
    ),
    "lora": Method(
        summary="a low-rank change of the U-Net's layers; a file of a few MB",
        file=lora.FILE,
        options=LORA,
        rate=1e-4,  # diffusers' train_text_to_image_lora example
        rate_by_width=True,
        weight_decay=1e-2,
        trains_text=True,
        prepare=lora.prepare,
        save=lora.save,
        apply=lora.apply,
        remove=lora.remove,
    ),
    "textual-inversion": Method(
        summary=(
            "one new word, the network untouched; from a few dozen pictures on, a file of kilobytes"
        ),
        file=textual_inversion.FILE,
        options=WORDS,
        rate=5e-3,  # de Wilde et al. 2024
        rate_by_width=False,
        weight_decay=0.0,  # the length of the vectors is learned (de Wilde et al. 2024)
        called="{token}",
        trains_network=False,
        defaults={"vectors": 8},
        prepare=textual_inversion.prepare,
        save=textual_inversion.save,
        apply=textual_inversion.apply,
        remove=textual_inversion.remove,
    ),
    "custom-diffusion": Method(
        summary=(
            "how the U-Net reads text (keys and values of its cross-attention) and a new word; a "
            "few dozen MB"
        ),
        file=custom_diffusion.FILE,
        options=WORDS + PRIOR,
        rate=1e-5,  # Kumari et al. 2023, section 4
        rate_by_width=True,
        weight_decay=1e-2,
        called="{token} {images}",
        exact=True,
        defaults={"prior_images": CLASS_IMAGES},
        prepare=custom_diffusion.prepare,
        save=custom_diffusion.save,
        apply=custom_diffusion.apply,
        remove=custom_diffusion.remove,
    ),
    "dreambooth": Method(
        summary=(
            "all weights of the U-Net under a rare word, kept to what the base draws of the class; "
            "from a few pictures on"
        ),
        file=None,
        options=("train_text_encoder", "rare_word", *PRIOR),
        rate=5e-6,  # Ruiz et al. 2023, and diffusers' train_dreambooth example
        rate_by_width=True,
        weight_decay=1e-2,
        called="{rare_word} {images}",
        exact=True,
        trains_text=True,
        defaults={"prior_images": CLASS_IMAGES},
        prepare=full_finetuning.prepare,
        save=full_finetuning.save,
        apply=full_finetuning.apply,
        remove=full_finetuning.remove,
    ),
    "dreambooth-lora": Method(
        summary="the same by a low-rank change; a file of a few MB",
        file=lora.FILE,
        options=(*LORA, "rare_word", *PRIOR),
        rate=1e-4,  # diffusers' train_dreambooth_lora example
        rate_by_width=True,
        weight_decay=1e-2,
        called="{rare_word} {images}",
        trains_text=True,
        defaults={"prior_images": CLASS_IMAGES},
        prepare=lora.prepare,
        save=lora.save,
        apply=lora.apply,
        remove=lora.remove,
    ),
    "controlnet": Method(
        summary=(
            "a copy of the U-Net's encoder that reads a hint: edges, a mask, the visit before; "
            "from hundreds of pictures on"
        ),
        file=controlnet.FILE,
        options=("hint",),
        rate=1e-5,  # Zhang et al. 2023, and diffusers' train_controlnet example
        rate_by_width=True,
        weight_decay=1e-2,
        image_input="hint",
        prepare=controlnet.prepare,
        save=controlnet.save,
        apply=controlnet.apply,
        remove=controlnet.remove,
    ),
    "instruct-pix2pix": Method(
        summary=(
            "all weights of a U-Net that is shown an earlier visit and told what to make of it; "
            "from hundreds of pairs on"
        ),
        file=None,
        options=(),
        rate=5e-5,  # diffusers' train_instruct_pix2pix example
        rate_by_width=True,
        weight_decay=1e-2,
        examples=of_pairs,
        image_input="source",
        exact=True,
        defaults={"instruction": "numerical", "change_weight": 0.5},
        prepare=instruct_pix2pix.prepare,
        save=full_finetuning.save,
        apply=full_finetuning.apply,
        remove=full_finetuning.remove,
    ),
}


def method(name: str) -> Method:
    """Look up a row of METHODS.

    Raises:
        OptionError: There is no such row.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]
