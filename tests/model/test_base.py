"""A base loads from a folder, says what is wrong with one that does not, and knows its own
latents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from latentdrift.errors import InputError, OptionError
from latentdrift.model.base import Base


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


def test_pipelines_of_the_same_parts_are_bases(broken: Path, base: Base) -> None:
    index = json.loads((broken / "model_index.json").read_text())
    (broken / "model_index.json").write_text(
        json.dumps({**index, "_class_name": "StableDiffusionImg2ImgPipeline"})
    )
    assert Base.load(broken).hash == base.hash
    (broken / "model_index.json").unlink()
    assert Base.load(broken).hash == base.hash


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


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.mark.parametrize("text", ["", "a brain MRI", "brain " * 75])
def test_a_prompt_within_the_limit_is_not_touched(base: Base, text: str) -> None:
    assert base.readable(text) == text


@pytest.mark.parametrize("words", [76, 77, 200])
def test_a_long_prompt_is_cut_after_the_last_word_that_is_read(base: Base, words: int) -> None:
    cut = base.readable("brain " * words)
    assert cut.split() == ["brain"] * 75
    spelled = base.readable(
        "brain " * 73 + "xylophonist mri"
    )  # a word of several tokens goes as a whole
    assert spelled.split() == ["brain"] * 73 and base.count(f"{spelled} xylophonist") > 75
    assert base.readable("x" * 300) == "x" * 300  # one word: `tokens` refuses it


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_without_weights_all_else_is_the_same(precision: str, tiny_base_folder: Path) -> None:
    bases = [
        Base.load(tiny_base_folder, device="cpu", precision=precision, weights=weights)
        for weights in (True, False)
    ]
    assert [base.has_weights for base in bases] == [True, False]
    shapes = []
    for base in bases:
        parts = (base.vae, base.network, *base.text_encoders.values())
        assert not any(part.training for part in parts)
        shapes.append(
            [
                (name, weight.shape, weight.dtype, weight.requires_grad)
                for part in parts
                for name, weight in part.named_parameters()
            ]
        )
    assert shapes[0] == shapes[1]
    one, other = bases
    assert (one.hash, one.resolution, one.dtype) == (other.hash, other.resolution, other.dtype)
    assert one.device == other.device
    assert all(weight.device.type == "meta" for weight in other.network.parameters())


@pytest.mark.parametrize("weights", [True, False])
def test_a_base_in_another_precision_is_that_of_its_files(
    weights: bool, tiny_base_folder: Path
) -> None:
    base = Base.load(tiny_base_folder, device="cpu", precision="bf16", weights=weights)
    exact = base.in_precision("fp32")
    assert exact.has_weights is weights and exact.dtype == torch.float32
    loaded = Base.load(tiny_base_folder, device="cpu", precision="fp32").network.state_dict()
    assert all(weight.dtype == torch.float32 for weight in exact.network.parameters())
    assert all(weight.dtype == torch.bfloat16 for weight in base.network.parameters())
    if weights:
        assert all(torch.equal(w, loaded[k]) for k, w in exact.network.state_dict().items())
