"""A base loads from a folder, says what is wrong with one that does not, and knows its own
latents."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from tiny import tiny_base

from latentdrift.adapt.training import latent_cache
from latentdrift.errors import BaseModelError, InputError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.model_files import cards
from latentdrift.model.schedule import DEFAULTS, Schedule


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.fixture
def broken(tiny_base_folder: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(tiny_base_folder, tmp_path / "broken")


def test_shapes_go_round(base: Base) -> None:
    x = torch.rand(2, 3, 32, 64) * 2 - 1
    mean, std = base.moments(x)
    assert (
        mean.shape == std.shape == (2, base.latent_channels, 32 // base.factor, 64 // base.factor)
    )
    assert (std > 0).all()
    y = base.decode(mean)
    assert y.shape == x.shape and y.abs().max() <= 1
    assert base.latent_size() == base.resolution // base.factor == 8
    assert base.features(x).shape[0] == 2
    assert not torch.allclose(*base.features(x))


def test_only_the_base_knows_the_scaling_factor(base: Base) -> None:
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    raw = base.vae.encode(x).latent_dist.mean
    mean, _ = base.moments(x)
    assert torch.allclose(mean, raw * base.vae.config.scaling_factor)
    assert torch.allclose(base.decode(mean), base.vae.decode(raw).sample.clamp(-1, 1), atol=1e-6)


def test_parts_are_frozen_and_in_evaluation_mode(base: Base) -> None:
    for part in (base.vae, base.text_encoders["text_encoder"], base.network):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())


def test_denoiser_is_the_unet(base: Base) -> None:
    xt = torch.randn(2, 4, 8, 8)
    context = base.embed(["a brain", "a chest"])
    assert context.embeddings.shape == (2, 77, 32)
    expected = base.network(xt, 10, encoder_hidden_states=context.embeddings).sample
    assert torch.equal(base.denoiser()(xt, 10, context), expected)
    assert torch.allclose(
        base.denoiser()(xt, torch.tensor([10.0, 10.0]), context), expected, atol=1e-6
    )


@pytest.mark.parametrize(
    "x", [torch.full((1, 3, 32, 32), 1.5), torch.full((1, 3, 32, 32), float("nan"))]
)
def test_pixels_out_of_range_are_refused(base: Base, x: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"\[-1, 1\]"):
        base.moments(x)


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (3, 32, 32), (1, 3, 30, 32)])
def test_pixels_of_the_wrong_shape_are_refused(base: Base, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="multiples of 4"):
        base.moments(torch.zeros(shape))


def test_a_prompt_past_the_token_limit_is_refused_with_what_would_be_lost(base: Base) -> None:
    base.embed(["brain " * 75])
    with pytest.raises(
        OptionError,
        match=r"77 tokens and the text encoder .* reads 75: 'chest mri' would be dropped",
    ):
        base.embed(["a scan", "brain " * 75 + "chest MRI"])


def test_resolution_has_to_fit_the_network(base: Base) -> None:
    assert base.latent_size(64) == 16
    with pytest.raises(OptionError, match=r"resolution 36 .* multiple of 8"):
        base.latent_size(36)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_prediction_type_is_read_from_the_scheduler(
    kind: str, tiny_base_folder: Path, tiny_v_folder: Path
) -> None:
    folder = tiny_base_folder if kind == "epsilon" else tiny_v_folder
    assert Base.load(folder).schedule.prediction_type == kind


def test_hash_follows_the_weights_and_nothing_else(
    base: Base, broken: Path, tiny_v_folder: Path
) -> None:
    assert Base.load(broken).hash == base.hash
    (broken / "README.md").write_text("a note")
    assert Base.load(broken).hash == base.hash
    file = broken / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    assert Base.load(broken).hash != base.hash
    assert (
        Base.load(tiny_v_folder).hash != base.hash
    )  # the same weights, trained to say something else


@pytest.mark.parametrize("part", ["vae", "text_encoder", "unet", "tokenizer", "scheduler"])
def test_a_missing_component_is_named(broken: Path, part: str) -> None:
    shutil.rmtree(broken / part)
    with pytest.raises(BaseModelError, match=f"has no {part}"):
        Base.load(broken)


def test_pickled_weights_are_refused(broken: Path) -> None:
    folder = broken / "unet"
    (folder / "diffusion_pytorch_model.safetensors").rename(folder / "diffusion_pytorch_model.bin")
    with pytest.raises(
        BaseModelError, match=r"unet .* only diffusion_pytorch_model.bin, which can carry code"
    ):
        Base.load(broken)


def test_a_file_without_some_weights_is_refused(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = broken / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    del weights["conv_in.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(BaseModelError, match=r"conv_in\.weight"):
        Base.load(broken)


def test_damaged_files_are_refused(broken: Path) -> None:
    file = broken / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BaseModelError, match=r"vae cannot be loaded .* fetch it again"):
        Base.load(broken)
    (broken / "scheduler" / "scheduler_config.json").write_text("{")
    with pytest.raises(BaseModelError, match=r"scheduler_config\.json is not JSON"):
        Base.load(broken)


def test_half_precision_files_are_found(broken: Path, base: Base) -> None:
    base_unet = broken / "unet" / "diffusion_pytorch_model.safetensors"
    base_unet.rename(base_unet.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert Base.load(broken).hash == base.hash


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


def test_a_network_that_predicts_the_image_is_refused(broken: Path) -> None:
    file = broken / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "prediction_type": "sample"}))
    with pytest.raises(BaseModelError, match=r"'sample'.*epsilon and v_prediction"):
        Base.load(broken)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("StableDiffusionXLPipeline", "SDXL"),
        ("StableDiffusion3Pipeline", "Stable Diffusion 3"),
        ("FluxPipeline", "FLUX.1"),
        ("Flux2Pipeline", "FLUX.2"),
        ("PixArtSigmaPipeline", "PixArt"),
        ("SanaPipeline", "Sana"),
        ("SomethingNewPipeline", "a SomethingNewPipeline"),
    ],
)
def test_another_family_is_refused_by_its_own_name(kind: str, name: str, broken: Path) -> None:
    index = json.loads((broken / "model_index.json").read_text())
    (broken / "model_index.json").write_text(json.dumps({**index, "_class_name": kind}))
    (broken / "text_encoder_2").mkdir()  # which SDXL, SD3 and FLUX have alike
    with pytest.raises(
        BaseModelError, match=rf"is {re.escape(name)}\b.*{kind}|is {re.escape(name)};"
    ):
        Base.load(broken)


def test_pipelines_of_the_same_parts_are_bases(broken: Path, base: Base) -> None:
    index = json.loads((broken / "model_index.json").read_text())
    (broken / "model_index.json").write_text(
        json.dumps({**index, "_class_name": "StableDiffusionImg2ImgPipeline"})
    )
    assert Base.load(broken).hash == base.hash
    (broken / "model_index.json").unlink()
    assert Base.load(broken).hash == base.hash


@pytest.mark.parametrize("part", ["text_encoder_2", "transformer"])
def test_components_of_another_family_are_refused_where_no_class_is_named(
    part: str, broken: Path
) -> None:
    (broken / "model_index.json").unlink()
    (broken / part).mkdir()
    with pytest.raises(BaseModelError, match=f"has a {part} .*FLUX"):
        Base.load(broken)


@pytest.mark.parametrize(
    ("part", "change", "name"),
    [
        ("unet", {"_class_name": "UNet3DConditionModel"}, "UNet3DConditionModel"),
        ("text_encoder", {"architectures": ["T5EncoderModel"]}, "T5EncoderModel"),
    ],
)
def test_components_of_another_class_are_refused(
    part: str, change: dict[str, object], name: str, broken: Path
) -> None:
    file = broken / part / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(BaseModelError, match=f"the {part} of base folder .* is a {name}"):
        Base.load(broken)


@pytest.mark.parametrize(
    "config",
    [
        {
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": 1000,
            "shift": 3.0,
            "beta_start": 0.00085,
        },
        {"_class_name": "FlowMatchSomethingNewScheduler"},
        {
            "_class_name": "DPMSolverMultistepScheduler",
            "use_flow_sigmas": True,
            "prediction_type": "epsilon",
        },
        {"_class_name": "EDMEulerScheduler", "prediction_type": "epsilon"},
        {"_class_name": "CogVideoXDDIMScheduler", "prediction_type": "v_prediction"},
    ],
)
def test_another_process_than_a_schedule_of_betas_is_refused(
    config: dict[str, object], broken: Path
) -> None:
    (broken / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    with pytest.raises(
        BaseModelError, match=f"names {config['_class_name']}.*not for a noise schedule of betas"
    ):
        Base.load(broken)


@pytest.mark.parametrize(
    "name",
    [
        "DDIMScheduler",
        "DDPMScheduler",
        "PNDMScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "LCMScheduler",
    ],
)
def test_what_a_scheduler_does_not_say_is_what_it_takes_itself(name: str) -> None:
    """alpha_bar and times of the stock scheduler of the same few words."""
    import diffusers

    given = {"prediction_type": "v_prediction", "num_train_timesteps": 500}
    stock = getattr(diffusers, name)(**given)
    schedule = Schedule.from_config({"_class_name": name, **given})
    assert torch.equal(schedule.alpha_bar, stock.alphas_cumprod.double())
    for key in ("timestep_spacing", "steps_offset", "set_alpha_to_one"):
        assert schedule.config[key] == stock.config.get(key, DEFAULTS[key])


def test_a_scheduler_without_its_class_is_that_of_the_index(broken: Path) -> None:
    from diffusers import DDIMScheduler

    file = broken / "scheduler" / "scheduler_config.json"
    index = json.loads((broken / "model_index.json").read_text())
    file.write_text(json.dumps({"prediction_type": "epsilon"}))
    (broken / "model_index.json").write_text(
        json.dumps({**index, "scheduler": ["diffusers", "DDIMScheduler"]})
    )
    assert torch.equal(
        Base.load(broken).schedule.alpha_bar, DDIMScheduler().alphas_cumprod.double()
    )


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


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(BaseModelError, match=r"no base 'pokcet'.*pocket, sd14, sd15"):
        Base.load("pokcet")


@pytest.mark.parametrize("name", ["sd15", "someone/some-model"])
def test_a_hub_id_without_a_network_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BaseModelError, match=r"Without a network: .* pass its path"):
        Base.load(name)


def test_of_another_family_on_the_hub_nothing_but_its_name_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def snapshot(repository: str, *, allow_patterns: list[str], **_: object) -> str:
        fetched.extend(allow_patterns)
        (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(BaseModelError, match=r"is FLUX\.1 \(FluxPipeline\)"):
        Base.load("someone/flux")
    assert fetched == ["model_index.json"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"precision": "fp8"}, "unknown precision 'fp8'; known: auto, bf16"),
        ({"device": "cup"}, "unknown device 'cup'; known: auto, cpu"),
    ],
)
def test_unknown_options_list_the_known_ones(
    tiny_base_folder: Path, option: dict[str, str], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        Base.load(tiny_base_folder, **option)


def test_bf16_weights_take_and_give_full_precision(tiny_base_folder: Path, base: Base) -> None:
    half = Base.load(tiny_base_folder, precision="bf16")
    assert half.dtype == torch.bfloat16 and half.hash == base.hash
    xt = torch.randn(1, 4, 8, 8)
    prediction = half.denoiser()(xt, 500, half.embed(["a brain"]))
    assert prediction.dtype == torch.float32
    assert (prediction - base.denoiser()(xt, 500, base.embed(["a brain"]))).abs().max() < 0.1
    mean, std = half.moments(torch.zeros(1, 3, 32, 32))
    assert mean.dtype == std.dtype == half.decode(mean).dtype == torch.float32


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


def test_cards_say_what_they_are() -> None:
    for card in cards().values():
        assert {"licence", "resolution", "prediction_type", "latent_channels"} <= set(card)
        assert ("folder" in card) != ("repository" in card)


def test_schedule_is_that_of_stable_diffusion() -> None:
    betas = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
    }
    schedule = Schedule.from_config(
        {"_class_name": "PNDMScheduler", "skip_prk_steps": True, **betas}
    )
    # Constants of SD 1.x: alpha_bar_0 = 0.99915, s_0 = 0.02915, a_999 = 0.06826, s_999 = 0.99767,
    # a_981 = 0.07600.
    assert schedule.alpha_bar[0] == pytest.approx(0.99915, abs=1e-5)
    assert schedule.s(0) == pytest.approx(0.02915, abs=1e-5)
    assert schedule.a(999) == pytest.approx(0.06826, abs=1e-5)
    assert schedule.s(999) == pytest.approx(0.99767, abs=1e-5)
    assert schedule.a(schedule.timesteps(50)[0]) == pytest.approx(0.07600, abs=1e-5)


def test_schedule_between_times_is_straight_in_log_sigma() -> None:
    schedule = Schedule.from_config({})
    sigma = schedule.s(torch.tensor([500, 500.25, 501])) / schedule.a(
        torch.tensor([500, 500.25, 501])
    )
    low, middle, high = sigma.log().tolist()
    assert middle == pytest.approx(0.75 * low + 0.25 * high, abs=1e-12)


def test_schedule_with_zero_terminal_snr_ends_in_pure_noise() -> None:
    schedule = Schedule.from_config(
        {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    )
    assert schedule.a(999) < 1e-3 and schedule.s(999).isfinite()


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_perfect_prediction_splits_into_what_it_was_mixed_from(kind: str) -> None:
    schedule = Schedule.from_config({"prediction_type": kind})
    x0 = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    eps = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    t = torch.tensor([3, 700])
    xt = schedule.add_noise(x0, eps, t)
    for found, expected in zip(
        schedule.split(schedule.target(x0, eps, t), xt, t), (x0, eps), strict=True
    ):
        assert torch.allclose(found, expected, atol=1e-12)
