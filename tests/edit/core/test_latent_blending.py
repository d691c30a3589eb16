"""Latent blending: outside of a mask the denoiser's x0 is the source's, in closed form."""

from __future__ import annotations

import pytest
import torch
from gaussian import randn, schedule_of

from latentdrift.edit.core.latent_blending import blend, to_latents


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "flow_prediction"])
def test_x0_is_the_source_s_outside_and_the_network_s_inside(kind: str) -> None:
    schedule = schedule_of(kind)
    t = 400
    source = randn(1, 4, 8, 8)
    xt = randn(1, 4, 8, 8, seed=1)
    predicted = randn(1, 4, 8, 8, seed=2)
    inside = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    inside[..., :4] = 1.0
    inside[..., 7] = 0.25
    denoiser = blend(lambda xt, t, context: predicted, schedule, source, inside)
    x0, _ = schedule.split(denoiser(xt, t, ()), xt, t)
    network_x0, _ = schedule.split(predicted, xt, t)
    expected = inside * network_x0 + (1 - inside) * source
    assert torch.allclose(x0, expected, atol=1e-9)


def test_a_latent_holds_the_share_of_its_pixels() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., :8, :6] = 1.0
    shares = to_latents(mask, 2)
    assert torch.equal(shares, torch.tensor([[[[0.75, 0.0], [0.0, 0.0]]]]))
