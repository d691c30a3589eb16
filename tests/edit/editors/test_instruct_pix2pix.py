"""InstructPix2Pix: each of its two scales moves the mean by a known amount."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from gaussian import gaussian, randn, sd_schedule

from latentdrift.edit.editors.instruct_pix2pix import Instruction
from latentdrift.edit.editors.instruct_pix2pix import instruct_pix2pix as redraw
from latentdrift.model.conditioning import Conditioning
from latentdrift.sample.generate import branches


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    ("s_I", "s_T"), [(0.0, 0.0), (1.0, 1.0), (1.5, 7.5), (0.0, 2.0), (2.0, 0.0)]
)
def test_two_scales_move_the_mean_by_their_sum(s_I: float, s_T: float, kind: str) -> None:
    """A linear network whose mean is 0.3 for the image and 0.1 more for the text: guided, it is
    that of s_I 0.3 + s_T 0.1."""
    schedule = sd_schedule(kind)
    start = randn(1, 4, 8, 8)

    def network(xt: torch.Tensor, t: Any, context: Any) -> torch.Tensor:
        mean = context.embeddings.mean((1, 2)) + context.source.mean((1, 2, 3))
        return gaussian(schedule, 0.0, 0.2)(xt, t, mean)

    silent, said = (
        Conditioning(torch.full((1, 3, 5), value, dtype=torch.float64)) for value in (0.0, 0.1)
    )
    source = torch.full_like(start, 0.3)
    contexts = branches(silent, replace(said, source=source))
    task = Instruction(network, schedule, source, start, contexts, 20, s_T, s_I, torch.Generator())
    plainly = replace(silent, source=torch.zeros_like(source))
    mean = replace(
        task,
        denoiser=lambda xt, t, _: gaussian(schedule, s_I * 0.3 + s_T * 0.1, 0.2)(xt, t, None),
        guidance=0.0,
    )
    expected = redraw(replace(mean, image_guidance=0.0, contexts=(plainly, plainly, plainly)))[1]
    reconstruction, counterfactual = redraw(task)
    torch.testing.assert_close(counterfactual, expected, rtol=0, atol=1e-9)
    assert torch.equal(reconstruction, source)


def test_the_reconstruction_is_drawn_from_the_same_noise_without_a_change() -> None:
    """A linear network whose mean is 0.3, and 0.1 more with the text: guided by 2, the change is
    0.2 times the image's own share, and what the network gets wrong of both cancels."""
    schedule = sd_schedule("epsilon")
    start = randn(1, 4, 8, 8)

    def network(xt: torch.Tensor, t: Any, context: Any) -> torch.Tensor:
        return gaussian(schedule, 0.0, 0.2)(xt, t, context.embeddings.mean((1, 2)))

    def under(value: float) -> tuple[Conditioning, ...]:
        empty, said = (
            Conditioning(torch.full((1, 3, 5), mean, dtype=torch.float64)) for mean in (0.3, value)
        )
        return branches(empty, replace(said, source=torch.zeros_like(start)))

    x0 = torch.full_like(start, 7.0)
    task = Instruction(
        network, schedule, x0, start, under(0.4), 20, 1.0, 1.0, torch.Generator(), under(0.3)
    )
    reconstruction, counterfactual = redraw(task)
    alone = redraw(replace(task, contexts=under(0.3)))[1]
    assert torch.equal(reconstruction, alone) and not torch.equal(reconstruction, x0)
    change = counterfactual - reconstruction
    torch.testing.assert_close(change, torch.full_like(change, float(change.mean())))
    assert 0 < float(change.mean()) <= 0.1 + 1e-9
