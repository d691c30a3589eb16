"""Optimisers: AdamW's first step in closed form, and names that are refused."""

from __future__ import annotations

import pytest
import torch

from latentdrift.adapt.training.optimization import optimizers
from latentdrift.adapt.training.optimization.optimizers import optimizer
from latentdrift.errors import OptionError


def test_the_first_step_of_adamw_is_the_rate_against_the_gradient_s_sign() -> None:
    """w - rate * decay * w - rate * sign(g) (Loshchilov and Hutter 2019, algorithm 2)."""
    weight = torch.nn.Parameter(torch.tensor([2.0, -1.0, 0.5]))
    adam = optimizer("adamw").make([weight], 0.1, 0.01)
    weight.grad = torch.tensor([3.0, -0.2, 7.0])
    adam.step()
    before = torch.tensor([2.0, -1.0, 0.5])
    expected = before * (1 - 0.1 * 0.01) - 0.1 * torch.tensor([1.0, -1.0, 1.0])
    assert torch.allclose(weight.detach(), expected, atol=1e-5)


def test_the_state_takes_as_many_bytes_as_its_row_says() -> None:
    weight = torch.nn.Parameter(torch.zeros(1000))
    row = optimizer("adamw")
    adam = row.make([weight], 0.1, 0.0)
    weight.grad = torch.ones(1000)
    adam.step()
    moments = [part for part in adam.state[weight].values() if part.numel() > 1]
    assert sum(part.numel() * part.element_size() for part in moments) == row.state * 1000


def test_an_unknown_name_and_a_missing_package_are_sentences(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(OptionError, match="unknown optimizer 'adam'; known: adamw, adamw-8bit"):
        optimizer("adam")
    monkeypatch.setattr(optimizers, "find_spec", lambda package: None)
    with pytest.raises(OptionError, match="needs the package bitsandbytes, which is not installed"):
        optimizer("adamw-8bit")
