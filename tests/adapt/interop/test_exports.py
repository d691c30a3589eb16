"""Adapters of other tools in ours and ours in theirs: the same tensors there and back, the same
pictures in stock pipelines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_files import MIXED, load, random_changes, same, stock, words
from safetensors.torch import save_file

from latentdrift.adapt.adapters import checkpoint_reader
from latentdrift.adapt.adapters.adapter import write_adapter
from latentdrift.adapt.interop import formats
from latentdrift.adapt.interop.exports import EXPORTS, export
from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.cli import main
from latentdrift.config import FitOptions
from latentdrift.errors import AdapterError, OptionError
from latentdrift.model.adapter_info import AdapterFile, AdapterInfo
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.families import sd
from latentdrift.model.families.sd import TEXT_PREFIX as TEXT
from latentdrift.model.families.sd import UNET_PREFIX as UNET
from latentdrift.sample.generate import SamplingOptions, generate
from latentdrift.seeds import generator

BLOCK = UNET + "down_blocks.0.attentions.0"
EVEN = {
    f"{BLOCK}.transformer_blocks.0.{attn}.{part}": (4, 4.0)
    for attn in ("attn1", "attn2")
    for part in sd.ATTENTION
}
PROMPT = "a brain mri"


def drawn(base: Base, prompt: str = PROMPT) -> np.ndarray:
    """Our sampler's picture of index 0, seed 5."""
    return next(
        picture
        for _, picture in generate(
            base, Drift(), {0: prompt}, SamplingOptions(seed=5, steps=3, guidance=2.0)
        )
    )


def drawn_by(pipe: Any, prompt: str = PROMPT) -> np.ndarray:
    """A stock pipeline's picture from the same noise."""
    latents = torch.randn((1, 4, 8, 8), generator=generator(5, "image", 0))
    return (
        pipe(
            prompt, latents=latents, num_inference_steps=3, guidance_scale=2.0, output_type="np"
        ).images[0]
        * 2
        - 1
    )


# --- refusals -------------------------------------------------------------------------------------


def test_a_place_of_the_base_is_for_whole_models(
    adopted: dict[str, Path], tiny_base_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="`base` says where a whole model's base lies"):
        export(adopted["word"], "diffusers", tmp_path / "out", base=str(tiny_base_folder))


# --- export ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "modules"), [("mixed", MIXED), ("even", EVEN)])
@pytest.mark.parametrize("to", EXPORTS)
def test_a_lora_there_and_back_is_the_same(
    to: str,
    name: str,
    modules: Any,
    adopted: dict[str, Path],
    tiny_base_folder: Path,
    tmp_path: Path,
) -> None:
    files = export(adopted[name], to, tmp_path / "out")
    base = load(tiny_base_folder)
    assert same(
        formats.read(checkpoint_reader.read(tmp_path / "out" / files[0]), base).changes,
        random_changes(base, modules),
    )


# from kohya's names diffusers 0.42 takes several alphas or ranks wrongly, and no text encoder's
# part without out_proj
@pytest.mark.parametrize(
    ("to", "name"), [("diffusers", "mixed"), ("diffusers", "even"), ("kohya", "even")]
)
def test_a_lora_draws_the_same_in_stock_diffusers(
    to: str, name: str, adopted: dict[str, Path], tiny_base_folder: Path, tmp_path: Path
) -> None:
    files = export(adopted[name], to, tmp_path / "out")
    pipe = stock(tiny_base_folder)
    base = load(tiny_base_folder)
    pipe.load_lora_weights(tmp_path / "out", weight_name=files[0])
    ours = drawn(load_adapter(adopted[name], device="cpu", precision="fp32").base)
    np.testing.assert_allclose(drawn_by(pipe), ours, atol=2e-5)
    assert np.abs(ours - drawn(base)).max() > 0.01


