"""Stable Diffusion 1.x and 2.x: a U-Net on latents of an autoencoder, with CLIP's text encoder.

Rombach et al. 2022. The shapes of other sizes (`pocket`, tiny test bases) are the same family.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentdrift.errors import BaseModelError
from latentdrift.model import model_files
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.families.family import Components, Control, Family, LoraPart, Parts, TokenIds
from latentdrift.model.schedule import Schedule

UNET = "unet"
TEXT_ENCODER = "text_encoder"
TOKENIZER = "tokenizer"
UNET_PREFIX = "unet."
TEXT_PREFIX = "text_encoder.text_model."
"""Beginnings of the names of modules in LoRA files."""

# Autoencoder -> the hidden layers whose activations are its features, coarse ones last.
AUTOENCODERS: dict[str, Callable[[Any], list[nn.Module]]] = {
    "AutoencoderKL": lambda vae: list(vae.encoder.down_blocks),
    "AutoencoderTiny": lambda vae: [vae.encoder.layers[-2]],
}

MAX_PADDED_TOKENS = 128
"""A text encoder's vocabulary may be filled up to a multiple of this number, for speed."""

SPECIAL_TOKENS = 2
"""Every prompt has a first and a last token of its own."""

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class StableDiffusion(Family):
    """The family of Stable Diffusion 1.x and 2.x."""

    # Files

    def read_schedule(self, folder: Path) -> Schedule:
        """Read the schedule; a configuration without a class has the class of model_index.json.

        Raises:
            BaseModelError: The schedule is not for this family.
        """
        stored = model_files.config(folder / "scheduler" / "scheduler_config.json")
        named = (model_files.index(folder).get("scheduler") or [None])[-1]
        return Schedule.from_config({"_class_name": named, **stored})

    def load(
        self,
        folder: Path,
        variants: Mapping[str, str | None],
        device: torch.device,
        dtype: torch.dtype,
    ) -> Components:
        """Load autoencoder, text encoder, tokenizer and U-Net; see `Family.load`."""
        import diffusers
        from transformers import CLIPTextModel
        from transformers.utils import logging as progress

        progress.disable_progress_bar()  # a bar per component, in milliseconds
        vae = _load_autoencoder(folder, variants["vae"], dtype, device)
        unet = model_files.load_complete(
            diffusers.UNet2DConditionModel, folder / UNET, variants[UNET], dtype, device
        )
        text_encoder = model_files.load_complete(
            CLIPTextModel, folder / TEXT_ENCODER, variants[TEXT_ENCODER], dtype, device
        )
        tokenizer = _load_tokenizer(folder / TOKENIZER, text_encoder.config.vocab_size)
        _check_fit(folder, vae, unet, text_encoder)
        for part in (vae, text_encoder, unet):
            part.requires_grad_(False).eval()
        return Components(vae, unet, {TEXT_ENCODER: text_encoder}, {TOKENIZER: tokenizer})

    def load_component(self, folder: Path, component: str, dtype: torch.dtype) -> Any:
        """Load the U-Net, the text encoder or the autoencoder; see `Family.load_component`."""
        import diffusers
        from transformers import CLIPTextModel

        options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
        if component == TEXT_ENCODER:
            part = CLIPTextModel.from_pretrained(folder / component, dtype=dtype, **options)
        else:
            kind = (
                diffusers.UNet2DConditionModel
                if component == UNET
                else getattr(diffusers, _autoencoder_class(folder))
            )
            part = kind.from_pretrained(folder / component, torch_dtype=dtype, **options)
        return part.requires_grad_(False).eval()

    def stock_pipeline(self, parts: Parts, scheduler: Any) -> Any:
        """`StableDiffusionPipeline`, or InstructPix2Pix's for a U-Net that reads a source."""
        import diffusers

        with _no_torchvision_warning():
            kind = (
                diffusers.StableDiffusionInstructPix2PixPipeline
                if self.reads_source(parts)
                else diffusers.StableDiffusionPipeline
            )
        return kind(
            vae=parts.vae,
            text_encoder=parts.text_encoders[TEXT_ENCODER],
            tokenizer=parts.tokenizers[TOKENIZER],
            unet=parts.network,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )

    # Images and latents

    def latent_channels(self, parts: Parts) -> int:
        """Channels C of a latent, 4 in Stable Diffusion."""
        return int(parts.vae.config.latent_channels)

    def factor(self, parts: Parts) -> int:
        """Pixels per latent on a side, 8 in Stable Diffusion."""
        result: int = 2 ** (len(parts.vae.config.block_out_channels) - 1)
        return result

    def latent_multiple(self, parts: Parts) -> int:
        """Factor that latents on a side must be a multiple of: 2 for each level of the U-Net except
        the last."""
        result: int = 2 ** (len(parts.network.config.block_out_channels) - 1)
        return result

    def trained_size(self, parts: Parts) -> int:
        """Latents on a side by the U-Net's configuration, 64 or 96 in Stable Diffusion."""
        return int(parts.network.config.sample_size)

    def moments(self, parts: Parts, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [B, C, h, w] float32 of the scaled latent of pixels.

        A tiny autoencoder has standard deviation 0.

        Args:
            parts: The networks.
            pixels: [B, 3, H, W] in [-1, 1].
        """
        factor = parts.vae.config.scaling_factor
        if type(parts.vae).__name__ == "AutoencoderTiny":  # deterministic: it has no posterior
            mean = parts.vae.encode(pixels).latents.float() * factor
            return mean, torch.zeros_like(mean)
        posterior = parts.vae.encode(pixels).latent_dist
        return posterior.mean.float() * factor, posterior.std.float() * factor

    def decode(self, parts: Parts, x0: Tensor) -> Tensor:
        """Pixels [B, 3, H, W] in [-1, 1] of scaled latents x0 [B, C, h, w]."""
        result: Tensor = parts.vae.decode(self.source(parts, x0)).sample.float().clamp(-1, 1)
        return result

    def source(self, parts: Parts, x0: Tensor) -> Tensor:
        """Latents without the scaling factor, as diffusers' InstructPix2Pix reads them."""
        result: Tensor = x0 / parts.vae.config.scaling_factor
        return result

    def feature_layers(self, parts: Parts) -> list[nn.Module]:
        """Levels of the autoencoder's encoder, the coarsest last."""
        return AUTOENCODERS[type(parts.vae).__name__](parts.vae)

    # Text

    def token_limit(self, parts: Parts) -> int:
        """Largest number of tokens in a prompt, 75 in Stable Diffusion."""
        length = parts.text_encoders[TEXT_ENCODER].config.max_position_embeddings
        result: int = min(parts.tokenizers[TOKENIZER].model_max_length, length) - SPECIAL_TOKENS
        return result

    def count(self, parts: Parts, prompt: str) -> int:
        """Number of tokens in a prompt, without the start and end token."""
        return len(self._ids(parts, prompt)) - SPECIAL_TOKENS

    def dropped(self, parts: Parts, prompt: str) -> str:
        """Part of a prompt that lies beyond the token limit."""
        rest = self._ids(parts, prompt)[self.token_limit(parts) + 1 : -1]
        result: str = parts.tokenizers[TOKENIZER].decode(rest)
        return result

    def tokenize(self, parts: Parts, prompts: Sequence[str]) -> TokenIds:
        """Token ids [B, L] of prompts, padded to the encoder's full length L."""
        length = self.token_limit(parts) + SPECIAL_TOKENS
        ids = parts.tokenizers[TOKENIZER](
            list(prompts), padding="max_length", max_length=length, return_tensors="pt"
        ).input_ids
        return (ids,)

    def encode(self, parts: Parts, tokens: TokenIds) -> Conditioning:
        """Embeddings [B, L, D]: the normalised last hidden state of the text encoder."""
        (ids,) = tokens
        return Conditioning(parts.text_encoders[TEXT_ENCODER](ids).last_hidden_state)

    def text_width(self, parts: Parts) -> int:
        """Width D of the embeddings: 768 in Stable Diffusion 1.x, 1024 in 2.x."""
        return int(parts.text_encoders[TEXT_ENCODER].config.hidden_size)

    def text_values(self, parts: Parts) -> int:
        """Number of values in the embeddings of all tokens, L times D."""
        return (self.token_limit(parts) + SPECIAL_TOKENS) * self.text_width(parts)

    def _ids(self, parts: Parts, prompt: str) -> list[int]:
        result: list[int] = parts.tokenizers[TOKENIZER](prompt, verbose=False).input_ids
        return result

    # The U-Net

    def network_width(self, parts: Parts) -> int:
        """Channels of the U-Net's first level, 320 in Stable Diffusion."""
        return int(parts.network.config.block_out_channels[0])

    def reads_source(self, parts: Parts) -> bool:
        """Whether the U-Net has more input channels than a latent (InstructPix2Pix)."""
        return int(parts.network.config.in_channels) > self.latent_channels(parts)

    def widen(self, parts: Parts) -> None:
        """Double the input channels; the weights of the new ones are zero (Brooks et al. 2023,
        section 3.2)."""
        first = parts.network.conv_in
        weight = first.weight.detach()
        first.weight = nn.Parameter(torch.cat([weight, torch.zeros_like(first.weight)], dim=1))
        first.in_channels = 2 * self.latent_channels(parts)
        parts.network.register_to_config(in_channels=first.in_channels)

    def numbers_width(self, parts: Parts) -> int:
        """Number of features that the U-Net projects and adds to its embedding of the time."""
        config = parts.network.config
        if config.get("class_embed_type") != "projection":
            return 0
        return int(config.projection_class_embeddings_input_dim)

    def add_numbers(self, parts: Parts, width: int) -> None:
        """Add diffusers' projection of numbers to the embedding of the time; its last layer is
        zero."""
        from diffusers.models.embeddings import TimestepEmbedding

        network = parts.network
        like = network.time_embedding.linear_2
        projection = TimestepEmbedding(width, like.out_features).to(like.weight)
        for parameter in projection.linear_2.parameters():
            nn.init.zeros_(parameter)
        network.class_embedding = projection
        network.register_to_config(
            class_embed_type="projection", projection_class_embeddings_input_dim=width
        )

    def predict(
        self,
        parts: Parts,
        controls: Sequence[Control],
        xt: Tensor,
        t: Tensor,
        conditioning: Conditioning,
    ) -> Tensor:
        """Prediction [B, C, h, w] of the U-Net; a source enters as further channels of xt.

        Args and shapes are those of `Family.predict`.
        """
        residuals = _control_residuals(controls, xt, t, conditioning)
        source = conditioning.source
        wide = xt if source is None else torch.cat([xt, source], dim=1)
        numbers = {} if conditioning.numbers is None else {"class_labels": conditioning.numbers}
        result: Tensor = parts.network(
            wide, t, conditioning.embeddings, return_dict=False, **numbers, **residuals
        )[0]
        return result

    # ControlNet

    def new_controlnet(self, parts: Parts, widths: Sequence[int]) -> Any:
        """A copy of the U-Net's encoder whose last convolutions are zero (Zhang et al. 2023)."""
        from diffusers import ControlNetModel

        return ControlNetModel.from_unet(
            parts.network, conditioning_embedding_out_channels=tuple(widths)
        )

    def load_controlnet(self, folder: Path, dtype: torch.dtype) -> Any:
        """Load diffusers' `ControlNetModel`; see `Family.load_controlnet`."""
        from diffusers import ControlNetModel

        net = ControlNetModel.from_pretrained(folder, torch_dtype=dtype, use_safetensors=True)
        return net.requires_grad_(False).eval()


def _control_residuals(
    controls: Sequence[Control], xt: Tensor, t: Tensor, conditioning: Conditioning
) -> dict[str, Any]:
    """Residuals that the ControlNets add to the U-Net's levels (Zhang et al. 2023, eq. 2), summed
    over all of them.

    A ControlNet in training has finer weights than the base, and computes in the base's number
    format by autocast.
    """
    if not controls:
        return {}
    all_down = []
    all_mid = []
    for (net, weight), hint in zip(controls, conditioning.hints, strict=True):
        text = conditioning.embeddings.to(net.dtype)
        with torch.autocast(xt.device.type, xt.dtype, enabled=net.dtype != xt.dtype):
            down, mid = net(
                xt.to(net.dtype),
                t,
                text,
                hint.to(net.dtype),
                conditioning_scale=weight,
                return_dict=False,
            )
        all_down.append([level.to(xt.dtype) for level in down])
        all_mid.append(mid.to(xt.dtype))
    summed = [
        torch.stack(levels).sum(0) if len(levels) > 1 else levels[0]
        for levels in zip(*all_down, strict=True)
    ]
    return {
        "down_block_additional_residuals": summed,
        "mid_block_additional_residual": sum(all_mid[1:], all_mid[0]),
    }


def _autoencoder_class(folder: Path) -> str:
    """Class of the autoencoder by its config.json.

    Raises:
        BaseModelError: The class is not a row of AUTOENCODERS.
    """
    name = model_files.config(folder / "vae" / "config.json").get("_class_name", "AutoencoderKL")
    if name not in AUTOENCODERS:
        raise BaseModelError(
            f"the autoencoder of base folder {folder} is a {name}; known: {', '.join(AUTOENCODERS)}"
        )
    return str(name)


@contextmanager
def _no_torchvision_warning() -> Iterator[None]:
    """Leave out the warning of transformers that image processors do without torchvision.

    Pipelines import the processors of the safety checker and of image prompts, and use neither.
    """
    logger = logging.getLogger("transformers.utils.import_utils")
    logger.addFilter(_is_not_about_torchvision)
    try:
        yield
    finally:
        logger.removeFilter(_is_not_about_torchvision)


def _is_not_about_torchvision(record: logging.LogRecord) -> bool:
    return "requires torchvision" not in record.getMessage()


def _load_autoencoder(
    folder: Path, variant: str | None, dtype: torch.dtype, device: torch.device
) -> Any:
    import diffusers

    kind = getattr(diffusers, _autoencoder_class(folder))
    vae = model_files.load_complete(kind, folder / "vae", variant, dtype, device)
    if dtype == torch.float16 and vae.config.get("force_upcast", False):
        # the autoencoders of Stable Diffusion overflow in fp16
        vae = model_files.load_complete(kind, folder / "vae", variant, torch.float32, device)
    return vae


def _load_tokenizer(folder: Path, vocabulary: int) -> Any:
    """The tokenizer, checked to be of the text encoder.

    Args:
        folder: Folder of the tokenizer.
        vocabulary: Number of vectors in the text encoder's vocabulary.
    """
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    # the library behind it raises plain exceptions for files that it cannot read
    except Exception as error:
        raise BaseModelError(
            f"{folder} cannot be loaded ({error}): it is damaged; fetch it again"
        ) from error
    if not vocabulary - MAX_PADDED_TOKENS < len(tokenizer) <= vocabulary:
        raise BaseModelError(
            f"the tokenizer in {folder} has a vocabulary of {len(tokenizer)} and the text encoder "
            f"one of {vocabulary}: they are not of the same model, or the tokenizer's files are "
            "damaged; fetch the tokenizer again"
        )
    return tokenizer


def _check_fit(folder: Path, vae: Any, unet: Any, text_encoder: Any) -> None:
    """Check that the U-Net reads the autoencoder's latents and the text encoder's embeddings.

    Raises:
        BaseModelError: It reads something else.
    """
    channels = unet.config.in_channels
    latent = vae.config.latent_channels
    if channels != latent:
        raise BaseModelError(
            f"base folder {folder} does not fit together: the U-Net reads {channels} latent "
            f"channels and the autoencoder makes {latent}{_wider_unet(folder, channels, latent)}"
        )
    reads = unet.config.cross_attention_dim
    width = text_encoder.config.hidden_size
    if reads != width:
        raise BaseModelError(
            f"base folder {folder} does not fit together: the U-Net reads {reads} numbers per "
            f"token and the text encoder gives {width}{_wider_unet(folder, reads, width)}"
        )


def _wider_unet(folder: Path, channels: int, latent: int) -> str:
    """The kind of a U-Net that reads more than the noisy latent, and what to do with it."""
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


PIPE = 'pipe = StableDiffusionPipeline.from_pretrained("{base}", safety_checker=None)\n'
WITH_UNET = (
    'unet = UNet2DConditionModel.from_pretrained("ADAPTER/unet")\n'
    'pipe = StableDiffusionPipeline.from_pretrained("{base}", unet=unet, safety_checker=None)'
)
WITH_LORA = PIPE + 'pipe.load_lora_weights("ADAPTER")'
WORDS = 'pipe.load_textual_inversion("ADAPTER/learned_embeds.safetensors")  # {tokens} in a prompt'
"""Python lines that load adapters in stock diffusers."""

STABLE_DIFFUSION = StableDiffusion(
    name="sd",
    title="Stable Diffusion 1.x or 2.x",
    pipeline="StableDiffusionPipeline",
    pipeline_prefix="StableDiffusion",
    network_folder=UNET,
    weights={
        "vae": "diffusion_pytorch_model",
        TEXT_ENCODER: "model",
        UNET: "diffusion_pytorch_model",
    },
    classes={
        UNET: ("_class_name", ("UNet2DConditionModel",)),
        TEXT_ENCODER: (
            "architectures",
            ("CLIPTextModel", "CLIPTextModelWithProjection", "CLIPModel"),
        ),
    },
    tokenizer_folders=(TOKENIZER,),
    lora_targets={
        "attention": ATTENTION,  # self- and cross-attention, as in diffusers' examples
        # as in cloneofsimo's first release
        "cross-attention": tuple(f"attn2.{name}" for name in ATTENTION),
        "attention-mlp": (*ATTENTION, "ff.net.0.proj", "ff.net.2"),
        "all": (
            *ATTENTION,
            "ff.net.0.proj",
            "ff.net.2",
            "proj_in",
            "proj_out",
            "conv1",
            "conv2",
            "time_emb_proj",
        ),
    },
    # diffusers' train_dreambooth_lora example
    lora_text_targets=("q_proj", "k_proj", "v_proj", "out_proj"),
    lora_parts=(
        LoraPart(UNET, UNET_PREFIX, kohya="lora_unet"),
        # files have `text_model` as older transformers do; transformers 5 leaves it out
        LoraPart(TEXT_ENCODER, TEXT_PREFIX, "text_model.", kohya="lora_te"),
    ),
    attention={"attn1": False, "attn2": True},
    word_encoders={TEXT_ENCODER: TOKENIZER},
    text_widths={768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x"},
    reference_width=320,
    stock_code={
        "lora": WITH_LORA,
        "dreambooth-lora": WITH_LORA,
        "textual-inversion": PIPE + WORDS,
        "custom-diffusion": (
            PIPE + 'pipe.unet.load_attn_procs("ADAPTER", '
            'weight_name="pytorch_custom_diffusion_weights.safetensors", _pipeline=pipe)\n' + WORDS
        ),
        "full": WITH_UNET,
        "dreambooth": WITH_UNET,
        "instruct-pix2pix": (
            'unet = UNet2DConditionModel.from_pretrained("ADAPTER/unet")\n'
            'pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained("{base}", unet=unet, '
            "safety_checker=None)"
        ),
        "controlnet": (
            'net = ControlNetModel.from_pretrained("ADAPTER/controlnet")\n'
            'pipe = StableDiffusionControlNetPipeline.from_pretrained("{base}", controlnet=net, '
            "safety_checker=None)  # image=hint"
        ),
    },
    controlnet_pipeline="StableDiffusionControlNetPipeline",
    single_file_script="convert_diffusers_to_original_stable_diffusion.py",
)
