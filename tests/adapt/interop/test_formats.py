"""Formats of other tools: each way of writing holds the same change, and other files are
refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import places
import pytest
import torch
from foreign_files import MIXED, by_sides, kohya, load, random_changes, same, stock, words
from safetensors.torch import load_file, save_file

from latentdrift.adapt.adapters import checkpoint_reader
from latentdrift.adapt.interop import formats
from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods import lora, textual_inversion
from latentdrift.adapt.methods.lora import Lora
from latentdrift.errors import AdapterError, BaseModelError
from latentdrift.model.families.families import FAMILIES
from latentdrift.model.families.sd import TEXT_PREFIX as TEXT
from latentdrift.model.families.sd import UNET_PREFIX as UNET

REAL = places.SHARED / "data" / "foreign-adapters"


real = pytest.mark.skipif(
    not REAL.is_dir(), reason="other tools' files are not at ../shared/data/foreign-adapters"
)


BLOCK = UNET + "down_blocks.0.attentions.0"


def kohya_te1(changes: Lora, path: Path) -> None:
    kohya(changes, path)
    save_file(
        {key.replace("lora_te_", "lora_te1_"): tensor for key, tensor in load_file(path).items()},
        path,
    )


def peft(changes: Lora, path: Path) -> None:
    """The U-Net only, one alpha for all, which stands in a file of its own."""
    tensors = {}
    for name, pair in changes.items():
        stem = f"base_model.model.{name.removeprefix(UNET)}"
        tensors |= {f"{stem}.lora_A.weight": pair.a, f"{stem}.lora_B.weight": pair.b}
    save_file(tensors, path)
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": next(iter(changes.values())).alpha,
        "alpha_pattern": {},
    }
    path.with_name("adapter_config.json").write_text(json.dumps(config))


# Format -> how its files are written, and whether they hold alphas.
MADE: dict[str, tuple[Callable[[Lora, Path], None], bool]] = {
    "kohya": (kohya, True),
    "kohya, te1": (kohya_te1, True),
    "diffusers": (lora.write, True),
    "diffusers 0.20": (by_sides(".lora_linear_layer."), False),
    "diffusers 0.18": (by_sides(".lora."), False),
    "diffusers 0.12": (by_sides("_lora."), False),
}


@pytest.mark.parametrize("name", MADE)
def test_every_way_of_writing_a_lora_holds_the_same_change(
    name: str, tiny_base_folder: Path, tmp_path: Path
) -> None:
    write, has_alpha = MADE[name]
    modules = (
        MIXED if has_alpha else {module: (rank, float(rank)) for module, (rank, _) in MIXED.items()}
    )
    changes = random_changes(load(tiny_base_folder), modules)
    write(changes, tmp_path / "some.safetensors")
    found = load_adapter(
        tmp_path / "some.safetensors", base=str(tiny_base_folder), device="cpu", precision="fp32"
    )
    assert same(lora.collect(found.base), changes)
    assert found.info.to_dict()["method"] == "lora"
    assert name.split()[0].strip(",") in found.info.to_dict()["adopted"]["format"]


def test_peft_keeps_its_scale_beside_the_file(tiny_base_folder: Path, tmp_path: Path) -> None:
    modules = {name: (4, 12.0) for name in MIXED if name.startswith(UNET)}
    changes = random_changes(load(tiny_base_folder), modules)
    peft(changes, tmp_path / "adapter_model.safetensors")
    found = load_adapter(tmp_path, base=str(tiny_base_folder), device="cpu", precision="fp32")
    assert same(lora.collect(found.base), changes)
    for text in ("{", "[]", "null"):
        (tmp_path / "adapter_config.json").write_text(text)
        with pytest.raises(BaseModelError, match=r"adapter_config\.json is n.* fetch it again"):
            load_adapter(tmp_path, base=str(tiny_base_folder), device="cpu", precision="fp32")
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(
        AdapterError, match=r"which keeps the scale in adapter_config.json: put that file beside it"
    ):
        load_adapter(tmp_path, base=str(tiny_base_folder), device="cpu", precision="fp32")


def test_cloneofsimo_numbers_its_pairs(tiny_base_folder: Path, tmp_path: Path) -> None:
    """In the order of its time: self-attention, the gate, cross-attention; down, up; the text
    encoder's k, v, q, out."""
    base = load(tiny_base_folder)
    blocks = [f"{BLOCK}.transformer_blocks.0"]
    blocks += [f"{UNET}up_blocks.1.attentions.{i}.transformer_blocks.0" for i in (0, 1)]
    blocks += [f"{UNET}mid_block.attentions.0.transformer_blocks.0"]
    inner = [f"attn1.{n}" for n in ("to_q", "to_k", "to_v", "to_out.0")]
    for gate in (["ff.net.0.proj"], []):
        parts = [*inner, *gate, *(name.replace("attn1", "attn2") for name in inner)]
        unet = random_changes(
            base, {f"{block}.{part}": (2, 2.0) for block in blocks for part in parts}
        )
        text = random_changes(
            base,
            {
                f"{TEXT}encoder.layers.{i}.self_attn.{n}_proj": (3, 3.0)
                for i in (0, 1)
                for n in ("k", "v", "q", "out")
            },
        )
        tensors = {
            f"unet:{i}:{side}": m
            for i, p in enumerate(unet.values())
            for side, m in (("up", p.b), ("down", p.a))
        }
        tensors |= {
            f"text_encoder:{i}:{side}": m
            for i, p in enumerate(text.values())
            for side, m in (("up", p.b), ("down", p.a))
        }
        about = {"unet": "[]", "text_encoder": "[]", "<s1>": "<embed>", "<s2>": "<embed>"}
        save_file(
            {**tensors, "<s1>": words()[0], "<s2>": words()[1]},
            tmp_path / "simo.safetensors",
            metadata=about,
        )
        adopt(load(tiny_base_folder), tmp_path / "simo.safetensors", tmp_path / f"run-{len(gate)}")
        found = load_adapter(tmp_path / f"run-{len(gate)}", device="cpu", precision="fp32")
        assert same(lora.collect(found.base), unet | text)
        assert found.info.to_dict()["tokens"] == ["<s1>", "<s2>"]
        assert torch.equal(textual_inversion.collect(found.base)["<s2>"], words()[1:2])
        plain = load(tiny_base_folder).tokenizers["tokenizer"].get_vocab()
        assert found.without().base.tokenizers["tokenizer"].get_vocab() == plain

        torch.save(
            [m for p in unet.values() for m in (torch.nn.Parameter(p.b), p.a)], tmp_path / "simo.pt"
        )
        assert same(formats.read(checkpoint_reader.read(tmp_path / "simo.pt"), base).changes, unet)
        torch.save(
            [m for p in text.values() for m in (p.b, p.a)], tmp_path / "simo.text_encoder.pt"
        )
        assert same(
            formats.read(checkpoint_reader.read(tmp_path / "simo.text_encoder.pt"), base).changes,
            text,
        )