@pytest.mark.parametrize("to", ["diffusers", "a1111"])
def test_a_word_there_and_back_is_the_same_and_draws_the_same_in_stock_diffusers(
    to: str, adopted: dict[str, Path], tiny_base_folder: Path, tmp_path: Path
) -> None:
    files = [
        name
        for name in export(adopted["word"], to, tmp_path / "out")
        if Path(name).suffix in (".safetensors", ".pt")
    ]
    ours = drawn(
        load_adapter(adopted["word"], device="cpu", precision="fp32").base, "a <lesion> brain"
    )
    for name in files:
        (found,) = formats.read(
            checkpoint_reader.read(tmp_path / "out" / name), load(tiny_base_folder)
        ).words.items()
        assert found[0] == "<lesion>"
        assert torch.equal(found[1], words())
        pipe = stock(tiny_base_folder)
        pipe.load_textual_inversion(tmp_path / "out", weight_name=name, token="<lesion>")
        np.testing.assert_allclose(drawn_by(pipe, "a <lesion> brain"), ours, atol=2e-5)
    assert len(files) == (1 if to == "diffusers" else 2)


@pytest.fixture
def whole(tiny_base_folder: Path, tmp_path: Path) -> Path:
    """An adapter of method full: another U-Net, and drift."""
    base = load(tiny_base_folder)
    with torch.no_grad():
        base.network.conv_in.weight += 0.1
    _, info = adopted_facts(tiny_base_folder, tmp_path)
    drift = {**Drift.of((0.1,) * 4).to_dict(), "source": "given"}
    facts = {**info.to_dict(), "method": "full", "tokens": [], "drift": drift}
    described = AdapterFile.model_validate(facts)
    write_adapter(tmp_path / "full", base, METHODS["full"], described, None)
    return tmp_path / "full"


def adopted_facts(base_folder: Path, folder: Path) -> tuple[Path, AdapterInfo]:
    save_file({"<a>": words()}, folder / "a.safetensors")
    return folder, adopt(load(base_folder), folder / "a.safetensors", folder / "a")


