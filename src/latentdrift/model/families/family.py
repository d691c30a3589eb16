"""Family = everything in which one family of bases differs from another: the contract of a row of
FAMILIES.

A family is asked for numbers and tensors by `Base` alone. Drift, samplers, guidance, methods and
editors see scaled latents [B, C, h, w], a `Conditioning` and a `Denoiser`, whatever the family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from latentdrift.errors import OptionError
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.schedule import Schedule

Control = tuple[Any, float]
"""A ControlNet and its weight."""

TokenIds = tuple[Tensor, ...]
"""Token ids of B prompts, [B, L] for each tokenizer; the first are those of attention maps."""


class Parts(Protocol):
    """The networks of a base: `Base` itself, or `Components`."""

    @property
    def vae(self) -> Any:
        """The autoencoder."""

    @property
    def network(self) -> Any:
        """The denoising network."""

    @property
    def text_encoders(self) -> Mapping[str, Any]:
        """Folder -> text encoder."""

    @property
    def tokenizers(self) -> Mapping[str, Any]:
        """Folder -> tokenizer."""


@dataclass(frozen=True, eq=False)
class Components:
    """The networks of a base, frozen and in evaluation mode."""

    vae: Any
    network: Any
    text_encoders: Mapping[str, Any]
    tokenizers: Mapping[str, Any]


@dataclass(frozen=True)
class LoraPart:
    """A component whose modules can have LoRA matrices."""

    component: str
    """Folder of the component."""
    prefix: str
    """Beginning of its modules' names in a file."""
    inner: str = ""
    """Beginning of its modules' own names, which files leave out; only some versions of
    transformers have it."""
    kohya: str = ""
    """Beginning of its modules' names in files of kohya's trainer; empty: it writes none."""