def a1111_pt(rows: torch.Tensor) -> dict[str, Any]:
    """The layout of AUTOMATIC1111."""
    about = {
        "name": "pleural effusion-50000",
        "step": 50000,
        "sd_checkpoint": None,
        "sd_checkpoint_name": None,
    }
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": rows}, **about}


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("learned_embeds.bin", lambda rows: {"<lesion>": rows}, "<lesion>"),
        ("lesion.pt", a1111_pt, "<pleural-effusion-50000>"),
        ("lesion.safetensors", lambda rows: {"emb_params": rows}, "<lesion>"),
        ("some.safetensors", lambda rows: {"lesion": rows}, "<lesion>"),
        ("tensor.pt", lambda rows: rows, "<tensor>"),
    ],
)
def test_every_way_of_writing_a_word_holds_the_same_vectors(
    name: str,
    content: Callable[[torch.Tensor], Any],
    word: str,
    tiny_base_folder: Path,
    tmp_path: Path,
) -> None:
    rows = words(64)  # the vectors of de Wilde et al. 2024: all but 11 tokens of a prompt
    (save_file if name.endswith("safetensors") else torch.save)(content(rows), tmp_path / name)
    info = adopt(load(tiny_base_folder), tmp_path / name, tmp_path / "run" / "adapter")
    assert info.tokens == [word]
    base = load_adapter(tmp_path / "run", device="cpu", precision="fp32").base
    assert torch.equal(textual_inversion.collect(base)[word], rows)
    assert (
        base.tokens([word]) != base.tokenizers["tokenizer"].plain.pad_token_id
    ).sum() == 64 + 1  # and one end, which is the padding, too

    pipe = stock(tiny_base_folder)
    pipe.load_textual_inversion({word: rows})
    torch.testing.assert_close(
        pipe.encode_prompt(word, "cpu", 1, False)[0],
        base.embed([word]).embeddings,
        rtol=0,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"<cat>": torch.zeros(8, 768)},
            r"is a diffusers textual inversion for prompts 768 wide, which fits Stable Diffusion 1",
        ),
        (
            {"emb_params": torch.zeros(64, 1024)},
            r"A1111 textual inversion for prompts 1024 wide, which fits Stable Diffusion 2",
        ),
        (
            {"clip_g": torch.zeros(8, 1280), "clip_l": torch.zeros(8, 768)},
            r"is a textual inversion for SDXL; latentdrift reads",
        ),
        (
            {"clip_l": torch.zeros(2, 768)},
            r"pivotal tuning.s textual inversion for prompts 768 wide",
        ),
        ({"lora_unet_x.hada_w1_a": torch.zeros(4, 4)}, r"is a LoHa or LoKr"),
        (
            {"model.diffusion_model.out.weight": torch.zeros(4, 4)},
            r"is a whole model; latentdrift reads cloneofsimo LoRA, kohya",
        ),
        (
            {"linear.weight": torch.zeros(4, 4)},
            r"is not an adapter that latentdrift knows \(it holds linear.weight\)",
        ),
        (
            {
                f"lora_unet_a_attn2_to_k.lora_{side}.weight": torch.zeros(4, 768)
                for side in ("down", "up")
            },
            (
                r"a kohya LoRA for prompts 768 wide, which fits Stable Diffusion 1.x; base "
                r"'.*' has prompts 32 wide"
            ),
        ),
        (
            {
                "unet.up.to_q.lora_A.weight": torch.zeros(4, 8),
                "unet.up.to_q.lora_B.weight": torch.zeros(8, 4),
            },
            r"does not fit base '.*': it changes unet.up.to_q, which this base does not have",
        ),
        (
            {"unet.up.to_q.lora_A.weight": torch.zeros(4, 8)},
            r"lacks unet.up.to_q.lora_B.weight, the other half of a change",
        ),
        (
            {f"{BLOCK}.proj_in.lora_{side}.weight": torch.zeros(4, 4, 1, 1) for side in "AB"},
            (
                r"its matrices for unet.*proj_in are \(4, 4, 1, 1\) and \(4, 4, 1, 1\), and "
                r"\(32, 4, 1, 1\) and \(4, 32, 1, 1\) fit"
            ),
        ),
    ],
)
def test_a_file_for_something_else_is_refused_with_what_it_is(
    tensors: dict[str, torch.Tensor], message: str, tiny_base_folder: Path, tmp_path: Path
) -> None:
    save_file(tensors, tmp_path / "some.safetensors")
    with pytest.raises(AdapterError, match=message):
        load_adapter(
            tmp_path / "some.safetensors",
            base=str(tiny_base_folder),
            device="cpu",
            precision="fp32",
        )


