"""Names of LoRA matrices: ranks that differ, scales that are missing, and convolutions."""

from __future__ import annotations

from pathlib import Path

from foreign_files import MIXED, by_sides, kohya, load, random_changes, same
from safetensors.torch import load_file, save_file

from latentdrift.adapt.interop.importer import adopt
from latentdrift.adapt.methods import lora
from latentdrift.adapt.methods.lora import Pair
from latentdrift.model.families.sd import UNET_PREFIX as UNET

BLOCK = UNET + "down_blocks.0.attentions.0"


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
