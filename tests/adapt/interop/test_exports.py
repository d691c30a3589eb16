"""Adapters of other tools in ours and ours in theirs: the same tensors there and back, the same
pictures in stock pipelines."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import places
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import tiny_base

from latentdrift.adapt.adapters import checkpoint_reader
from latentdrift.adapt.adapters.adapter import write_adapter
from latentdrift.adapt.interop import formats, lora_keys
from latentdrift.adapt.interop.exports import EXPORTS, export
from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods import lora, textual_inversion
from latentdrift.adapt.methods.lora import Lora, Pair
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.cli import main
from latentdrift.config import FitOptions
from latentdrift.errors import AdapterError, BaseModelError, OptionError
from latentdrift.model.adapter_info import AdapterFile, AdapterInfo
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.families import sd
from latentdrift.model.families.families import FAMILIES
from latentdrift.model.families.sd import TEXT_PREFIX as TEXT
from latentdrift.model.families.sd import UNET_PREFIX as UNET
from latentdrift.sample.generate import SamplingOptions, generate
from latentdrift.seeds import generator

REAL = places.SHARED / "data" / "foreign-adapters"
real = pytest.mark.skipif(
    not REAL.is_dir(), reason="other tools' files are not at ../shared/data/foreign-adapters"
)
BLOCK = UNET + "down_blocks.0.attentions.0"
MIXED = {  # module -> rank, alpha: nothing alike, a convolution, the text encoder
    f"{BLOCK}.transformer_blocks.0.attn1.to_q": (4, 4.0),
    f"{BLOCK}.transformer_blocks.0.attn2.to_k": (2, 1.0),
    f"{BLOCK}.transformer_blocks.0.attn2.to_out.0": (4, 8.0),
    f"{BLOCK}.proj_in": (3, 1.5),
    f"{TEXT}encoder.layers.1.self_attn.q_proj": (2, 0.5),
    f"{TEXT}encoder.layers.0.mlp.fc1": (2, 2.0),
}
EVEN = {
    f"{BLOCK}.transformer_blocks.0.{attn}.{part}": (4, 4.0)
    for attn in ("attn1", "attn2")
    for part in sd.ATTENTION
}
PROMPT = "a brain mri"


def load(folder: Path) -> Base:
    return Base.load(folder, device="cpu", precision="fp32")


def random_changes(base: Base, modules: dict[str, tuple[int, float]]) -> Lora:
    """Matrices large enough to be seen."""
    source = torch.Generator().manual_seed(3)
    found = {}
    for name, (rank, alpha) in modules.items():
        out, into, *window = lora.places(base)[name].weight.shape
        a = torch.randn((rank, into, *window), generator=source) * 0.3
        found[name] = Pair(
            a, torch.randn((out, rank, *[1 for _ in window]), generator=source) * 0.3, alpha
        )
    return found


def words(vectors: int = 3, width: int = 32) -> torch.Tensor:
    return torch.randn((vectors, width), generator=torch.Generator().manual_seed(4)) * 0.5


def same(one: Lora, other: Lora) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[k].a, other[k].a)
        and torch.equal(one[k].b, other[k].b)
        and one[k].alpha == other[k].alpha
        for k in one
    )


def drawn(base: Base, prompt: str = PROMPT) -> np.ndarray:
    """Our sampler's picture of index 0, seed 5."""
    return next(
        picture
        for _, picture in generate(
            base, Drift(), {0: prompt}, SamplingOptions(seed=5, steps=3, guidance=2.0)
        )
    )


def stock(folder: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, feature_extractor=None
    )
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


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


