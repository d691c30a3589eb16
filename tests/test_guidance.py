"""Guidance and composition against their formula, and beside drift."""

from __future__ import annotations

import pytest
import torch
from gaussian import channels, gaussian, randn, sd_schedule

from latentdrift.model.drift import Drift
from latentdrift.sample.guidance import guide

DELTA = (0.1, -0.05, 0.2, 0.0)


def contexts(*means: float, batch: int = 2) -> tuple[torch.Tensor, ...]:
    return tuple(torch.full((batch,), mean, dtype=torch.float64) for mean in means)


@pytest.mark.parametrize("w", [0.0, 1.0, 3.0, 7.5])
@pytest.mark.parametrize("t", [500, torch.tensor([100, 900])])
def test_guidance_is_its_formula(w: float, t: int | torch.Tensor) -> None:
    network, xt, pair = gaussian(sd_schedule()), randn(2, 4, 8, 8), contexts(0.0, 1.0)
    eps_0, eps_c = (network(xt, t, context) for context in pair)
    assert torch.allclose(guide(network, w)(xt, t, pair), eps_0 + w * (eps_c - eps_0), atol=1e-12)


def test_composition_is_a_weighted_sum() -> None:
    network, xt, three = gaussian(sd_schedule()), randn(2, 4, 8, 8), contexts(0.0, 1.0, -2.0)
    eps_0, eps_1, eps_2 = (network(xt, 500, context) for context in three)
    expected = eps_0 + 2.0 * (eps_1 - eps_0) + 0.5 * (eps_2 - eps_0)
    assert torch.allclose(guide(network, 2.0, 0.5)(xt, 500, three), expected, atol=1e-12)


@pytest.mark.parametrize(("weights", "sizes"), [((1.0,), [2]), ((2.5,), [4]), ((1.0, 1.0), [6])])
def test_branches_share_one_call_and_no_guidance_is_one_branch(weights: tuple[float, ...], sizes: list[int]) -> None:
    seen: list[int] = []
    network = gaussian(sd_schedule())

    def counting(xt: torch.Tensor, t: float, context: torch.Tensor) -> torch.Tensor:
        seen.append(len(xt))
        return network(xt, t, context)

    guide(counting, *weights)(randn(2, 4, 8, 8), 500, contexts(*[0.0] * (len(weights) + 1)))
    assert seen == sizes


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("weights", [(1.0,), (3.0,), (7.5,), (2.0, 0.5)])
def test_drift_passes_through_guidance_unchanged(kind: str, weights: tuple[float, ...]) -> None:
    """Every branch says delta more (a delta for v), and so does their guided sum; the wrapper takes it off on either side."""
    schedule, xt = sd_schedule(kind), randn(2, 4, 8, 8)
    drifted, plain = gaussian(schedule, delta=channels(*DELTA)), gaussian(schedule)
    three, (a, s) = contexts(0.0, 1.0, -2.0)[: len(weights) + 1], schedule.scales(500, xt)
    raw = guide(drifted, *weights)(xt + s * channels(*DELTA), 500, three)
    expected = guide(plain, *weights)(xt, 500, three)
    shift = channels(*DELTA) * (1 if kind == "epsilon" else a)
    assert torch.allclose(raw - expected, shift.expand_as(raw), atol=1e-12)
    drift = Drift.of(DELTA)
    assert torch.allclose(guide(drift.wrap(drifted, schedule), *weights)(xt, 500, three), expected, atol=1e-12)
    assert torch.allclose(drift.wrap(guide(drifted, *weights), schedule)(xt, 500, three), expected, atol=1e-12)
