"""Families of bases: one contract for every row of FAMILIES, and folders that are refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentdrift.adapt.interop.formats import FORMATS
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.errors import BaseModelError
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.families.families import FAMILIES, UNSUPPORTED, family_named, family_of

PROMPTS = ["a brain MRI", "a chest X ray with effusion"]


@pytest.fixture(scope="module")
def bases(tiny_base_folder: Path) -> dict[str, Path]:
    """Family -> folder of a small base with random weights."""
    return {"sd": tiny_base_folder}


@pytest.fixture(params=FAMILIES)
def base(request: pytest.FixtureRequest, bases: dict[str, Path]) -> Base:
    return Base.load(bases[request.param], device="cpu", precision="fp32")


def noise(base: Base, images: int = 2, seed: int = 0) -> torch.Tensor:
    side = base.latent_size()
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(images, base.latent_channels, side, side, generator=generator)


def test_every_family_has_a_base_in_these_tests(bases: dict[str, Path]) -> None:
    assert bases.keys() == FAMILIES.keys()


def test_a_family_names_its_row_and_stock_code_for_methods_alone() -> None:
    for name, row in FAMILIES.items():
        assert row.name == name and family_named(name) is row
        assert row.stock_code.keys() <= METHODS.keys()
    with pytest.raises(BaseModelError, match=r"family 'sketch'.*update"):
        family_named("sketch")


def test_a_folder_is_of_the_family_that_loads_it(base: Base) -> None:
    assert family_of(Path(base.name)) is base.family


def test_a_prediction_has_the_shape_of_the_latent_and_depends_on_the_prompt(base: Base) -> None:
    xt = noise(base)
    with torch.no_grad():
        prediction = base.denoiser()(xt, torch.tensor([10, 700]), base.embed(PROMPTS))
        swapped = base.denoiser()(xt, torch.tensor([10, 700]), base.embed(PROMPTS[::-1]))
    assert prediction.shape == xt.shape and prediction.dtype == xt.dtype
    assert prediction.isfinite().all()
    assert not torch.equal(prediction, swapped)


def test_images_of_a_batch_are_independent(base: Base) -> None:
    xt = noise(base)
    t = torch.tensor([10, 700])
    with torch.no_grad():
        read = base.embed(PROMPTS)
        together = base.denoiser()(xt, t, read)
        for i in range(2):
            rows = slice(i, i + 1)
            alone = base.denoiser()(xt[rows], t[rows], read[rows])
            torch.testing.assert_close(together[rows], alone, rtol=0, atol=1e-5)


def test_prompts_are_encoded_one_by_one_or_together(base: Base) -> None:
    together = base.embed(PROMPTS)
    one_by_one = Conditioning.cat([base.embed([prompt]) for prompt in PROMPTS])
    assert len(together) == len(one_by_one) == 2
    torch.testing.assert_close(together.embeddings, one_by_one.embeddings, rtol=0, atol=1e-5)
    assert (together.pooled is None) == (one_by_one.pooled is None)
    numbers = [together.embeddings, together.pooled, together.mask, together.size_ids]
    values = sum(tensor[0].numel() for tensor in numbers if tensor is not None)
    assert values == base.family.text_values(base)
    assert together.embeddings.shape[-1] == base.family.text_width(base)


def test_latents_of_the_trained_resolution_are_unit_free_and_come_back_as_pixels(
    base: Base,
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, base.resolution, base.resolution, generator=generator) * 2 - 1
    mean, std = base.moments(x)
    side = base.latent_size()
    assert mean.shape == std.shape == (1, base.latent_channels, side, side)
    assert mean.dtype == std.dtype == torch.float32
    pixels = base.decode(mean)
    assert pixels.shape == x.shape and pixels.abs().max() <= 1


def test_components_are_frozen_in_evaluation_mode_and_named_as_their_folders(base: Base) -> None:
    components = {
        "vae": base.vae,
        base.family.network_folder: base.network,
        **base.text_encoders,
    }
    assert components.keys() == base.family.weights.keys()
    assert base.tokenizers.keys() == set(base.family.tokenizer_folders)
    for component in components.values():
        assert not component.training
        assert not any(weight.requires_grad for weight in component.parameters())


def test_a_component_alone_has_the_weights_of_the_base(base: Base) -> None:
    for name in base.family.weights:
        alone = base.family.load_component(Path(base.name), name, torch.float32).state_dict()
        own = {
            "vae": base.vae,
            base.family.network_folder: base.network,
            **base.text_encoders,
        }[name].state_dict()
        assert alone.keys() == own.keys()
        assert all(torch.equal(alone[key], own[key]) for key in own)


def test_lora_targets_and_attention_layers_name_modules_of_the_network(base: Base) -> None:
    names = [name for name, _ in base.network.named_modules()]
    for targets in base.family.lora_targets.values():
        for target in targets:
            assert any(name == target or name.endswith(f".{target}") for name in names), target
    for layer in base.family.attention:
        assert any(name.endswith(f".{layer}") for name in names), layer
    encoders = [
        name for encoder in base.text_encoders.values() for name, _ in encoder.named_modules()
    ]
    for target in base.family.lora_text_targets:
        assert any(name.endswith(f".{target}") for name in encoders), target
    folders = {base.family.network_folder, *base.text_encoders}
    assert {part.component for part in base.family.lora_parts} == folders


def test_words_are_learned_by_encoders_that_the_base_has(base: Base) -> None:
    for encoder, tokenizer in base.family.word_encoders.items():
        table = base.text_encoders[encoder].get_input_embeddings().weight
        assert table.shape[0] >= len(base.tokenizers[tokenizer])


def test_a_widened_network_changes_nothing_at_first(base: Base) -> None:
    xt = noise(base)
    read = base.embed(PROMPTS)
    with torch.no_grad():
        before = base.denoiser()(xt, 500, read)
        base.family.widen(base)
        assert base.sees_source
        source = base.source(noise(base, seed=1))
        after = base.denoiser()(xt, 500, replace(read, source=source))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


def test_a_new_controlnet_changes_nothing_at_first(base: Base) -> None:
    xt = noise(base)
    read = base.embed(PROMPTS)
    hint = torch.rand(2, 3, base.resolution, base.resolution)
    net = base.family.new_controlnet(base, (16, 32, 96)).requires_grad_(False)
    controlled = replace(base, controls=((net, 1.0),))
    with torch.no_grad():
        before = base.denoiser()(xt, 500, read)
        after = controlled.denoiser()(xt, 500, replace(read, hints=(hint,)))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)


def test_unsupported_names_are_rows_of_the_tables(base: Base) -> None:
    assert base.family.unsupported.keys() <= METHODS.keys() | EDITORS.keys() | FORMATS.keys()


def test_the_stock_pipeline_has_the_networks_of_the_base(base: Base, tmp_path: Path) -> None:
    from diffusers import DDIMScheduler

    pipe = base.family.stock_pipeline(base, DDIMScheduler.from_config(base.schedule.config))
    assert type(pipe).__name__ == base.family.pipeline
    assert getattr(pipe, base.family.network_folder) is base.network


@pytest.mark.parametrize("prefix", UNSUPPORTED)
def test_another_family_is_refused_by_its_name(prefix: str, tmp_path: Path) -> None:
    index = {"_class_name": f"{prefix}Pipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(BaseModelError) as error:
        family_of(tmp_path)
    assert UNSUPPORTED[prefix] in str(error.value)
    assert all(row.title in str(error.value) for row in FAMILIES.values())


@pytest.mark.parametrize(
    ("pipeline", "family"),
    [
        ("StableDiffusionPipeline", "sd"),
        ("StableDiffusionImg2ImgPipeline", "sd"),
        ("StableDiffusionInstructPix2PixPipeline", "sd"),
        ("", "sd"),
    ],
)
def test_a_folder_is_known_by_its_pipeline(pipeline: str, family: str, tmp_path: Path) -> None:
    index = {"_class_name": pipeline}
    (tmp_path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    assert family_of(tmp_path) is FAMILIES[family]


@pytest.mark.parametrize("component", ["text_encoder_2", "transformer"])
def test_components_of_another_family_are_refused(component: str, tmp_path: Path) -> None:
    (tmp_path / component).mkdir()
    with pytest.raises(BaseModelError, match=f"has a {component}"):
        family_of(tmp_path)


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


@pytest.mark.parametrize("part", ["text_encoder_2", "transformer"])
def test_components_of_another_family_are_refused_where_no_class_is_named(
    part: str, broken: Path
) -> None:
    (broken / "model_index.json").unlink()
    (broken / part).mkdir()
    with pytest.raises(BaseModelError, match=f"has a {part} .*FLUX"):
        Base.load(broken)