def test_clip_l_alone_is_a_word_of_the_bases_own_width(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    save_file({"clip_l": words(2)}, tmp_path / "pivot.safetensors")
    info = adopt(load(tiny_base_folder), tmp_path / "pivot.safetensors", tmp_path / "run")
    assert info.method == "textual-inversion" and info.tokens == ["<pivot>"]
    assert torch.equal(load_file(tmp_path / "run" / textual_inversion.FILE)["<pivot>"], words(2))


def test_vectors_in_a_parameter_dict_are_read(tiny_base_folder: Path, tmp_path: Path) -> None:
    """AUTOMATIC1111's own layout, whose pickle names a class of torch beside tensors."""
    held = {
        "string_to_token": {"*": 265},
        "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(words())}),
    }
    torch.save({**held, "name": "lesion", "step": 7, "sd_checkpoint": None}, tmp_path / "any.pt")
    info = adopt(load(tiny_base_folder), tmp_path / "any.pt", tmp_path / "run")
    assert info.adopted and info.adopted.format == "A1111 textual inversion"
    assert info.tokens == ["<lesion>"]
    assert torch.equal(load_file(tmp_path / "run" / textual_inversion.FILE)["<lesion>"], words())


def stable_diffusion(width: int) -> Any:
    """The shapes of Stable Diffusion 1.x (768) or 2.x (1024), without numbers."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    layers = {768: 12, 1024: 23}[width]
    heads = {768: 8, 1024: [5, 10, 20, 20]}[width]
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64,
            cross_attention_dim=width,
            attention_head_dim=heads,
            use_linear_projection=width == 1024,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=width,
                intermediate_size=4 * width,
                num_hidden_layers=layers,
                num_attention_heads=width // 64,
            )
        )
    return SimpleNamespace(
        network=unet,
        text_encoders={"text_encoder": text},
        token_limit=75,  # 77 with the first and the last
        name="sd",
        family=FAMILIES["sd"],
    )


@real
@pytest.mark.parametrize(
    ("file", "kind", "width", "changes", "found"),
    [
        ("lora_disney.safetensors", "cloneofsimo LoRA", 768, 144 + 48, ["<s1>", "<s2>"]),
        ("lora_pop.pt", "cloneofsimo LoRA", 1024, 128, []),
        ("learned_embeds.bin", "diffusers textual inversion", 768, 0, ["<styled-image>"]),
        ("lora_kiriko2.ti.pt", "diffusers textual inversion", 768, 0, ["<krk>"]),
    ],
)
def test_files_of_other_tools_fit_the_shapes_of_stable_diffusion(
    file: str, kind: str, width: int, changes: int, found: list[str], tiny_base_folder: Path
) -> None:
    opened = checkpoint_reader.read(REAL / file)
    assert formats.recognise(opened) == kind
    read = formats.read(opened, stable_diffusion(width))  # type: ignore[arg-type]
    assert (len(read.changes), list(read.words)) == (changes, found)
    with pytest.raises(
        AdapterError,
        match=(
            rf"{kind} for prompts {width} wide, which fits Stable Diffusion [12].x; base "
            rf"'.*' .* 32"
        ),
    ):
        formats.read(opened, load(tiny_base_folder))
