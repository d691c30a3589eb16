"""Base = autoencoder + text encoders + denoising network + schedule, of one family of bases.

Everything in which families differ is in `families/`; `Base` is the only caller.

Notation, everywhere in this package:

    x          pixels [B, 3, H, W] in [-1, 1]
    x0, xt     scaled latents [B, C, h, w], clean and at time t; only `Base` knows the scaling factor
    alpha_bar  cumulative product of 1 - beta;  a = sqrt(alpha_bar), s = sqrt(1 - alpha_bar)
    eps, v     noise N(0, 1), and v = a eps - s x0
    z          unit noise from which a start xT is made
    delta      drift: the mean of the noise, one value per latent channel
    w          guidance weight; 1 is none
"""

from __future__ import annotations

import copy
import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentdrift.errors import BaseModelError, InputError, OptionError, unknown
from latentdrift.model import model_files
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.families.families import family_of
from latentdrift.model.families.family import Control, Family, TokenIds
from latentdrift.model.number_features import number_features
from latentdrift.model.schedule import Denoiser, Schedule
from latentdrift.prompts.prompt_numbers import split_numbers

__all__ = ["Base", "Denoiser", "Schedule"]

META = torch.device("meta")
"""Device of tensors that have a shape and no memory."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(eq=False)
class Ownership:
    """State that a base shares with its copies, which have the same networks."""

    is_over: bool = False
    """Whether a newer base has changed the networks in place."""


@dataclass(frozen=True, eq=False)
class Base:
    """A pretrained text-to-image latent diffusion model, frozen and in evaluation mode."""

    name: str
    hash: str
    """sha256 over the weight files and the schedule: an adapter belongs to one hash."""
    resolution: int
    """Pixels on a side that it was trained at."""
    schedule: Schedule
    family: Family
    vae: Any
    """The autoencoder."""
    network: Any
    """The denoising network."""
    text_encoders: Mapping[str, Any]
    """Folder -> text encoder."""
    tokenizers: Mapping[str, Any]
    """Folder -> tokenizer."""
    device: torch.device
    dtype: torch.dtype
    controls: tuple[Control, ...] = ()
    """ControlNets beside the network, and the weight of each."""
    ownership: Ownership = field(default_factory=Ownership, repr=False)

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        fetch: bool = True,
        weights: bool = True,
    ) -> Base:
        """Load a named base (a row of cards.yaml), a local diffusers folder, or a hub id.

        Args:
            name: For example `pocket`, `./sd15` or `stable-diffusion-v1-5/stable-diffusion-v1-5`.
            device: Cpu, cuda, mps, or auto.
            precision: Fp32, bf16, fp16, or auto (bf16 where the machine is fast at it, else fp32).
            fetch: Download a hub id if need be; a name that a file gives, and no person, is not
                fetched.
            weights: Read the weights; without them the networks have shapes alone and take no
                memory, for a plan.

        Raises:
            BaseModelError: The base is not there, not complete, not safetensors, or of a family
                that is not supported.
        """
        if precision != "auto" and precision not in PRECISIONS:
            raise unknown("precision", str(precision), [*PRECISIONS, "auto"])
        place = _device(str(device))
        dtype = PRECISIONS[_fast_precision(place) if precision == "auto" else precision]
        folder = model_files.find(str(name), fetch=fetch)
        family = family_of(folder)
        variants = model_files.check(folder, family)
        schedule = family.read_schedule(folder)
        parts = family.load(folder, variants, place if weights else META, dtype)
        return cls(
            name=str(name),
            hash=_identity(folder, family, variants, schedule),
            resolution=family.trained_size(parts) * family.factor(parts),
            schedule=schedule,
            family=family,
            vae=parts.vae,
            network=parts.network,
            text_encoders=parts.text_encoders,
            tokenizers=parts.tokenizers,
            device=place,
            dtype=dtype,
        )

    @property
    def has_weights(self) -> bool:
        """Whether the networks have weights; without, they are for a plan."""
        return all(weight.device != META for weight in self.network.parameters())

    def in_precision(self, precision: str) -> Base:
        """The base as its files hold it, in another number format, with weights if it has them.

        Args:
            precision: A key of PRECISIONS.
        """
        if self.has_weights:
            return Base.load(self.name, device=str(self.device), precision=precision, fetch=False)
        dtype = PRECISIONS[precision]
        parts = copy.deepcopy((self.vae, self.network, dict(self.text_encoders)))
        vae, network, encoders = parts
        for part in (vae, network, *encoders.values()):
            nn.Module.to(part, dtype)
        return replace(self, vae=vae, network=network, text_encoders=encoders, dtype=dtype)

    def take_over(self) -> Base:
        """Make the base that owns the networks from now on; this one and its copies are used up."""
        self.ownership.is_over = True
        return replace(self, ownership=Ownership())

    def check_usable(self) -> None:
        """Check that no newer base has changed the networks.

        Raises:
            BaseModelError: The base is used up.
        """
        if self.ownership.is_over:
            raise BaseModelError(
                "this model is used up: a newer model has changed its networks, by `without` or "
                "by an adapter; use the newer model, or load this one again with `Model.load`"
            )

    @property
    def latent_channels(self) -> int:
        """Channels C of a latent."""
        return self.family.latent_channels(self)

    @property
    def factor(self) -> int:
        """Pixels per latent on a side."""
        return self.family.factor(self)

    def latent_size(self, resolution: int | None = None) -> int:
        """Latents on a side.

        Args:
            resolution: Pixels on a side; None: the base's own.

        Raises:
            OptionError: The resolution does not fit the base.
        """
        pixels = resolution or self.resolution
        step = self.factor * self.family.latent_multiple(self)
        if pixels % step:
            raise OptionError(
                f"resolution {pixels} does not fit base '{self.name}': take a multiple of {step} "
                "pixels"
            )
        return pixels // self.factor

    @torch.no_grad()
    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images.

        Args:
            x: Pixels [B, 3, H, W] in [-1, 1].

        Returns:
            Mean and standard deviation of the scaled latents, [B, C, h, w] each.
        """
        return self.family.moments(self, self._pixels(x))

    @torch.no_grad()
    def decode(self, x0: Tensor) -> Tensor:
        """Decode scaled latents [B, C, h, w] to pixels [B, 3, H, W] in [-1, 1]."""
        return self.family.decode(self, x0.to(self.device, self.vae.dtype))

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Mean and spread of each channel of the autoencoder's hidden layers, [B, D].

        Each layer is in units of its response to constant images, so no layer dominates.

        Args:
            x: Pixels [B, 3, H, W] in [-1, 1].
        """
        return torch.cat(
            [torch.cat([h.mean((2, 3)), h.std((2, 3))], dim=1) for h in self.feature_maps(x)], dim=1
        )

    @torch.no_grad()
    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """Hidden layers of the autoencoder, [B, C, h, w] each, in the units of `features`.

        Args:
            x: Pixels [B, 3, H, W] in [-1, 1].
        """
        parts = zip(self._activations(self._pixels(x)), self._flat_response, strict=True)
        return [h / scale for h, scale in parts]

    @cached_property
    def _flat_response(self) -> list[Tensor]:
        """RMS of each hidden layer's mean over a black, a grey and a white picture."""
        flat = torch.linspace(-1, 1, 3).view(3, 1, 1, 1).expand(3, 3, 64, 64)
        return [h.mean((2, 3)).pow(2).mean().sqrt() for h in self._activations(self._pixels(flat))]

    def _activations(self, pixels: Tensor) -> list[Tensor]:
        """Outputs [B, C, h, w] of the autoencoder's hidden layers."""
        seen: list[Tensor] = []
        layers = self.family.feature_layers(self)
        hooks = [
            layer.register_forward_hook(lambda _m, _i, out: seen.append(out.float()))
            for layer in layers
        ]
        try:
            self.vae.encode(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        return seen

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Padded token ids [B, L] of prompts, for the text encoder that attention maps belong to.

        Raises:
            OptionError: As `tokenize`.
        """
        return self.tokenize(prompts)[0]

    def tokenize(self, prompts: Sequence[str]) -> TokenIds:
        """Padded token ids [B, L] of prompts, for each text encoder.

        Raises:
            OptionError: A prompt is longer than the text encoder can read; nothing is cut silently.
        """
        limit = self.token_limit
        for prompt in prompts:
            if self.count(prompt) > limit:
                raise OptionError(
                    f"the prompt '{prompt}' has {self.count(prompt)} tokens and the text encoder "
                    f"of base '{self.name}' reads {limit}: '{self.family.dropped(self, prompt)}' "
                    "would be dropped; shorten it"
                )
        return self.family.tokenize(self, prompts)

    @property
    def token_limit(self) -> int:
        """Largest number of tokens in a prompt, without those that every prompt has."""
        return self.family.token_limit(self)

    def count(self, prompt: str) -> int:
        """Number of tokens in a prompt, without those that every prompt has."""
        return self.family.count(self, prompt)

    def readable(self, prompt: str) -> str:
        """Cut a prompt after the last word that the text encoder reads; a shorter prompt is
        unchanged."""
        if self.count(prompt) <= self.token_limit:
            return prompt
        words = prompt.split()
        read = bisect_right(
            range(1, len(words) + 1),
            self.token_limit,
            key=lambda n: self.count(" ".join(words[:n])),
        )
        return " ".join(words[:read]) or prompt

    def embed(self, prompts: Sequence[str]) -> Conditioning:
        """Encode prompts, one image each.

        For a network that reads numbers, the text encoder gets the words without them.

        Raises:
            OptionError: A prompt is longer than the text encoder can read.
        """
        if not self.reads_numbers:
            return self.encode(self.tokenize(prompts))
        split = [split_numbers(prompt) for prompt in prompts]
        text = self.encode(self.tokenize([words for words, _ in split]))
        return replace(
            text,
            numbers=number_features(
                [numbers for _, numbers in split], self.family.numbers_width(self)
            ).to(self.device),
        )

    def encode(self, tokens: TokenIds) -> Conditioning:
        """Encode token ids; there is a gradient where the text encoder is trained.

        Args:
            tokens: [B, L] for each text encoder, from `tokenize`.
        """
        return self.family.encode(self, tuple(ids.to(self.device) for ids in tokens))

    @property
    def text_dtype(self) -> torch.dtype:
        """Number format of the text encoders."""
        result: torch.dtype = next(iter(self.text_encoders.values())).dtype
        return result

    def with_images(self, text: Conditioning, images: Sequence[Tensor]) -> Conditioning:
        """Join encoded prompts with the images that the network reads beside the noise.

        Args:
            text: Encoded prompts of B images.
            images: The source [B, C, h, w] if the network `sees_source`, then a hint [B, 3, H, W]
                in [0, 1] for each of its `controls`.
        """
        if self.sees_source and images:
            return replace(text, source=images[0], hints=tuple(images[1:]))
        return replace(text, hints=tuple(images))

    @property
    def sees_source(self) -> bool:
        """Whether the network reads the latent of a source image beside the noisy one
        (InstructPix2Pix)."""
        return self.family.reads_source(self)

    @property
    def reads_numbers(self) -> bool:
        """Whether the network reads the numbers of a prompt beside its words."""
        return self.family.numbers_width(self) > 0

    @property
    def shows(self) -> str:
        """Inputs of the network beside noise and text, in words; empty where there are none."""
        hints = (
            ["a hint" if len(self.controls) == 1 else f"{len(self.controls)} hints"]
            if self.controls
            else []
        )
        return (
            " and ".join((["the picture to start from"] if self.sees_source else []) + hints)
            or "nothing"
        )

    def source(self, x0: Tensor) -> Tensor:
        """Convert scaled latents [B, C, h, w] to the source input of a network that `sees_source`.

        The scaling factor is removed, as in diffusers.
        """
        return self.family.source(self, x0)

    def denoiser(self) -> Denoiser:
        """Network as a function: (xt in VP units, t, conditioning) -> prediction in xt's dtype.

        A call raises BaseModelError where the conditioning has other images than the network reads:
        a source where it `sees_source`, and a hint for each of its `controls`.
        """

        def denoise(xt: Tensor, t: float | Tensor, conditioning: Conditioning) -> Tensor:
            time = torch.as_tensor(t).to(self.device)
            read = conditioning.to(self.device, self.dtype)
            images = (read.source is not None) + len(read.hints)
            reads = self.sees_source + len(self.controls)
            if images != reads:
                raise BaseModelError(
                    f"the network is shown {images} images beside the noise, and reads {reads}"
                )
            prediction = self.family.predict(self, self.controls, xt.to(self.dtype), time, read)
            return prediction.to(xt.dtype)

        return denoise

    def _pixels(self, x: Tensor) -> Tensor:
        """x, checked and in the autoencoder's number format."""
        if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] % self.factor or x.shape[3] % self.factor:
            raise InputError(
                f"pixels of shape {tuple(x.shape)} do not fit the autoencoder, which reads [B, 3, "
                f"H, W], H and W multiples of {self.factor}"
            )
        low, high = (x.amin().item(), x.amax().item()) if x.numel() else (0.0, 0.0)
        if not -1.001 <= low <= high <= 1.001:
            raise InputError(
                f"pixels reach from {low:.4g} to {high:.4g}; the autoencoder reads [-1, 1]: map "
                "intensities first"
            )
        return x.to(self.device, self.vae.dtype)


