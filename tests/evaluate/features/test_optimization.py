"""The optimisation loop against its closed form: under a constant gradient, Adam moves by the
learning rate."""

from __future__ import annotations

import math

import pytest
import torch

from latentdrift.evaluate.features.optimization import minimize


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_constant_gradient_moves_by_the_cosine_of_the_rate(decay: float) -> None:
    steps = 10
    rate = 0.02
    weight = torch.nn.Parameter(torch.tensor([3.0], dtype=torch.float64))
    minimize(lambda: weight.sum(), [weight], steps, rate=rate, weight_decay=decay)
    expected = 3.0
    for step in range(steps):
        now = 0.5 * rate * (1 + math.cos(math.pi * step / steps))
        expected = expected * (1 - now * decay) - now
    assert weight.item() == pytest.approx(expected, abs=1e-6)
    if not decay:
        assert weight.item() == pytest.approx(3.0 - rate * (steps + 1) / 2, abs=1e-6)


def test_gradients_of_earlier_steps_do_not_add_up() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    seen: list[float] = []
    weight.register_hook(lambda gradient: seen.append(float(gradient)))

    def loss() -> torch.Tensor:
        assert weight.grad is None
        return 2 * weight.sum()

    minimize(loss, [weight], 3, rate=0.1)
    assert seen == [2.0, 2.0, 2.0]
