"""Import of adapters: words get names, and files that are no weights are refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_files import MIXED, kohya, load, random_changes, same, words
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from latentdrift import config, service
from latentdrift.adapt.interop import importer
from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.loading import load_adapter
from latentdrift.adapt.methods import lora, textual_inversion
from latentdrift.errors import AdapterError, BaseModelError, OptionError


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


def test_a_file_without_words_has_none_to_rename(tiny_base_folder: Path, tmp_path: Path) -> None:
    kohya(random_changes(load(tiny_base_folder), MIXED), tmp_path / "lora.safetensors")
    with pytest.raises(OptionError, match=r"lora.safetensors has no word; leave it out$"):
        adopt(load(tiny_base_folder), tmp_path / "lora.safetensors", tmp_path / "run", "<foo>")


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


def test_adopt_and_export_say_what_is_finished(
    tiny_base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "word.safetensors"
    save_file({"<a>": words()}, file)
    adopting = config.AdoptOptions(
        file=file, base=str(tiny_base_folder), out=tmp_path / "run", device="cpu"
    )
    first = service.run("adopt", adopting)
    with monkeypatch.context() as patch:
        patch.setattr(importer, "apply_file", lambda *_: pytest.fail("the file was applied again"))
        assert service.run("adopt", adopting) == {**first, "already finished": True}

    exporting = config.ExportOptions(
        adapter=str(tmp_path / "run"), to="diffusers", out=tmp_path / "out"
    )
    exported = service.run("export", exporting)
    assert "already finished" not in first and "already finished" not in exported
    assert service.run("export", exporting) == {**exported, "already finished": True}

    (next((tmp_path / "run" / "adapter").glob("*.safetensors"))).unlink()
    with pytest.raises(OptionError, match=r"adapter is there and not empty"):
        service.run("adopt", adopting)
    save_file({"<a>": words() + 1}, file)
    with pytest.raises(OptionError, match=r"adapter is there and not empty"):
        service.run("adopt", adopting)
