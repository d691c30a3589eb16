"""LoRA: the change of a weight is alpha / rank B A."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign_files import MIXED, random_changes
from method_fits import info, load, predict, prepared

from latentdrift.adapt.methods import lora
from latentdrift.adapt.methods.methods import METHODS
from latentdrift.errors import AdapterError

PROMPT = "a brain mri"


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


def test_lora_starts_from_the_seed(tiny_base_folder: Path) -> None:
    draws = [prepared(load(tiny_base_folder), "lora", seed=seed)[1] for seed in (1, 1, 2)]
    key = next(key for key in draws[0] if "lora_A" in key)
    assert torch.equal(draws[0][key], draws[1][key])
    assert not torch.equal(draws[0][key], draws[2][key])


def test_matrices_of_another_network_are_refused(tmp_path: Path, tiny_base_folder: Path) -> None:
    base, _ = prepared(load(tiny_base_folder), "lora", rank=2)
    METHODS["lora"].save(base, tmp_path)
    fresh = load(tiny_base_folder)
    with pytest.raises(
        AdapterError,
        match=r"does not fit base .* rank 4 needs here; it was made for another network",
    ):
        METHODS["lora"].apply(fresh, tmp_path, info("lora"), 1.0)
    assert torch.equal(predict(fresh), predict(load(tiny_base_folder)))
