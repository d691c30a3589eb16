"""Bytes of live tensors: closed forms of small chains, and torch's own tracker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.checkpoint import checkpoint

from latentdrift.adapt.training.planning.live_memory import LiveMemory

CPU = torch.device("cpu")
FLOAT = 4  # bytes
B = 7  # images


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 11), nn.ReLU(), nn.Linear(11, 3), nn.ReLU())


def convolutions() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.GELU(),
        nn.GroupNorm(4, 16),
        nn.Conv2d(16, 8, 3, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(8 * 64, 5),
    )


def after_forward(
    make: Callable[[], nn.Module], shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Counter[str]:
    """Kind -> bytes that are alive after a forward pass, whose result is kept."""
    live = LiveMemory(CPU)
    network = make().to(dtype)
    with FakeTensorMode() as mode, live:
        for module in network.modules():
            for name, weight in [*module.named_parameters(recurse=False)]:
                setattr(module, name, nn.Parameter(mode.from_tensor(weight)))
        x = torch.empty(shape, dtype=dtype)
        live.count(network.parameters(), "weights")
        live.count([x], "inputs")
        with torch.autograd.graph.saved_tensors_hooks(live.save, lambda tensor: tensor):
            result = network(x)
        assert result.requires_grad
        return live.live.copy()


def test_a_chain_of_linear_layers_saves_the_inputs_of_each() -> None:
    live = after_forward(linear, (B, 5))
    weights = 5 * 11 + 11 + 11 * 3 + 3
    assert live["weights"] == FLOAT * weights
    # the second layer saves what the first ReLU gives, and each ReLU what it gives itself
    assert live["activations"] == FLOAT * B * (11 + 3)
    assert live["inputs"] == FLOAT * B * 5
    assert live["temporaries"] == 0


def test_a_chain_of_convolutions_saves_the_inputs_of_each() -> None:
    live = after_forward(
        lambda: nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.GELU(), nn.Conv2d(16, 8, 1)),
        (B, 3, 8, 8),
    )
    assert live["weights"] == FLOAT * (16 * 3 * 9 + 16 + 8 * 16 + 8)
    # GELU saves what it reads, and the second convolution what GELU gives
    assert live["activations"] == FLOAT * B * 64 * (16 + 16)
    assert live["temporaries"] == FLOAT * B * 64 * 8  # the result, which nothing needs


def test_half_the_bits_are_half_the_bytes() -> None:
    whole = after_forward(linear, (B, 5))
    half = after_forward(linear, (B, 5), torch.bfloat16)
    assert {kind: 2 * size for kind, size in half.items()} == whole


def test_gradients_have_the_size_of_the_weights() -> None:
    live = LiveMemory(CPU)
    with FakeTensorMode(), live:
        network = linear()
        live.count(network.parameters(), "weights")
        for parameter in network.parameters():
            parameter.register_post_accumulate_grad_hook(
                lambda weight: live.count([weight.grad], "gradients")
            )
        network(torch.empty(B, 5)).sum().backward()
        assert live.live["gradients"] == live.live["weights"]
        network.zero_grad(set_to_none=True)
        assert live.live["gradients"] == 0


def peak(network: nn.Module, x: Tensor) -> int:
    live = LiveMemory(CPU)
    with live:
        live.count(network.parameters(), "weights")
        live.count([x], "inputs")
        network(x).square().mean().backward()
    return sum(live.peak.values())


@pytest.mark.parametrize(
    ("make", "shape"), [(linear, (B, 5)), (convolutions, (B, 3, 8, 8))], ids=["linear", "conv"]
)
def test_the_peak_is_that_of_torchs_own_tracker(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    with FakeTensorMode():
        network = make()
        x = torch.empty(shape)
        tracker = MemTracker()
        tracker.track_external(network, x)
        with tracker:
            network(x).square().mean().backward()
        theirs = tracker.get_tracker_snapshot("peak")[CPU]["Total"]
        assert peak(make(), torch.empty(shape)) == theirs


def test_real_and_fake_tensors_count_alike() -> None:
    with FakeTensorMode():
        fake = peak(convolutions(), torch.empty(B, 3, 8, 8))
    assert peak(convolutions(), torch.empty(B, 3, 8, 8)) == fake


def test_what_is_recomputed_is_not_saved() -> None:
    class Recomputed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(linear_block() for _ in range(6))

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = checkpoint(block, x, use_reentrant=False)
            return x

    def linear_block() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU())

    with FakeTensorMode():
        plain = peak(nn.Sequential(*(linear_block() for _ in range(6))), torch.empty(512, 64))
        assert peak(Recomputed(), torch.empty(512, 64)) < 0.6 * plain


def test_views_count_once_and_other_devices_not_at_all() -> None:
    live = LiveMemory(CPU)
    with live:
        x = torch.empty(10)
        views = [x[:5], x.reshape(2, 5), x.detach()]
        elsewhere = torch.empty(1000, device="meta")
        assert sum(live.live.values()) == FLOAT * 10
        del x
        assert sum(live.live.values()) == FLOAT * 10
        views.clear()
        del elsewhere
        assert sum(live.live.values()) == 0
    assert sum(live.peak.values()) == FLOAT * 10