def _device(name: str) -> torch.device:
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if available["cuda"] else "mps" if available["mps"] else "cpu")
    kind = name.split(":")[0]
    if kind not in available:
        raise unknown("device", name, [*available, "auto"])
    if not available[kind]:
        there = ", ".join(known for known in available if available[known])
        raise OptionError(f"device '{name}' is not available on this machine; take one of: {there}")
    return torch.device(name)


def takes_gpu(name: str) -> bool:
    """Whether `Base.load` puts a base onto a GPU of CUDA.

    Args:
        name: Option `device`.
    """
    return _device(name).type == "cuda"


def _fast_precision(device: torch.device) -> str:
    """bf16 where matrix units make it faster than fp32; without AMX a processor is slower in bf16
    than in fp32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else "fp32"


def identity(name: str | Path) -> str:
    """Hash of a base, without loading it.

    Args:
        name: Named base, folder or hub id.

    Raises:
        BaseModelError: As `Base.load`.
    """
    folder = model_files.find(str(name))
    family = family_of(folder)
    variants = model_files.check(folder, family)
    return _identity(folder, family, variants, family.read_schedule(folder))


def read_schedule(folder: Path) -> Schedule:
    """Schedule that the base in a diffusers folder was trained with."""
    return family_of(folder).read_schedule(folder)


def _identity(
    folder: Path, family: Family, variants: Mapping[str, str | None], schedule: Schedule
) -> str:
    """sha256 over the weight files and what the network was trained to predict."""
    hashes = []
    for part, variant in variants.items():
        path = model_files.weights(folder, part, family.weights[part], variant).resolve()
        hashes.append(model_files.sha256(path, path.stat().st_mtime_ns, path.stat().st_size))
    text = "".join([*hashes, schedule.prediction_type]).encode()
    return hashlib.sha256(text + schedule.alpha_bar.numpy().tobytes()).hexdigest()
