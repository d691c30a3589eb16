"""Prompt-to-prompt on a network whose attention is known: maps, emphasis and local blends."""

from __future__ import annotations

import pytest
import torch
from attention_toy import Toy, context, maps, predicted, sampled, toy_task
from gaussian import randn
from torch import Tensor

from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.prompt_to_prompt import prompt_to_prompt

FIRST, A, B, C, D, LAST = range(6)
WORDS = 6
STEPS = 10
VALUES = torch.tensor([0.0, 0.3, -0.2, 0.5, -0.9, 0.1], dtype=torch.float64)
SOURCE = (FIRST, A, B, C, LAST)
TARGET = (FIRST, A, B, D, LAST)
EMPTY = (FIRST, LAST, LAST, LAST, LAST)


def test_the_network_is_what_it_says(toy: Toy) -> None:
    eps, _ = predicted(toy, maps(toy, SOURCE), SOURCE)
    assert torch.allclose(toy(randn(1, 1, 4, 4), 500, context(SOURCE)).flatten(), eps, atol=1e-12)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@pytest.mark.parametrize(
    ("cross", "own"), [(0.3, 0.0), (0.0, 0.3), (0.6, 0.2), (0.2, 0.6), (1.0, 1.0)]
)
def test_prompt_to_prompt_puts_maps_in_for_the_first_share_of_the_steps(
    cross: float, own: float, guidance: float, toy: Toy
) -> None:
    """Words look as in the source in the first steps, places too; the reference of guidance has its
    own maps throughout."""
    factors = torch.tensor([1.0, 1.0, 1.0, 2.0, 1.0], dtype=torch.float64)
    xT = randn(1, 1, 4, 4, seed=3)
    spec = EditSpec(cross_share=cross, self_share=own)
    reconstruction, counterfactual = prompt_to_prompt(
        toy_task(toy, toy, xT, spec=spec, factors=factors, guidance=guidance, reference=EMPTY)
    )
    source, places = predicted(toy, maps(toy, SOURCE), SOURCE)
    silent, _ = predicted(toy, maps(toy, EMPTY), EMPTY)
    changed = []
    for step in range(STEPS):
        words = maps(toy, SOURCE if step < cross * STEPS else TARGET) * factors
        changed.append(predicted(toy, words, TARGET, places if step < own * STEPS else None)[0])
    one, other = (
        [silent + guidance * (eps - silent) for eps in each] for each in ([source] * STEPS, changed)
    )
    assert torch.allclose(reconstruction, sampled(xT, one), atol=1e-10)
    assert torch.allclose(counterfactual, sampled(xT, other), atol=1e-10)
    assert (counterfactual - reconstruction).abs().max() > 0.1


def around(*places: tuple[int, int]) -> Tensor:
    """Places of an 8 x 8 picture and their neighbours."""
    inside = torch.zeros(8, 8, dtype=torch.bool)
    for row, column in places:
        inside[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    return inside.flatten()


@pytest.mark.parametrize(
    ("source", "target", "inside"),
    [
        ((FIRST, A, B, C, LAST), (FIRST, A, B, D, LAST), around((1, 1), (5, 6))),
        ((FIRST, A, B, LAST, LAST), (FIRST, A, B, D, LAST), around((5, 6))),
        ((FIRST, A, B, C, LAST), (FIRST, A, B, LAST, LAST), around((1, 1))),
    ],
)
def test_local_blend_changes_where_old_and_new_words_are_looked_at(
    source: tuple[int, ...], target: tuple[int, ...], inside: Tensor
) -> None:
    """C, which goes, is looked at from (1, 1), and D, which comes, from (5, 6): only there does the
    change act.

    From (1, 6) both are looked at a little more than from elsewhere: a fifth of the way up to the
    most, where 0.3 is needed.
    """
    logits = torch.zeros(64, WORDS, dtype=torch.float64)
    logits[1 * 8 + 1, C] = logits[5 * 8 + 6, D] = 3.0
    most = torch.tensor(3.0).exp() / (torch.tensor(3.0).exp() + 4)
    least = 1 / 5
    little = least + (most - least) / 5
    logits[1 * 8 + 6, C] = logits[1 * 8 + 6, D] = (4 * little / (1 - little)).log()
    toy = Toy(logits, VALUES, torch.zeros(64, dtype=torch.float64))
    xT = randn(1, 1, 8, 8, seed=4)
    spec = EditSpec(cross_share=0.0, self_share=0.0, local_blend=True)
    made = prompt_to_prompt(toy_task(toy, toy, xT, spec=spec, source=source, target=target))
    one, other = (predicted(toy, maps(toy, tokens), tokens)[0] for tokens in (source, target))
    assert ((one - other).abs() > 1e-3).all()  # without the blend every place changes
    blended = torch.where(inside, other, one)
    for found, eps in zip(made, (one, blended), strict=True):
        assert torch.allclose(found, sampled(xT, [eps] * STEPS), atol=1e-10)
