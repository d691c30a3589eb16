"""Checkpoints of other tools: pickles with code are refused, and the safe file is found first."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from foreign_files import load, words

from latentdrift.adapt.adapters.checkpoint_reader import find
from latentdrift.adapt.interop.importer import adopt
from latentdrift.errors import AdapterError


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
            match=r"trap.pt is refused: opening this pickle would call .*, and a file of weights",
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


def test_a_folder_is_searched_for_the_safe_file_first(tmp_path: Path) -> None:
    for name in (
        "learned_embeds.safetensors",
        "pytorch_custom_diffusion_weights.bin",
        "unet/diffusion_pytorch_model.bin",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find(tmp_path) == tmp_path / "learned_embeds.safetensors"
    (tmp_path / "pytorch_custom_diffusion_weights.safetensors").touch()
    assert find(tmp_path) == tmp_path / "pytorch_custom_diffusion_weights.safetensors"


def test_the_only_file_of_a_folder_is_found_by_any_name(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    (tmp_path / "brain.safetensors").touch()
    assert find(tmp_path) == tmp_path / "brain.safetensors"
    (tmp_path / "other.safetensors").touch()
    assert find(tmp_path) is None


def test_the_single_file_of_a_base_is_no_adapter(tmp_path: Path) -> None:
    (tmp_path / "v1-5.safetensors").touch()
    (tmp_path / "model_index.json").touch()
    assert find(tmp_path) is None
