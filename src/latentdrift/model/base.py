"""Base = autoencoder + text encoder + denoiser + schedule; the only file that knows how diffusers
loads things.

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

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentdrift.errors import BaseModelError, InputError, OptionError, unknown
from latentdrift.model import model_files as folders
from latentdrift.model.schedule import Denoiser, Schedule

__all__ = ["Base", "Denoiser", "Schedule"]

# Autoencoder -> the hidden layers whose activations are its features, coarse ones last.
AUTOENCODERS: dict[str, Callable[[Any], list[nn.Module]]] = {
    "AutoencoderKL": lambda vae: list(vae.encoder.down_blocks),
    "AutoencoderTiny": lambda vae: [vae.encoder.layers[-2]],
}

PADDED = 128
"""Vectors to a multiple of which a text encoder's vocabulary may be filled up, for speed."""

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, eq=False)
class Base:
    """A pretrained text-to-image latent diffusion model, frozen and in evaluation mode."""

    name: str
    hash: str
    """sha256 over the weight files and the schedule: an adapter belongs to one hash."""
    resolution: int
    """Pixels on a side that it was trained at."""
    schedule: Schedule
    vae: Any
    text_encoder: Any
    tokenizer: Any
    unet: Any
    device: torch.device
    dtype: torch.dtype
    controls: tuple[tuple[Any, float], ...] = ()
    """ControlNets beside the U-Net, and the weight of each."""

    @classmethod
    def load(
        cls, name: str | Path, *, device: str = "auto", precision: str = "auto", fetch: bool = True
    ) -> Base:
        """Load a named base (a row of cards.yaml), a local diffusers folder, or a hub id.

        Args:
            name: for example `pocket`, `./sd15` or `stable-diffusion-v1-5/stable-diffusion-v1-5`.
            device: cpu, cuda, mps, or auto.
            precision: fp32, bf16, fp16, or auto (bf16 where the machine is fast at it, else fp32).
            fetch: download a hub id if need be; a name that a file gives, and no person, is not
                fetched.

        Raises:
            BaseModelError: it is not there, not complete, not safetensors, or not SD 1.x / 2.x
                shaped.
        """
        if precision != "auto" and precision not in PRECISIONS:
            raise unknown("precision", precision, [*PRECISIONS, "auto"])
        place = _device(device)
        dtype = PRECISIONS[_fast_precision(place) if precision == "auto" else precision]
        folder = folders.find(str(name), fetch=fetch)
        variants = folders.check(folder)
        schedule = read_schedule(folder)
        parts = _load_parts(folder, variants, place, dtype)
        return cls(
            name=str(name),
            hash=_identity(folder, variants, schedule),
            resolution=int(parts["unet"].config.sample_size) * _factor(parts["vae"]),
            schedule=schedule,
            device=place,
            dtype=dtype,
            **parts,
        )

    @property
    def latent_channels(self) -> int:
        """Channels C of a latent."""
        return int(self.vae.config.latent_channels)

    @property
    def factor(self) -> int:
        """Pixels per latent on a side."""
        return _factor(self.vae)

    def latent_size(self, resolution: int | None = None) -> int:
        """Latents on a side at a resolution in pixels; default: the base's own."""
        pixels = resolution or self.resolution
        # The U-Net halves the latent once per level but the last.
        step = self.factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        if pixels % step:
            raise OptionError(
                f"resolution {pixels} does not fit base '{self.name}': take a multiple of {step} "
                "pixels"
            )
        return pixels // self.factor

    @torch.no_grad()
    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [B, C, h, w] of the scaled latent of pixels x [B, 3, H, W] in
        [-1, 1]."""
        pixels = self._pixels(x)
        if type(self.vae).__name__ == "AutoencoderTiny":  # deterministic: it has no posterior
            mean = self.vae.encode(pixels).latents.float() * self.vae.config.scaling_factor
            return mean, torch.zeros_like(mean)
        posterior = self.vae.encode(pixels).latent_dist
        factor = self.vae.config.scaling_factor
        return posterior.mean.float() * factor, posterior.std.float() * factor

    @torch.no_grad()
    def decode(self, x0: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] of scaled latents."""
        latents = x0.to(self.device, self.vae.dtype) / self.vae.config.scaling_factor
        return self.vae.decode(latents).sample.float().clamp(-1, 1)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """[B, D] mean and spread of the autoencoder's hidden layers: a feature space that is always
        at hand.

        Each layer is in units of its response to flat pictures, so that none drowns the others.
        """
        return torch.cat(
            [torch.cat([h.mean((2, 3)), h.std((2, 3))], dim=1) for h in self.feature_maps(x)], dim=1
        )

    @torch.no_grad()
    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """Hidden layers [B, C, h, w] of the autoencoder for pixels x [B, 3, H, W] in [-1, 1], each
        in the units of `features`."""
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
        layers = AUTOENCODERS[type(self.vae).__name__](self.vae)
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
        """Token ids [B, L] of prompts, padded.

        Raises:
            OptionError: a prompt is longer than the text encoder can read; nothing is cut off
                silently.
        """
        limit = self.token_limit
        for prompt in prompts:
            if self.count(prompt) > limit:
                dropped = self.tokenizer.decode(
                    self.tokenizer(prompt, verbose=False).input_ids[limit + 1 : -1]
                )
                raise OptionError(
                    f"the prompt '{prompt}' has {self.count(prompt)} tokens and the text encoder "
                    f"of base '{self.name}' reads {limit}: '{dropped}' would be dropped; shorten it"
                )
        return self.tokenizer(
            list(prompts), padding="max_length", max_length=limit + 2, return_tensors="pt"
        ).input_ids

    @property
    def token_limit(self) -> int:
        """Tokens of a prompt that the text encoder reads, beside the first and the last, which are
        always the same."""
        return (
            min(self.tokenizer.model_max_length, self.text_encoder.config.max_position_embeddings)
            - 2
        )

    def count(self, prompt: str) -> int:
        """Tokens of a prompt, without the first and the last."""
        return len(self.tokenizer(prompt, verbose=False).input_ids) - 2

    def readable(self, prompt: str) -> str:
        """The prompt, cut after the last word that the text encoder reads; itself if that is
        none."""
        if self.count(prompt) <= self.token_limit:
            return prompt
        words = prompt.split()
        read = bisect_right(
            range(1, len(words) + 1),
            self.token_limit,
            key=lambda n: self.count(" ".join(words[:n])),
        )
        return " ".join(words[:read]) or prompt

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """The context [B, L, D] of prompts; raises as `tokens` does."""
        return self.text_encoder(self.tokens(prompts).to(self.device)).last_hidden_state

    @property
    def sees_source(self) -> bool:
        """Whether the U-Net reads the latent of a source image beside the noisy one
        (InstructPix2Pix)."""
        return int(self.unet.config.in_channels) > self.latent_channels

    @property
    def shows(self) -> str:
        """What the network is shown beside noise and text, in words."""
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
        """Scaled latents as a network that `sees_source` is shown them: without the scaling factor,
        as diffusers has it."""
        return x0 / self.vae.config.scaling_factor

    def denoiser(self) -> Denoiser:
        """The network as a function: (xt in VP units, t, context) -> prediction in xt's dtype.

        A network that is shown more than noise and text takes (context, shown, ...): where it
        `sees_source` the `source` [B, C, h, w], and then a hint [B, 3, H, W] in [0, 1] for each
        of its `controls`.
        """

        def denoise(xt: Tensor, t: float | Tensor, context: Any) -> Tensor:
            time = torch.as_tensor(t).to(self.device)
            parts = context if isinstance(context, tuple) else (context,)
            text, *shown = (part.to(self.device, self.dtype) for part in parts)
            reads = self.sees_source + len(self.controls)
            if len(shown) != reads:
                raise BaseModelError(
                    f"the network is shown {len(shown)} images beside the noise, and reads {reads}"
                )
            seen = xt.to(self.dtype)
            residuals = self._controlled(seen, time, text, shown[self.sees_source :])
            wide = torch.cat([seen, shown[0]], dim=1) if self.sees_source else seen
            return self.unet(wide, time, text, return_dict=False, **residuals)[0].to(xt.dtype)

        return denoise

    def _controlled(
        self, xt: Tensor, time: Tensor, text: Tensor, hints: Sequence[Tensor]
    ) -> dict[str, Any]:
        """What the ControlNets add to the U-Net's levels (Zhang et al. 2023, eq. 2), summed over
        all of them.

        One that is trained has finer weights than the base, and computes in the base's numbers by
        autocast.
        """
        if not self.controls:
            return {}
        said = []
        for (net, weight), hint in zip(self.controls, hints, strict=True):
            seen = [part.to(net.dtype) for part in (text, hint)]
            with torch.autocast(self.device.type, self.dtype, enabled=net.dtype != self.dtype):
                down, mid = net(
                    xt.to(net.dtype), time, *seen, conditioning_scale=weight, return_dict=False
                )
            said.append(([part.to(xt.dtype) for part in down], mid.to(xt.dtype)))
        downs, mids = zip(*said, strict=True)
        down = [
            torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
            for parts in zip(*downs, strict=True)
        ]
        return {
            "down_block_additional_residuals": down,
            "mid_block_additional_residual": sum(mids[1:], mids[0]),
        }

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
    found = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if found["cuda"] else "mps" if found["mps"] else "cpu")
    kind = name.split(":")[0]
    if kind not in found:
        raise unknown("device", name, [*found, "auto"])
    if not found[kind]:
        there = ", ".join(known for known in found if found[known])
        raise OptionError(f"device '{name}' is not available on this machine; take one of: {there}")
    return torch.device(name)


