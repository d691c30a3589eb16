"""A second family of bases is one file and one row: everything else takes what differs from it.

`Toy` has a T5 text encoder, 6 latent channels, and folders with names of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from fits import short_fit
from safetensors.torch import load_file, save_file
from tiny import tiny_base, tiny_cohort
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5Config, T5EncoderModel

from latentdrift.adapt.interop.exports import export
from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.methods import lora, textual_inversion
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import BaseModelError, OptionError
from latentdrift.model import model_files
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.families.families import FAMILIES, family_of
from latentdrift.model.families.family import Components, Control, Family, LoraPart, Parts, TokenIds
from latentdrift.model.model import Model
from latentdrift.model.schedule import Schedule

CHANNELS = 6
WIDTH = 16  # numbers per token
LENGTH = 24  # tokens of a prompt, with the last one
KINDS = {
    "vae": diffusers.AutoencoderKL,
    "denoiser": diffusers.UNet2DConditionModel,
    "reader": T5EncoderModel,
}


class ToyPipeline(diffusers.DiffusionPipeline):
    """The stock pipeline of the family: its components alone."""

    def __init__(self, vae: Any, reader: Any, words: Any, denoiser: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(
            vae=vae, reader=reader, words=words, denoiser=denoiser, scheduler=scheduler
        )


@dataclass(frozen=True)
class Toy(Family):
    """A family whose latents need no scaling factor."""

    def read_schedule(self, folder: Path) -> Schedule:
        return Schedule.from_config(
            model_files.config(folder / "scheduler" / "scheduler_config.json")
        )

    def load(
        self,
        folder: Path,
        variants: Mapping[str, str | None],
        device: torch.device,
        dtype: torch.dtype,
    ) -> Components:
        parts = {name: self.load_component(folder, name, dtype).to(device) for name in KINDS}
        words = CLIPTokenizer.from_pretrained(folder / "words")
        reader = {"reader": parts["reader"]}
        return Components(parts["vae"], parts["denoiser"], reader, {"words": words})

    def load_component(self, folder: Path, component: str, dtype: torch.dtype) -> Any:
        part = KINDS[component].from_pretrained(folder / component, torch_dtype=dtype)
        return part.requires_grad_(False).eval()

    def stock_pipeline(self, parts: Parts, scheduler: Any) -> Any:
        return ToyPipeline(
            parts.vae,
            parts.text_encoders["reader"],
            parts.tokenizers["words"],
            parts.network,
            scheduler,
        )

    def latent_channels(self, parts: Parts) -> int:
        return CHANNELS

    def factor(self, parts: Parts) -> int:
        return 4

    def latent_multiple(self, parts: Parts) -> int:
        return 2

    def trained_size(self, parts: Parts) -> int:
        return 8

    def moments(self, parts: Parts, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior = parts.vae.encode(pixels).latent_dist
        return posterior.mean.float(), posterior.std.float()

    def decode(self, parts: Parts, x0: Tensor) -> Tensor:
        return parts.vae.decode(x0).sample.float().clamp(-1, 1)

    def source(self, parts: Parts, x0: Tensor) -> Tensor:
        return x0

    def feature_layers(self, parts: Parts) -> list[nn.Module]:
        return list(parts.vae.encoder.down_blocks)

    def token_limit(self, parts: Parts) -> int:
        return LENGTH - 2

    def count(self, parts: Parts, prompt: str) -> int:
        return len(parts.tokenizers["words"](prompt).input_ids) - 2

    def dropped(self, parts: Parts, prompt: str) -> str:
        return prompt

    def tokenize(self, parts: Parts, prompts: Sequence[str]) -> TokenIds:
        read = parts.tokenizers["words"](
            list(prompts), padding="max_length", max_length=LENGTH, return_tensors="pt"
        )
        return (read.input_ids,)

    def encode(self, parts: Parts, tokens: TokenIds) -> Conditioning:
        return Conditioning(parts.text_encoders["reader"](tokens[0]).last_hidden_state)

    def text_width(self, parts: Parts) -> int:
        return WIDTH

    def text_values(self, parts: Parts) -> int:
        return LENGTH * WIDTH

    def network_width(self, parts: Parts) -> int:
        return 32

    def reads_source(self, parts: Parts) -> bool:
        return False

    def widen(self, parts: Parts) -> None:
        raise NotImplementedError

    def numbers_width(self, parts: Parts) -> int:
        return 0

    def add_numbers(self, parts: Parts, width: int) -> None:
        raise NotImplementedError

    def predict(
        self,
        parts: Parts,
        controls: Sequence[Control],
        xt: Tensor,
        t: Tensor,
        conditioning: Conditioning,
    ) -> Tensor:
        return parts.network(xt, t, conditioning.embeddings, return_dict=False)[0]

    def new_controlnet(self, parts: Parts, widths: Sequence[int]) -> Any:
        raise NotImplementedError

    def load_controlnet(self, folder: Path, dtype: torch.dtype) -> Any:
        raise NotImplementedError


TOY = Toy(
    name="toy",
    title="Toy",
    pipeline="ToyPipeline",
    pipeline_prefix="Toy",
    network_folder="denoiser",
    weights={
        "vae": "diffusion_pytorch_model",
        "reader": "model",
        "denoiser": "diffusion_pytorch_model",
    },
    classes={"reader": ("architectures", ("T5EncoderModel",))},
    tokenizer_folders=("words",),
    lora_targets={"attention": ("to_q", "to_v"), "all": ("to_q", "to_v")},
    lora_text_targets=("q", "v"),
    lora_parts=(
        LoraPart("denoiser", "denoiser.", kohya="lora_denoiser"),
        LoraPart("reader", "reader.", kohya="lora_t5"),
    ),
    attention={"attn1": False, "attn2": True},
    word_encoders={"reader": "words"},
    text_widths={WIDTH: "Toy 1"},
    reference_width=64,
    stock_code={"lora": 'pipe = ToyPipeline.from_pretrained("{base}")'},
    unsupported={"controlnet": "it is too small", "cloneofsimo LoRA": "its modules have no order"},
)


@pytest.fixture(scope="module", autouse=True)
def toy_row() -> Iterator[None]:
    """The family as one more row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "toy", TOY)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of the family with random weights."""
    folder = tmp_path_factory.mktemp("base") / "toy"
    shutil.copytree(tiny_base(folder.with_name("sd")) / "tokenizer", folder / "words")
    shutil.copytree(folder.with_name("sd") / "scheduler", folder / "scheduler")
    vocabulary = len(json.loads((folder / "words" / "vocab.json").read_text()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = {
            "vae": diffusers.AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 3,
                up_block_types=("UpDecoderBlock2D",) * 3,
                block_out_channels=(8, 8, 16),
                latent_channels=CHANNELS,
                norm_num_groups=4,
            ),
            "denoiser": diffusers.UNet2DConditionModel(
                sample_size=8,
                in_channels=CHANNELS,
                out_channels=CHANNELS,
                block_out_channels=(32, 32),
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                layers_per_block=1,
                cross_attention_dim=WIDTH,
                attention_head_dim=4,
                norm_num_groups=8,
            ),
            "reader": T5EncoderModel(
                T5Config(
                    vocab_size=vocabulary,
                    d_model=WIDTH,
                    d_kv=8,
                    d_ff=32,
                    num_layers=1,
                    num_heads=2,
                )
            ),
        }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "ToyPipeline"}))
    return folder


@pytest.fixture(scope="module")
def runs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Method -> the run of a fit of one step."""
    place = tmp_path_factory.mktemp("runs")
    cohort = Cohort.load(tiny_cohort(place / "cohort"))
    made = {}
    for method in ("lora", "textual-inversion", "full"):
        made[method] = place / method
        text = {"train_text_encoder": True} if method == "lora" else {}
        short_fit(folder, cohort, made[method], method=method, steps=1, **text)
    return made


