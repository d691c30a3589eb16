"""Attention maps of a random network: they are what the layers compute, and nothing stays
behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latentdrift.edit.core import attention
from latentdrift.edit.core.attention import Attention, Layer
from latentdrift.model.base import Base

XT = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


def call(base: Base, see=None) -> torch.Tensor:
    watching = Attention(base.network, base.family.attention)
    context = base.embed(["a brain MRI", "a chest X ray"])
    with watching.held():
        return (
            watching.watched(base.denoiser(), see)(XT, 500, context)
            if see
            else base.denoiser()(XT, 500, context)
        )


def test_looking_changes_nothing_and_maps_are_probabilities(base: Base) -> None:
    seen: dict[Layer, torch.Tensor] = {}
    looked = call(base, lambda layer, maps: seen.setdefault(layer, maps))
    assert torch.allclose(
        looked, base.denoiser()(XT, 500, base.embed(["a brain MRI", "a chest X ray"])), atol=1e-5
    )
    assert {layer.name for layer in seen} == {
        name.removesuffix(".processor") for name in base.network.attn_processors
    }
    for layer, maps in seen.items():
        assert (
            len(maps) == 2
            and maps.shape[1] > 1
            and maps.shape[3] == (77 if layer.cross else maps.shape[2])
        )
        assert torch.allclose(maps.sum(-1), torch.ones(()), atol=1e-5)


def test_changed_maps_are_used(base: Base) -> None:
    even = call(
        base, lambda layer, maps: torch.full_like(maps, 1 / maps.shape[-1]) if layer.cross else maps
    )
    assert not torch.allclose(even, call(base), atol=1e-3)


def test_nobody_looking_is_the_network_itself_to_the_bit(base: Base) -> None:
    assert torch.equal(
        call(base), base.denoiser()(XT, 500, base.embed(["a brain MRI", "a chest X ray"]))
    )


def test_after_an_error_the_network_is_as_it_was(base: Base) -> None:
    before = dict(base.network.attn_processors)
    plain = call(base)

    def fail(layer: Layer, maps: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        call(base, fail)
    assert all(base.network.attn_processors[name] is own for name, own in before.items())
    assert torch.equal(call(base), plain)


def test_wide_layers_are_left_to_themselves(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "WIDEST", 8)
    seen: list[Layer] = []
    call(base, lambda layer, maps: (seen.append(layer), maps)[1])
    assert seen and all(layer.cross for layer in seen)


def test_lora_matrices_act_on_the_maps(base: Base) -> None:
    from peft import LoraConfig

    seen: list[torch.Tensor] = []
    config = LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False)
    base.network.add_adapter(config)
    call(base, lambda layer, maps: (seen.append(maps), maps)[1])
    with_lora = list(seen)
    base.network.disable_adapters()
    seen.clear()
    call(base, lambda layer, maps: (seen.append(maps), maps)[1])
    assert all(not torch.equal(one, other) for one, other in zip(with_lora, seen, strict=True))


def test_a_network_without_attention_has_none() -> None:
    nothing = Attention()
    with nothing.held():
        assert (
            nothing.watched(lambda xt, t, context: xt + t, lambda layer, maps: maps)(1, 2, None)
            == 3
        )