def _fast_precision(device: torch.device) -> str:
    """bf16 where matrix units make it faster than fp32; without AMX a processor is slower in bf16
    than in fp32."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else "fp32"


def _reads_more(folder: Path, channels: int, latent: int) -> str:
    """What a U-Net is that reads more than the noisy latent, and what to do with it."""
    if channels == 2 * latent:
        return (
            "; so does InstructPix2Pix's, which reads a picture beside the noise. It is an adapter "
            f"of the base that it was trained from: latentdrift adopt {folder} --base BASE --out "
            "RUN, and give RUN instead"
        )
    if channels == 2 * latent + 1:
        return (
            "; so does a U-Net for inpainting only. Give the base that it was trained from: every "
            "base inpaints here"
        )
    return ""


def _load_parts(
    folder: Path, variants: dict[str, str | None], device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """vae, text_encoder, tokenizer and unet, checked to fit together."""
    import diffusers
    from transformers import CLIPTextModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar per component, in milliseconds
    kind = folders.config(folder / "vae" / "config.json").get("_class_name", "AutoencoderKL")
    if kind not in AUTOENCODERS:
        raise BaseModelError(
            f"the autoencoder of base folder {folder} is a {kind}; known: {', '.join(AUTOENCODERS)}"
        )
    vae = _load(getattr(diffusers, kind), folder / "vae", variants["vae"], torch_dtype=dtype)
    if dtype == torch.float16 and vae.config.get(
        "force_upcast", False
    ):  # SD autoencoders overflow in fp16
        vae = _load(
            getattr(diffusers, kind), folder / "vae", variants["vae"], torch_dtype=torch.float32
        )
    unet = _load(
        diffusers.UNet2DConditionModel, folder / "unet", variants["unet"], torch_dtype=dtype
    )
    text_encoder = _load(
        CLIPTextModel, folder / "text_encoder", variants["text_encoder"], dtype=dtype
    )
    tokenizer = _tokenizer(folder / "tokenizer", text_encoder.config.vocab_size)
    for ours, theirs, what in (
        (
            unet.config.in_channels,
            vae.config.latent_channels,
            "latent channels and the autoencoder makes",
        ),
        (
            unet.config.cross_attention_dim,
            text_encoder.config.hidden_size,
            "numbers per token and the text encoder gives",
        ),
    ):
        if ours != theirs:
            found = f"the U-Net reads {ours} {what} {theirs}{_reads_more(folder, ours, theirs)}"
            raise BaseModelError(f"base folder {folder} does not fit together: {found}")
    for part in (vae, text_encoder, unet):
        part.requires_grad_(False).eval().to(device)
    return {"vae": vae, "text_encoder": text_encoder, "tokenizer": tokenizer, "unet": unet}


def _tokenizer(folder: Path, rows: int) -> Any:
    """The tokenizer, whose words the text encoder has a vector for.

    Args:
        folder: of the tokenizer.
        rows: vectors in the text encoder's vocabulary.
    """
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (
        Exception
    ) as error:  # the library behind it raises plain exceptions for files that it cannot read
        raise BaseModelError(
            f"{folder} cannot be loaded ({error}): it is damaged; fetch it again"
        ) from error
    if not rows - PADDED < len(tokenizer) <= rows:
        raise BaseModelError(
            f"the tokenizer in {folder} has a vocabulary of {len(tokenizer)} and the text encoder "
            f"one of {rows}: they are not of the same model, or the tokenizer's files are damaged; "
            "fetch the tokenizer again"
        )
    return tokenizer


def _load(kind: Any, folder: Path, variant: str | None, **options: Any) -> Any:
    """A model with every one of its weights; a file that lacks some would otherwise leave them
    random."""
    from safetensors import SafetensorError

    options |= {
        "variant": variant,
        "use_safetensors": True,
        "local_files_only": True,
        "output_loading_info": True,
    }
    try:
        model, report = kind.from_pretrained(folder, **options)
    except (
        OSError,
        ValueError,
        RuntimeError,
        SafetensorError,
    ) as error:  # cut short, or of other shapes than config.json says
        raise BaseModelError(
            f"{folder} cannot be loaded ({error}): it is damaged or of another model; fetch it "
            "again"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise BaseModelError(
            f"the weights in {folder} are incomplete: {len(missing)} tensors missing, the first "
            f"{missing[0]}"
        )
    return model


def identity(name: str | Path) -> str:
    """The hash of a base, without loading it; arguments and errors of `Base.load`."""
    folder = folders.find(str(name))
    return _identity(folder, folders.check(folder), read_schedule(folder))


def read_schedule(folder: Path) -> Schedule:
    """The schedule that a base was trained with; a configuration without its class is of the class
    that the index names."""
    stored = folders.config(folder / "scheduler" / "scheduler_config.json")
    named = (folders.index(folder).get("scheduler") or [None])[-1]
    return Schedule.from_config({"_class_name": named, **stored})


def _identity(folder: Path, variants: dict[str, str | None], schedule: Schedule) -> str:
    """sha256 over the weight files and what the network was trained to predict."""
    paths = [folders.weights(folder, part, variant).resolve() for part, variant in variants.items()]
    hashes = [folders.sha256(path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
    text = "".join([*hashes, schedule.prediction_type]).encode()
    return hashlib.sha256(text + schedule.alpha_bar.numpy().tobytes()).hexdigest()


def _factor(vae: Any) -> int:
    return 2 ** (len(vae.config.block_out_channels) - 1)