def loaded(run: Path) -> Model:
    return Model.load(run, device="cpu", precision="fp32")


def adopted_lora(folder: Path, file: Path, out: Path) -> dict[str, Tensor]:
    """The matrices of another tool's file, brought in for the base."""
    adopt(Base.load(folder, device="cpu", precision="fp32"), file, out)
    return load_file(out / lora.FILE)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_folder_is_of_the_new_family(folder: Path) -> None:
    assert family_of(folder) is TOY
    base = Base.load(folder, device="cpu", precision="fp32")
    assert (base.latent_channels, base.resolution) == (CHANNELS, 32)


@pytest.mark.parametrize("method", ["lora", "textual-inversion", "full"])
def test_an_adapter_loads_and_draws(method: str, runs: dict[str, Path]) -> None:
    model = loaded(runs[method])
    assert model.base.family is TOY
    word = f" {model.info.tokens[0]}" if model.info.tokens else ""
    images = model.generate(f"a brain mri{word}", n=1, steps=2, guidance=1.0, progress=False)
    assert len(images) == 1


def test_files_stand_where_the_family_puts_them(runs: dict[str, Path]) -> None:
    names = set(load_file(runs["lora"] / "adapter" / lora.FILE))
    assert {name.split(".")[0] for name in names} == {"denoiser", "reader"}
    rows = load_file(runs["textual-inversion"] / "adapter" / textual_inversion.FILE)
    assert {tensor.shape[1] for tensor in rows.values()} == {WIDTH}
    assert (runs["full"] / "adapter" / TOY.network_file).is_file()