def test_a_whole_model_is_exported_as_a_folder_with_its_drift(
    whole: Path, tiny_base_folder: Path, tmp_path: Path
) -> None:
    export(whole, "diffusers", tmp_path / "out")
    ours = load_adapter(whole, device="cpu", precision="fp32").base
    np.testing.assert_allclose(drawn_by(stock(tmp_path / "out")), drawn(ours), atol=2e-5)
    assert load(tmp_path / "out").schedule.prediction_type == "epsilon"
    assert json.loads((tmp_path / "out" / "drift.json").read_text())["train"] == [0.1] * 4
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "**other tools ignore it**" in readme
    assert "docs/export.md" in readme
    with pytest.raises(
        AdapterError,
        match=r"a1111 wants the whole model .* in a single file, .* take `to=diffusers`",
    ):
        export(whole, "a1111", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.fixture(scope="module")
def half(tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose text encoder is stored in float16, which transformers then computes in unless it
    is told otherwise."""
    from transformers import CLIPTextModel

    folder = shutil.copytree(tiny_base_folder, tmp_path_factory.mktemp("half") / "base")
    CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float16).save_pretrained(
        folder / "text_encoder"
    )
    return folder


@pytest.mark.parametrize("method", ["full", "instruct-pix2pix", "text encoder"])
def test_an_exported_folder_loads_and_draws_with_no_format_given(
    method: str, half: Path, tmp_path: Path
) -> None:
    import diffusers

    name, trains_text = ("full", True) if method == "text encoder" else (method, False)
    row = METHODS[name]
    options = FitOptions(cohort=tmp_path, out=tmp_path, method=name, train_text_encoder=trains_text)
    base, _ = row.prepare(load(half), options, {})
    _, info = adopted_facts(half, tmp_path)
    facts = {
        **info.to_dict(),
        "method": options.method,
        "tokens": [],
        "drift": {**Drift().to_dict(), "source": "none"},
    }
    write_adapter(tmp_path / "run", base, row, AdapterFile.model_validate(facts), None)
    export(tmp_path / "run", "diffusers", tmp_path / "out")
    kind = json.loads((tmp_path / "out" / "model_index.json").read_text())["_class_name"]
    pipe = getattr(diffusers, kind).from_pretrained(tmp_path / "out")
    pipe.set_progress_bar_config(disable=True)
    picture = {"image": torch.zeros(1, 3, 32, 32)} if method == "instruct-pix2pix" else {}
    assert np.isfinite(
        pipe("a brain", num_inference_steps=1, output_type="np", **picture).images
    ).all()
    assert {part.dtype for part in (pipe.unet, pipe.vae, pipe.text_encoder)} == {torch.float32}


def test_a_schedule_that_was_changed_travels_with_the_model(whole: Path, tmp_path: Path) -> None:
    info = json.loads((whole / "adapter.json").read_text())
    info["schedule"] = {"prediction_type": "v_prediction", "zero_snr": True}
    (whole / "adapter.json").write_text(json.dumps(info))
    export(whole, "diffusers", tmp_path / "out")
    schedule = load(tmp_path / "out").schedule
    assert schedule.prediction_type == "v_prediction"
    assert schedule.zero_snr
    assert stock(tmp_path / "out").scheduler.config.timestep_spacing == "trailing"


def test_words_beside_a_lora_are_exported_too(tiny_base_folder: Path, tmp_path: Path) -> None:
    base = load(tiny_base_folder)
    pair = random_changes(
        base,
        {
            f"{TEXT}encoder.layers.{i}.self_attn.{n}_proj": (1, 1.0)
            for i in (0, 1)
            for n in ("k", "v", "q", "out")
        },
    )
    tensors = {
        f"text_encoder:{i}:{side}": m
        for i, p in enumerate(pair.values())
        for side, m in (("up", p.b), ("down", p.a))
    }
    about = {"<s1>": "<embed>", "<s2>": "<embed>"}
    save_file(
        {**tensors, "<s1>": words()[0], "<s2>": words()[1]},
        tmp_path / "simo.safetensors",
        metadata=about,
    )
    adopt(base, tmp_path / "simo.safetensors", tmp_path / "run")
    export(tmp_path / "run", "diffusers", tmp_path / "out")
    pipe = stock(tiny_base_folder)
    pipe.load_lora_weights(tmp_path / "out", weight_name="pytorch_lora_weights.safetensors")
    for word in ("s1", "s2"):
        pipe.load_textual_inversion(tmp_path / "out", weight_name=f"{word}.safetensors")
    prompt = "a <s1> in the <s2>"
    ours = load_adapter(tmp_path / "run", device="cpu", precision="fp32").base
    torch.testing.assert_close(
        pipe.encode_prompt(prompt, "cpu", 1, False)[0],
        ours.embed([prompt]).embeddings,
        rtol=0,
        atol=1e-5,
    )


def test_an_export_says_what_it_cannot_do(adopted: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"unknown format 'comfy'; known: a1111, diffusers, kohya"
    ):
        export(adopted["even"], "comfy", tmp_path / "out")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match=r"is there and not empty"):
        export(adopted["even"], "kohya", tmp_path / "there")
    assert "It has no drift" in _exported_readme(adopted["even"], tmp_path / "plain")


def _exported_readme(path: Path, out: Path) -> str:
    export(path, "kohya", out)
    return (out / "README.md").read_text()


# --- the verbs ------------------------------------------------------------------------------------


def test_the_verbs(
    adopted: dict[str, Path],
    tiny_base_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Export, draw from the file as it is, adopt it, draw from that: the same pictures."""
    assert (
        main.main(
            [
                "export",
                str(adopted["word"]),
                "--to",
                "a1111",
                "--out",
                str(tmp_path / "a1111"),
                "--json",
            ]
        )
        == 0
    )
    capsys.readouterr()
    draw = [
        "--prompt",
        "a <lesion>",
        "--n",
        "2",
        "--steps",
        "2",
        "--precision",
        "fp32",
        "--device",
        "cpu",
        "--json",
    ]
    file = str(tmp_path / "a1111" / "lesion.safetensors")
    base = str(tiny_base_folder)
    assert (
        main.main(["generate", file, "--base", base, "--out", str(tmp_path / "direct"), *draw]) == 0
    )
    capsys.readouterr()
    pickled = str(tmp_path / "a1111" / "lesion.pt")
    assert (
        main.main(["generate", pickled, "--base", base, "--out", str(tmp_path / "no"), *draw]) == 1
    )
    assert "latentdrift adopt" in capsys.readouterr().err
    assert (
        main.main(
            [
                "adopt",
                pickled,
                "--base",
                base,
                "--out",
                str(tmp_path / "run"),
                "--device",
                "cpu",
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["words"] == ["<lesion>"]
    assert (
        main.main(["generate", str(tmp_path / "run"), "--out", str(tmp_path / "adopted"), *draw])
        == 0
    )
    pictures = [
        sorted((tmp_path / name / "images").glob("*.png")) for name in ("direct", "adopted")
    ]
    assert len(pictures[0]) == 2
    assert [path.read_bytes() for path in pictures[0]] == [
        path.read_bytes() for path in pictures[1]
    ]
