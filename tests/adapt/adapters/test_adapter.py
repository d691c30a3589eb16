"""An adapter says what it is and what it fits, carries no patient, and goes nowhere it does not
belong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fits import small
from tiny import tiny_base

from latentdrift.adapt.adapters import adapter_files
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods import textual_inversion
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.adapt.training.train import fit
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import AdapterError
from latentdrift.model.base import Base
from latentdrift.model.model import Model

rows = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def runs(
    tiny_base_folder: Path, tiny_cohort_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A finished run of each method."""
    root = tmp_path_factory.mktemp("runs")
    cohort = Cohort.load(tiny_cohort_folder)
    for name in METHODS:
        options = FitOptions(
            cohort=cohort.folder,
            out=root / name,
            base=str(tiny_base_folder),
            **small(name, steps=3, drift="0.1"),
        )
        fit(load(tiny_base_folder), cohort, options, root / name, quiet=True)
    return {name: root / name for name in METHODS}


@pytest.fixture
def copied(runs: dict[str, Path], tmp_path: Path) -> Path:
    """The LoRA adapter, to be damaged."""
    return Path(shutil.copytree(runs["lora"] / "adapter", tmp_path / "adapter"))


def load(folder: Path) -> Base:
    return Base.load(folder, device="cpu", precision="fp32")


def loaded(path: Path, **more: Any) -> Model:
    return load_adapter(path, device="cpu", precision="fp32", **more)


def predict(base: Base, prompt: str) -> torch.Tensor:
    xt = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    shown = [torch.full_like(xt, 0.3)] * base.sees_source
    shown += [torch.linspace(0, 1, 32).expand(1, 3, 32, 32) for _ in base.controls]
    with torch.no_grad():
        return base.denoiser()(xt, 500, base.with_images(base.embed([prompt]), shown))


@rows
def test_a_run_and_its_adapter_folder_load_alike(
    name: str, runs: dict[str, Path], tiny_base_folder: Path
) -> None:
    one = loaded(runs[name])
    other = loaded(runs[name] / "adapter")
    prompt = f"a {one.info.to_dict()['describe']} of a male"
    assert torch.equal(predict(one.base, prompt), predict(other.base, prompt))
    assert one.drift.train == one.drift.infer == (0.1,) * 4
    assert one.drift.mode == "both"


@rows
def test_without_the_adapter_the_base_is_as_it_was(
    name: str, runs: dict[str, Path], tiny_base_folder: Path
) -> None:
    plain = predict(load(tiny_base_folder), "a brain MRI")
    adapted = loaded(runs[name])
    assert torch.equal(predict(adapted.base, "a brain MRI"), plain) == (name == "textual-inversion")
    assert torch.equal(predict(adapted.without().base, "a brain MRI"), plain)


@rows
def test_adapter_json_says_what_it_takes_to_use_it(
    name: str, runs: dict[str, Path], tiny_base_folder: Path
) -> None:
    info = adapter_files.read(runs[name]).to_dict()
    base = load(tiny_base_folder)
    word = METHODS[name].learns_word
    row = METHODS[name]
    assert info["method"] == name
    assert info["base"]["hash"] == base.hash
    assert info["describe"] == row.called.format(
        token="<cohort>", rare_word="sks", images="brain MRI"
    )
    assert info["tokens"] == (["<cohort>"] if word else [])
    assert info["attributes"]["diagnosis"]["vocabulary"] == ["dementia", "no dementia"]
    assert info["attributes"]["age"] == {
        "type": "number",
        "unit": "years",
        "low": 60.0,
        "high": 70.0,
    }
    assert info["resolution"] == 32
    assert info["colour"] is False
    assert info["intensity"]["window_high"] == {"low": 255.0, "median": 255.0, "high": 255.0}
    assert info["cohort"]["images"] == {"train": 8, "validation": 2, "test": 2}
    assert info["cohort"]["patients"] == 6
    assert info["prompt"]["templates"] == ["a {image}[ of a {who}][ with {what}]"]
    assert info["steps"] == 3
    assert info["versions"]["torch"]
    files = {"adapter.json", "README.md", "start.safetensors", (row.file or "unet").split("/")[0]}
    files |= {textual_inversion.FILE} if word else set()
    assert {path.name for path in (runs[name] / "adapter").iterdir()} == files


def test_no_patient_stands_in_it(runs: dict[str, Path], tiny_cohort_folder: Path) -> None:
    text = (runs["lora"] / "adapter" / "adapter.json").read_text()
    for row in Cohort.load(tiny_cohort_folder).rows().to_dict("records"):
        for field in ("patient", "file_name", "sha256"):
            assert row[field] not in text


def test_it_finds_its_base_elsewhere(
    runs: dict[str, Path], tiny_base_folder: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(tiny_base_folder, tmp_path / "moved")
    assert loaded(runs["lora"], base=str(moved)).base.name == str(moved)


@rows
def test_another_base_is_refused(name: str, runs: dict[str, Path], tmp_path: Path) -> None:
    other = tiny_base(tmp_path / "other", seed=1)
    with pytest.raises(
        AdapterError,
        match=r"was made for base '.*tiny' \(hash \w{12}\) and does not fit '.*other' \(hash",
    ):
        loaded(runs[name], base=str(other))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("file gone", "has lost its pytorch_lora_weights.safetensors; copy it again"),
        ("file cut", r"pytorch_lora_weights.safetensors is damaged"),
        ("json cut", r"adapter.json is damaged .* copy the adapter again"),
        (
            "json empty",
            r"adapter.json is no adapter of latentdrift \(entry `format`: field required\)",
        ),
        ("json gone", "is not an adapter: it has no adapter.json; give the folder that `fit` made"),
        ("format", "has format 99; this latentdrift reads 1: update latentdrift"),
        ("method", "is of method 'magic'; this latentdrift knows full, lora, textual-inversion"),
        ("drift", "the adapter has drift of form 'eq4'"),
    ],
)
def test_damage_is_said(damage: str, message: str, copied: Path) -> None:
    weights = copied / "pytorch_lora_weights.safetensors"
    described = copied / "adapter.json"
    info = json.loads(described.read_text())
    if damage == "file gone":
        weights.unlink()
    elif damage == "file cut":
        weights.write_bytes(weights.read_bytes()[:200])
    elif damage == "json cut":
        described.write_text(described.read_text()[:100])
    elif damage == "json empty":
        described.write_text("{}")
    elif damage == "json gone":
        described.unlink()
    else:
        change = {"format": 99, "method": "magic", "drift": {**info["drift"], "form": "eq4"}}
        described.write_text(json.dumps(info | {damage: change[damage]}))
    with pytest.raises(AdapterError, match=message):
        loaded(copied)


@pytest.mark.parametrize("name", ["learned_embeds.bin", "embedding.pt"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_pickle_is_never_opened(name: str, as_folder: bool, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (pytest.fail, ("the pickle was opened",))

    torch.save(Trap(), tmp_path / name)
    with pytest.raises(
        AdapterError,
        match="is a pickle, which can run code when it is opened; latentdrift loads safetensors",
    ):
        loaded(tmp_path if as_folder else tmp_path / name)


def test_an_unfinished_run_says_how_to_finish(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.copy(runs["lora"] / "fit.json", tmp_path)
    with pytest.raises(
        AdapterError, match="is not finished and has no adapter yet; give its `fit` command again"
    ):
        loaded(tmp_path)