@pytest.fixture(scope="module")
def adopted(tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Adapters of ours: a LoRA of mixed ranks and alphas, one as `fit` makes them, a word of three
    vectors."""
    root = tmp_path_factory.mktemp("adapters")
    for name, modules in {"mixed": MIXED, "even": EVEN}.items():
        lora.write(random_changes(load(tiny_base_folder), modules), root / f"{name}.safetensors")
    save_file({"<lesion>": words()}, root / "word.safetensors")
    for name in ("mixed", "even", "word"):
        adopt(load(tiny_base_folder), root / f"{name}.safetensors", root / name)
    return {name: root / name for name in ("mixed", "even", "word")}


# --- LoRA of other trainers: name of a format -> a file of these changes --------------------------


def kohya(changes: Lora, path: Path) -> None:
    tensors = {}
    for name, pair in changes.items():
        stem = lora_keys.kohya_name(name)
        tensors |= {
            f"{stem}.lora_down.weight": pair.a,
            f"{stem}.lora_up.weight": pair.b,
            f"{stem}.alpha": torch.tensor(pair.alpha),
        }
    save_file(tensors, path)


def kohya_te1(changes: Lora, path: Path) -> None:
    kohya(changes, path)
    save_file(
        {key.replace("lora_te_", "lora_te1_"): tensor for key, tensor in load_file(path).items()},
        path,
    )


def by_sides(between: str) -> Callable[[Lora, Path], None]:
    """As older diffusers had it; what alpha does is put into the matrices."""

    def write(changes: Lora, path: Path) -> None:
        tensors = {}
        for name, pair in changes.items():
            module = (
                name.removesuffix(".0")
                if between.startswith("_") and name.endswith("to_out.0")
                else name
            )
            tensors |= {
                f"{module}{between}down.weight": pair.a,
                f"{module}{between}up.weight": pair.b,
            }
        save_file(tensors, path)

    return write


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
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(
        AdapterError, match=r"its scale stands in adapter_config.json: put that file beside it"
    ):
        load_adapter(tmp_path, base=str(tiny_base_folder), device="cpu", precision="fp32")


def test_a_change_is_alpha_over_rank_b_a(tiny_base_folder: Path) -> None:
    base = load(tiny_base_folder)
    merged = load(tiny_base_folder)
    changes = random_changes(base, MIXED)
    lora.inject(base, changes)
    with torch.no_grad():
        for name, pair in changes.items():
            weight = lora.places(merged)[name].weight
            weight += (
                pair.alpha
                / pair.rank
                * (pair.b.flatten(1) @ pair.a.flatten(1)).reshape(weight.shape)
            )
    xt = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = (
            model.denoiser()(xt, 300, model.embed([PROMPT])) for model in (base, merged)
        )
        plain = load(tiny_base_folder)
        untouched = plain.denoiser()(xt, 300, plain.embed([PROMPT]))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert (ours - untouched).abs().max() > 0.01
    restored = lora.remove(base)
    with torch.no_grad():
        assert torch.equal(restored.denoiser()(xt, 300, restored.embed([PROMPT])), untouched)


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


# --- words ----------------------------------------------------------------------------------------


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


def test_a_word_can_be_renamed_and_is_never_too_long(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    save_file({"emb_params": words()}, tmp_path / "a.safetensors")
    assert adopt(
        load(tiny_base_folder), tmp_path / "a.safetensors", tmp_path / "run", "<mine>"
    ).tokens == ["<mine>"]
    save_file({"<a>": words(), "<b>": words()}, tmp_path / "two.safetensors")
    with pytest.raises(
        OptionError, match=r"`token` renames the one word of a file, and .* has 2: <a>, <b>"
    ):
        adopt(load(tiny_base_folder), tmp_path / "two.safetensors", tmp_path / "other", "<mine>")
    save_file({"emb_params": words(76)}, tmp_path / "long.safetensors")
    with pytest.raises(AdapterError, match=r"has 76 vectors, and a prompt has room for 75"):
        adopt(load(tiny_base_folder), tmp_path / "long.safetensors", tmp_path / "other")


# --- refusals -------------------------------------------------------------------------------------


class Trap:
    """Pickled, it leaves a file behind when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_that_would_run_code_is_refused_before_it_is_opened(
    protocol: int, tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "it-ran"
    torch.save({"<a>": words(), "x": Trap(mark)}, tmp_path / "trap.pt", pickle_protocol=protocol)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
        with pytest.raises(
            AdapterError,
            match=r"trap.pt is refused: it is a pickle that would have .* called when it is opened",
        ):
            adopt(load(tiny_base_folder), tmp_path / "trap.pt", tmp_path / "run")
    assert not mark.exists()
    assert not (tmp_path / "run").exists()
    torch.load(tmp_path / "trap.pt", weights_only=False)
    assert mark.exists()  # the trap is one


def test_other_pickles_and_files_are_not_opened(tiny_base_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Trap(tmp_path / "it-ran")))
    (tmp_path / "text.pt").write_text("an adapter, honestly")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    (tmp_path / "cut.safetensors").write_bytes((9999).to_bytes(8, "little") + b"{")
    base = load(tiny_base_folder)
    for name, message in {
        "bare.pt": "is a bare pickle",
        "text.pt": "is neither safetensors nor a file that torch.save wrote",
        "empty.safetensors": "is neither safetensors nor",
        "zip.pt": "cannot be read as tensors",
        "cut.safetensors": "is damaged",
        "nothing.pt": "there is no adapter file at",
    }.items():
        with pytest.raises(AdapterError, match=message):
            adopt(base, tmp_path / name, tmp_path / "run")
    assert not (tmp_path / "it-ran").exists()


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


def test_a_file_alone_asks_for_its_base(tmp_path: Path) -> None:
    save_file({"<cat>": torch.zeros(768)}, tmp_path / "cat.safetensors")
    with pytest.raises(
        AdapterError,
        match=r"is a diffusers textual inversion for prompts 768 .* give that one with `base`",
    ):
        load_adapter(tmp_path / "cat.safetensors")


def test_clip_l_alone_is_a_word_of_the_bases_own_width(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    save_file({"clip_l": words(2)}, tmp_path / "pivot.safetensors")
    info = adopt(load(tiny_base_folder), tmp_path / "pivot.safetensors", tmp_path / "run")
    assert info.method == "textual-inversion" and info.tokens == ["<pivot>"]
    assert torch.equal(load_file(tmp_path / "run" / textual_inversion.FILE)["<pivot>"], words(2))


@pytest.mark.parametrize("write", [kohya, lora.write], ids=["kohya", "diffusers"])
def test_a_lora_brings_the_words_in_its_file(
    write: Any, tiny_base_folder: Path, tmp_path: Path
) -> None:
    changes = random_changes(load(tiny_base_folder), MIXED)
    write(changes, tmp_path / "bundle.safetensors")
    with safe_open(tmp_path / "bundle.safetensors", "pt") as file:
        about = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    bundled = {**tensors, "bundle_emb.lesion.string_to_param.*": words()}
    save_file(bundled, tmp_path / "bundle.safetensors", metadata=about)
    info = adopt(load(tiny_base_folder), tmp_path / "bundle.safetensors", tmp_path / "run")
    assert info.method == "lora" and info.tokens == ["<lesion>"]
    assert same(lora.read(tmp_path / "run" / lora.FILE), changes)
    assert torch.equal(load_file(tmp_path / "run" / textual_inversion.FILE)["<lesion>"], words())


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


def test_ranks_may_differ_and_alphas_may_be_missing(tiny_base_folder: Path, tmp_path: Path) -> None:
    """Without an alpha it is each module's own rank, whatever the names; to the bit."""
    changes = random_changes(
        load(tiny_base_folder), {name: (rank, float(rank)) for name, (rank, _) in MIXED.items()}
    )
    kohya(changes, tmp_path / "k.safetensors")
    bare = {
        key: tensor
        for key, tensor in load_file(tmp_path / "k.safetensors").items()
        if not key.endswith(".alpha")
    }
    save_file(bare, tmp_path / "kohya.safetensors")
    by_sides(".lora.")(changes, tmp_path / "diffusers.safetensors")
    for name in ("kohya", "diffusers"):
        adopt(load(tiny_base_folder), tmp_path / f"{name}.safetensors", tmp_path / name)
        assert same(lora.read(tmp_path / name / lora.FILE), changes), name


def test_a_convolution_of_one_pixel_may_be_written_as_a_linear_layer(
    tiny_base_folder: Path, tmp_path: Path
) -> None:
    changes = random_changes(load(tiny_base_folder), {f"{BLOCK}.proj_in": (3, 1.5)})
    flat = {
        name: Pair(pair.a.flatten(1), pair.b.flatten(1), pair.alpha)
        for name, pair in changes.items()
    }
    kohya(flat, tmp_path / "flat.safetensors")
    adopt(load(tiny_base_folder), tmp_path / "flat.safetensors", tmp_path / "run")
    assert same(lora.read(tmp_path / "run" / lora.FILE), changes)


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = "\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"


@pytest.mark.parametrize(
    ("text", "what"),
    [(POINTER, "a Git LFS pointer .*git lfs pull"), (PAGE, "a web page .*download the file")],
)
def test_what_is_no_weights_is_said(
    text: str, what: str, adopted: dict[str, Path], tiny_base_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "some.safetensors").write_text(text)
    with pytest.raises(AdapterError, match=f"some.safetensors is {what}"):
        adopt(load(tiny_base_folder), tmp_path / "some.safetensors", tmp_path / "run")
    shutil.copytree(adopted["word"], tmp_path / "ours")
    (tmp_path / "ours" / textual_inversion.FILE).write_text(text)
    with pytest.raises(AdapterError, match=f"{textual_inversion.FILE} is {what}"):
        load_adapter(tmp_path / "ours", device="cpu", precision="fp32")
    shutil.copytree(tiny_base_folder, tmp_path / "base")
    (tmp_path / "base" / "unet" / "diffusion_pytorch_model.safetensors").write_text(text)
    with pytest.raises(BaseModelError, match=f"diffusion_pytorch_model.safetensors is {what}"):
        load(tmp_path / "base")


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


def test_an_adopted_adapter_belongs_to_its_base(adopted: dict[str, Path], tmp_path: Path) -> None:
    other = tiny_base(tmp_path / "other", seed=1)
    with pytest.raises(
        AdapterError, match=r"was made for base '.*tiny' \(hash \w{12}\) and does not fit '.*other'"
    ):
        load_adapter(adopted["even"], base=str(other), device="cpu", precision="fp32")


# --- real files


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