@dataclass(frozen=True)
class Family(ABC):
    """A family of bases."""

    name: str
    """Its row of FAMILIES, as adapter.json names it."""
    title: str
    """Name for error messages."""
    pipeline: str
    """Class of diffusers' pipeline from text to image, whose folders are of this family."""
    pipeline_prefix: str
    """Beginning of the classes of pipelines with the same components."""
    network_folder: str
    """Folder of the denoising network."""
    weights: Mapping[str, str]
    """Component with weights -> name of its weight file, without the ending."""
    classes: Mapping[str, tuple[str, tuple[str, ...]]]
    """Component -> key of its config.json that names its class, and the classes that are read."""
    tokenizer_folders: tuple[str, ...]
    lora_targets: Mapping[str, tuple[str, ...]]
    """Choice of `targets` -> endings of the names of the network's modules."""
    lora_text_targets: tuple[str, ...]
    """Endings of the names of the text encoders' modules."""
    lora_parts: tuple[LoraPart, ...]
    attention: Mapping[str, bool]
    """Name of an attention layer whose maps can be read and changed -> whether it is
    cross-attention. Empty: attention control is not possible."""
    word_encoders: Mapping[str, str]
    """Text encoder that can learn a word -> its tokenizer."""
    text_widths: Mapping[int, str]
    """Numbers per token of an encoded prompt -> the well-known bases that have it."""
    reference_width: int
    """Width of the network (`network_width`) at which the learning rates of METHODS are usual."""
    stock_code: Mapping[str, str]
    """Method -> Python lines that load an adapter of it in stock diffusers. `{base}` is the name of
    the base, `{tokens}` the learned words, ADAPTER the folder."""
    controlnet_pipeline: str = ""
    """Class of diffusers' pipeline that takes a ControlNet."""
    single_file_script: str = ""
    """Script in diffusers' repository that writes a whole model as a single file."""
    unsupported: Mapping[str, str] = field(default_factory=dict)
    """Method, editor or format of another tool that this family cannot do -> the reason, a
    clause."""

    @property
    def network_file(self) -> str:
        """Weights of the denoising network, inside the folder of a pipeline or an adapter."""
        return f"{self.network_folder}/{self.weights[self.network_folder]}.safetensors"

    def check_supported(self, kind: str, name: str) -> None:
        """Check that a method, an editor or a format works with this family.

        Args:
            kind: "method", "editor" or "format".
            name: A row of METHODS, of EDITORS or of FORMATS.

        Raises:
            OptionError: It does not; the message says why.
        """
        if name in self.unsupported:
            raise OptionError(
                f"{kind} '{name}' does not work with a {self.title} base: "
                f"{self.unsupported[name]}; take another {kind} or another base"
            )

    # Files

    @abstractmethod
    def read_schedule(self, folder: Path) -> Schedule:
        """Read the schedule that the base in a diffusers folder was trained with.

        Raises:
            BaseModelError: The schedule is not for this family.
        """

    @abstractmethod
    def load(
        self,
        folder: Path,
        variants: Mapping[str, str | None],
        device: torch.device,
        dtype: torch.dtype,
    ) -> Components:
        """Load all components, checked to fit together.

        Args:
            folder: Folder of the base.
            variants: Component -> variant of its weights, None or "fp16".
            device: Device of the components; on `meta` they have shapes alone, and no weights are
                read.
            dtype: Number format of the components.

        Raises:
            BaseModelError: A component is damaged, or the components do not fit together.
        """

    @abstractmethod
    def load_component(self, folder: Path, component: str, dtype: torch.dtype) -> Any:
        """Load one network, frozen and in evaluation mode, from a pipeline's or adapter's folder.

        Args:
            folder: Folder above the component's own.
            component: A key of `weights`.
            dtype: Number format.

        Raises:
            OSError, ValueError, RuntimeError: The files cannot be read.
        """

    @abstractmethod
    def stock_pipeline(self, parts: Parts, scheduler: Any) -> Any:
        """Pipeline of diffusers with these components, for use outside of this package.

        Args:
            parts: The networks.
            scheduler: Scheduler of diffusers.
        """

    # Images and latents

    @abstractmethod
    def latent_channels(self, parts: Parts) -> int:
        """Channels C of a latent."""

    @abstractmethod
    def factor(self, parts: Parts) -> int:
        """Pixels per latent on a side."""

    @abstractmethod
    def latent_multiple(self, parts: Parts) -> int:
        """Factor that the number of latents on a side must be a multiple of."""

    @abstractmethod
    def trained_size(self, parts: Parts) -> int:
        """Latents on a side that the network was trained at."""

    @abstractmethod
    def moments(self, parts: Parts, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [B, C, h, w] float32 of the scaled latent of pixels
        [B, 3, H, W] in [-1, 1]."""

    @abstractmethod
    def decode(self, parts: Parts, x0: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] of scaled latents [B, C, h, w]."""

    @abstractmethod
    def source(self, parts: Parts, x0: Tensor) -> Tensor:
        """Convert scaled latents [B, C, h, w] to the source input of a network that reads one."""

    @abstractmethod
    def feature_layers(self, parts: Parts) -> list[nn.Module]:
        """Hidden layers of the autoencoder whose activations are features, the coarsest last."""

    # Text

    @abstractmethod
    def token_limit(self, parts: Parts) -> int:
        """Largest number of tokens in a prompt, without those that every prompt has."""

    @abstractmethod
    def count(self, parts: Parts, prompt: str) -> int:
        """Number of tokens in a prompt, without those that every prompt has."""

    @abstractmethod
    def dropped(self, parts: Parts, prompt: str) -> str:
        """Part of a prompt that lies beyond the token limit."""

    @abstractmethod
    def tokenize(self, parts: Parts, prompts: Sequence[str]) -> TokenIds:
        """Padded token ids [B, L] of prompts within the token limit, for each text encoder."""

    @abstractmethod
    def encode(self, parts: Parts, tokens: TokenIds) -> Conditioning:
        """Encode token ids [B, L] of each text encoder; there is a gradient where one is
        trained."""

    @abstractmethod
    def text_width(self, parts: Parts) -> int:
        """Width D of an encoded prompt's embeddings [L, D]."""

    @abstractmethod
    def text_values(self, parts: Parts) -> int:
        """Number of values in one encoded prompt, over all fields of its `Conditioning`."""

    # The denoising network

    @abstractmethod
    def network_width(self, parts: Parts) -> int:
        """Channels of the network's first level, by which learning rates are scaled."""

    @abstractmethod
    def reads_source(self, parts: Parts) -> bool:
        """Whether the network reads the latent of a source image beside the noisy one."""

    @abstractmethod
    def widen(self, parts: Parts) -> None:
        """Make the network read a source image, in place; at first it changes nothing.

        Args:
            parts: Components whose network reads noisy latents alone.
        """

    @abstractmethod
    def numbers_width(self, parts: Parts) -> int:
        """Number of features of numbers that the network reads beside time and text, often 0."""

    @abstractmethod
    def add_numbers(self, parts: Parts, width: int) -> None:
        """Make the network read features of numbers, in place; at first they change nothing.

        Args:
            parts: Components whose network reads no numbers.
            width: Number of features.
        """

    @abstractmethod
    def predict(
        self,
        parts: Parts,
        controls: Sequence[Control],
        xt: Tensor,
        t: Tensor,
        conditioning: Conditioning,
    ) -> Tensor:
        """Predict with the network at scaled, unpacked latents.

        Args:
            parts: The networks.
            controls: ControlNets, one for each of the conditioning's hints.
            xt: Noisy latents [B, C, h, w] in the network's number format.
            t: Time, one number or [B].
            conditioning: On the network's device, in its number format.

        Returns:
            Prediction [B, C, h, w].
        """

    # ControlNet

    @abstractmethod
    def new_controlnet(self, parts: Parts, widths: Sequence[int]) -> Any:
        """A ControlNet that changes nothing at first, with random convolutions that read the hint.

        Args:
            parts: The networks; the ControlNet is a copy of a part of the denoising network.
            widths: Channels of the convolutions that bring the hint to the latent's size.
        """

    @abstractmethod
    def load_controlnet(self, folder: Path, dtype: torch.dtype) -> Any:
        """Load a ControlNet, frozen and in evaluation mode.

        Args:
            folder: Folder of the ControlNet, as diffusers writes it.
            dtype: Number format of its weights.
        """
