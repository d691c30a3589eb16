"""Stable Diffusion: components that do not fit together, tokenizers, and other autoencoders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import tiny_base

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.errors import BaseModelError
from latentdrift.model.base import Base


def test_parts_of_different_models_are_refused(broken: Path, tmp_path: Path) -> None:
    other = tiny_base(tmp_path / "other", context=16)
    shutil.rmtree(broken / "text_encoder")
    shutil.copytree(other / "text_encoder", broken / "text_encoder")
    with pytest.raises(
        BaseModelError, match="reads 32 numbers per token and the text encoder gives 16"
    ):
        Base.load(broken)


@pytest.mark.parametrize(
    ("channels", "says"),
    [(8, ";.* latentdrift adopt .* --base BASE"), (9, ";.* every base inpaints here"), (5, "$")],
)
def test_a_u_net_that_reads_more_than_noise_is_told_what_it_is(
    channels: int, says: str, broken: Path
) -> None:
    from diffusers import UNet2DConditionModel

    config = json.loads((broken / "unet" / "config.json").read_text()) | {"in_channels": channels}
    UNet2DConditionModel.from_config(config).save_pretrained(broken / "unet")
    with pytest.raises(
        BaseModelError,
        match=f"the U-Net reads {channels} latent channels and the autoencoder makes 4{says}",
    ):
        Base.load(broken)


@pytest.mark.parametrize("gone", [("vocab.json",), ("merges.txt",), ("vocab.json", "merges.txt")])
def test_a_tokenizer_without_its_words_is_refused(gone: tuple[str, ...], broken: Path) -> None:
    for name in gone:
        (broken / "tokenizer" / name).unlink()
    with pytest.raises(
        BaseModelError,
        match=r"no vocabulary: it holds .*tokenizer_config.json.* needed; fetch the tokenizer",
    ):
        Base.load(broken)


def test_a_tokenizer_may_be_one_file(broken: Path, base: Base) -> None:
    folder = broken / "tokenizer"
    base.tokenizers["tokenizer"].save_pretrained(folder)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    loaded = Base.load(broken)
    assert torch.equal(loaded.tokens(["a brain MRI"]), base.tokens(["a brain MRI"]))
    assert latent_cache.live_contexts(loaded, ["a brain MRI"])(
        ["a brain MRI"]
    ).embeddings.shape == (1, 77, 32)


def test_a_damaged_tokenizer_is_refused(broken: Path) -> None:
    (broken / "tokenizer" / "tokenizer.json").write_text(
        "version https://git-lfs.github.com/spec/v1"
    )
    with pytest.raises(BaseModelError, match=r"tokenizer cannot be loaded .* fetch it again"):
        Base.load(broken)


@pytest.mark.parametrize("rows", [300, 1000])
def test_a_vocabulary_of_another_size_than_the_text_encoders_is_refused(
    rows: int, broken: Path, base: Base
) -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = json.loads((broken / "text_encoder" / "config.json").read_text())
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    CLIPTextModel(CLIPTextConfig(**{**config, **ends, "vocab_size": rows})).save_pretrained(
        broken / "text_encoder"
    )
    words = len(base.tokenizers["tokenizer"])
    with pytest.raises(
        BaseModelError,
        match=f"has a vocabulary of {words} and the text encoder one of {rows}",
    ):
        Base.load(broken)


def test_fp16_keeps_an_autoencoder_that_overflows_in_full_precision(tiny_base_folder: Path) -> None:
    base = Base.load(tiny_base_folder, precision="fp16")
    assert base.network.dtype == torch.float16
    assert base.vae.config.force_upcast and base.vae.dtype == torch.float32


def test_an_eight_pixel_autoencoder_and_a_tiny_one_fit(tmp_path: Path) -> None:
    from diffusers import AutoencoderTiny

    folder = tiny_base(tmp_path / "f8", factor=8)
    assert Base.load(folder).latent_size() == 4
    shutil.rmtree(folder / "vae")
    AutoencoderTiny(
        encoder_block_out_channels=(16, 16, 16, 16),
        decoder_block_out_channels=(16, 16, 16, 16),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).save_pretrained(folder / "vae")
    base = Base.load(folder)
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    mean, std = base.moments(x)
    assert mean.shape == (2, 4, 4, 4) and not std.any()
    assert base.decode(mean).shape == x.shape
    assert base.features(x).shape == (2, 32)  # mean and spread of 16 channels


STOCK = """
import logging, sys
from diffusers import DDIMScheduler
from latentdrift.model.base import Base
base = Base.load(sys.argv[1], device="cpu", precision="fp32")
pipe = base.family.stock_pipeline(base, DDIMScheduler.from_config(base.schedule.config))
logging.getLogger("transformers.utils.import_utils").warning("another warning")
print(type(pipe).__name__)
"""


def test_a_stock_pipeline_does_not_warn_of_processors_that_it_lacks(tiny_base_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOCK, str(tiny_base_folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "StableDiffusionPipeline\n"
    assert "torchvision" not in done.stderr and "another warning" in done.stderr
