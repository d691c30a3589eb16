"""A random Stable-Diffusion-shaped base and a phantom cohort, small enough for any test."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

WORDS = (
    "a an the of with no and brain mri scan chest x ray year old female male dementia effusion "
    "cardiomegaly nodule findings image picture axial frontal healthy patient normal photo red "
    "blue disc"
)


def tiny_base(
    folder: Path,
    *,
    prediction_type: str = "epsilon",
    width: int = 32,
    context: int = 32,
    seed: int = 0,
    factor: int = 4,
) -> Path:
    """Write a random diffusers folder: 32 px, f4 (or f8) autoencoder with 4 channels, ~100k
    parameter U-Net.

    Args:
        folder: where to write; made if absent.
        prediction_type: epsilon or v_prediction.
        width: channels of the U-Net's first level.
        context: width of the text encoder and of the cross-attention.
        seed: of every weight.
        factor: pixels per latent, 4 or 8.
    """
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = Path(folder)
    vocabulary = _tokenizer(folder / "tokenizer")
    levels = int(math.log2(factor)) + 1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=(16,) * (levels - 1) + (32,),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=8,
            sample_size=32,
            scaling_factor=0.5,
        )
        unet = UNet2DConditionModel(
            sample_size=32 // factor,
            block_out_channels=(width, width),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=context,
            attention_head_dim=4,
            norm_num_groups=8,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=vocabulary,
                hidden_size=context,
                intermediate_size=2 * context,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=77,
                bos_token_id=vocabulary - 2,
                eos_token_id=vocabulary - 1,
                pad_token_id=vocabulary - 1,
            )
        )
    # The configuration of Stable Diffusion 1.5, key for key.
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )
    for name, part in {
        "vae": vae,
        "unet": unet,
        "text_encoder": text_encoder,
        "scheduler": scheduler,
    }.items():
        part.save_pretrained(folder / name)
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def random_control(base: Any, seed: int) -> Any:
    """A ControlNet for a base, whose zero convolutions are not zero any more."""
    import torch

    from latentdrift.adapt.methods import controlnet
    from latentdrift.config import FitOptions

    net = controlnet.prepare(base, FitOptions(cohort=Path("c"), out=Path("o"), seed=seed), {})[
        0
    ].controls[0][0]
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for weight in net.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return net.requires_grad_(False)


def _tokenizer(folder: Path) -> int:
    """Write a small CLIP byte-pair tokenizer; returns the size of its vocabulary."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = sorted(ByteLevel.alphabet())
    merges = _merges(WORDS.split())
    words = [*alphabet, *(letter + "</w>" for letter in alphabet), *map("".join, merges)]
    vocabulary = {
        word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, merges)]) + "\n")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    special |= {"unk_token": "<|endoftext|>"}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **special})
    )
    return len(vocabulary)


def _merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges that make one token of each word; ties by the alphabet, so that every run
    has the same tokenizer."""
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = list[tuple[str, str]]()
    while pairs := Counter(pair for parts in spelled for pair in pairwise(parts)):
        merges.append(min(pairs, key=lambda pair: (-pairs[pair], pair)))
        for parts in spelled:
            while merges[-1] in (found := list(pairwise(parts))):
                place = found.index(merges[-1])
                parts[place : place + 2] = ["".join(merges[-1])]
    return merges


def tiny_clip(folder: Path, base: Path) -> Path:
    """A tiny CLIP of random weights, with the tokenizer of a tiny base."""
    import torch
    import transformers

    small: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    tokenizer = transformers.CLIPTokenizer.from_pretrained(base / "tokenizer")
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**small, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 77}
    picture = {**small, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    model = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=picture, projection_dim=8)
    )
    how: dict[str, Any] = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    for part in (model, tokenizer, transformers.CLIPImageProcessorPil(**how)):
        part.save_pretrained(folder)
    return folder


def tiny_cohort(folder: Path, n: int = 12, *, size: int = 32, seed: int = 0) -> Path:
    """Write a cohort by its contract on disk: `n` 8-bit grey pictures, two visits per patient,
    bright disc = dementia."""
    import pandas as pd
    from PIL import Image

    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    rows = []
    for index in range(n):
        patient = index // 2
        ill = index // 2 % 2 == 1
        head = np.exp(-((row / 0.8) ** 4) - (col / 0.7) ** 4) * 120
        hole = (np.hypot(row, col) < (0.45 if ill else 0.2)) * -80.0
        pixels = np.clip(head + hole + rng.normal(0, 3, (size, size)), 0, 255).astype(np.uint8)
        name = f"images/{index:04d}.png"
        Image.fromarray(pixels).save(folder / name)
        share = patient / max(1, (n + 1) // 2)
        rows.append(
            {
                "file_name": name,
                "patient": f"P{patient:04d}",
                "visit": index % 2 + 1,
                "days": 365.0 * (index % 2),
                "age": 60.0 + patient + index % 2,
                "sex": "FM"[patient % 2],
                "findings": "",
                "view": "axial",
                "modality": "MR",
                "split": "train" if share < 0.6 else "validation" if share < 0.8 else "test",
                "row_mm": 1.0,
                "col_mm": 1.0,
                "window_low": 0.0,
                "window_high": 255.0,
                "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
                "diagnosis": "dementia" if ill else "no dementia",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)
    info = {
        "format": 1,
        "describe": "brain MRI",
        "attributes": {
            "age": {"type": "number", "unit": "years"},
            "sex": {"type": "category", "vocabulary": ["F", "M"]},
            "diagnosis": {"type": "category", "vocabulary": ["dementia", "no dementia"]},
        },
        "source": {"kind": "phantom"},
        "rejected": [],
    }
    (folder / "cohort.json").write_text(json.dumps(info, indent=2))
    return folder
