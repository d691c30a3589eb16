"""Files of a base: found, complete, never pickled, and refused with a sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from latentdrift.errors import BaseModelError
from latentdrift.model.base import Base
from latentdrift.model.model_files import cards


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


@pytest.mark.parametrize("text", ["[]", "null", "3"])
def test_a_file_of_settings_that_is_no_table_is_refused(text: str, broken: Path) -> None:
    (broken / "scheduler" / "scheduler_config.json").write_text(text)
    with pytest.raises(
        BaseModelError, match=r"_config\.json is no table of names.* fetch it again"
    ):
        Base.load(broken)


def test_half_precision_files_are_found(broken: Path, base: Base) -> None:
    base_unet = broken / "unet" / "diffusion_pytorch_model.safetensors"
    base_unet.rename(base_unet.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert Base.load(broken).hash == base.hash


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


def test_cards_say_what_they_are() -> None:
    for card in cards().values():
        assert {"licence", "resolution", "prediction_type", "latent_channels"} <= set(card)
        assert ("folder" in card) != ("repository" in card)