def test_adapter_json_and_the_card_name_the_family(runs: dict[str, Path]) -> None:
    for run in runs.values():
        info = json.loads((run / "adapter" / "adapter.json").read_text())
        assert info["base"]["family"] == "toy" and info["base"]["latent_channels"] == CHANNELS
    assert 'ToyPipeline.from_pretrained("toy")' in (runs["lora"] / "adapter/README.md").read_text()
    assert "stock diffusers" not in (runs["full"] / "adapter/README.md").read_text()


@pytest.mark.parametrize("tool", ["diffusers", "kohya"])
def test_an_exported_lora_comes_back(
    tool: str, folder: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    export(runs["lora"], tool, tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*.safetensors")
    if tool == "kohya":
        assert {name.split("_")[1] for name in load_file(file)} == {"denoiser", "t5"}
    own = load_file(runs["lora"] / "adapter" / lora.FILE)
    assert same(adopted_lora(folder, file, tmp_path / "adopted"), own)


def test_an_exported_network_is_a_base_of_the_family(runs: dict[str, Path], tmp_path: Path) -> None:
    export(runs["full"], "diffusers", tmp_path / "out")
    base = Base.load(tmp_path / "out", device="cpu", precision="fp32")
    assert base.family is TOY
    own = load_file(runs["full"] / "adapter" / TOY.network_file)
    assert same(base.network.state_dict(), own)


def test_what_the_family_cannot_do_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "numbered.safetensors"
    pairs = {f"unet:0:{side}": torch.zeros(4, 4) for side in ("up", "down")}
    save_file(pairs, file)
    with pytest.raises(OptionError, match="its modules have no order"):
        adopted_lora(folder, file, tmp_path / "adopted")


def test_another_component_class_is_refused_with_the_names_of_the_family(
    folder: Path, tmp_path: Path
) -> None:
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "reader" / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(BaseModelError, match="T5EncoderModel: choose a base of Toy shape"):
        Base.load(broken, device="cpu")
    shutil.rmtree(broken / "words")
    with pytest.raises(BaseModelError, match="Toy folder holds denoiser, reader, scheduler, vae"):
        Base.load(broken, device="cpu")
