"""Pix2pix-zero: its direction, and its descent on attention maps in closed form."""

from __future__ import annotations

import pytest
import torch
from attention_toy import Toy, sampled, toy_task
from gaussian import randn
from torch import Tensor

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.pix2pix_zero import LONGEST, direction, pix2pix_zero
from latentdrift.model.conditioning import Conditioning

FIRST, A, B, C, D, LAST = range(6)
WORDS = 6
STEPS = 10
SOURCE = (FIRST, A, B, C, LAST)
TARGET = (FIRST, A, B, D, LAST)


@pytest.mark.parametrize(("weight", "capped"), [(1e-3, False), (1e3, True)])
def test_pix2pix_zero_steps_down_the_gradient_of_the_maps_difference(
    weight: float, capped: bool
) -> None:
    """One step, whose network predicts nothing: xt moves by the gradient alone, and its maps come
    nearer to the source's."""
    slope = torch.tensor([0.0, 0.7, -0.4, 0.2, 1.1, 0.0], dtype=torch.float64)
    toy = Toy(
        randn(16, WORDS, seed=5),
        torch.zeros(WORDS, dtype=torch.float64),
        torch.zeros(16, dtype=torch.float64),
        slope,
    )
    xT = randn(1, 1, 4, 4, seed=6)

    def looked(xt: Tensor, tokens: tuple[int, ...]) -> Tensor:
        return (toy.logits + xt.flatten()[:, None] * slope)[:, list(tokens)].softmax(1)

    asked = toy_task(toy, toy, xT, strength=1 / STEPS, spec=EditSpec(attention_weight=weight))
    reconstruction, counterfactual = pix2pix_zero(asked)
    wanted = looked(xT, SOURCE)
    own = looked(xT, TARGET)
    follows = slope[list(TARGET)]
    moves = own * (follows - (own * follows).sum(1, keepdim=True))  # of a softmax with its argument
    step = weight * (2 * (own - wanted) * moves).sum(1)
    size = step.square().mean().sqrt()
    assert (size > LONGEST) == capped
    moved = xT - (step * (LONGEST / size if capped else 1)).reshape(xT.shape)
    nothing = [torch.zeros(16, dtype=torch.float64)]
    assert torch.allclose(reconstruction, sampled(xT, nothing, STEPS - 1), atol=1e-10)
    assert torch.allclose(counterfactual, sampled(moved, nothing, STEPS - 1), atol=1e-10)
    before, after = ((looked(xt, TARGET) - wanted).square().sum() for xt in (xT, moved))
    assert after < before


def test_a_direction_leads_from_one_mean_to_the_other() -> None:
    source = randn(1, 3, 2)
    befores = randn(4, 3, 2, seed=1)
    afters = randn(2, 3, 2, seed=2)
    moved = direction(*map(Conditioning, (source, befores, afters))).embeddings
    assert (
        torch.allclose(moved - source, (afters.mean(0) - befores.mean(0))[None])
        and moved.shape == source.shape
    )
    assert torch.allclose(
        direction(*map(Conditioning, (source, source, afters[:1]))).embeddings, afters[:1]
    )  # one sentence each: the changed prompt itself
