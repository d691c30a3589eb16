"""Guidance and composition against their formula, and beside drift."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gaussian import channels, contexts, gaussian, randn, schedule_of, sd_schedule

from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import MIXED, Denoiser
from latentdrift.sample import guidance
from latentdrift.sample.guidance import condition_alone, guide, within

DELTA = (0.1, -0.05, 0.2, 0.0)


@pytest.mark.parametrize("w", [0.0, 1.0, 3.0, 7.5])
@pytest.mark.parametrize("t", [500, torch.tensor([100, 900])])
def test_guidance_is_its_formula(w: float, t: int | torch.Tensor) -> None:
    network = gaussian(sd_schedule())
    xt = randn(2, 4, 8, 8)
    pair = contexts(0.0, 1.0)
    eps_0, eps_c = (network(xt, t, context) for context in pair)
    assert torch.allclose(guide(network, w)(xt, t, pair), eps_0 + w * (eps_c - eps_0), atol=1e-12)


def test_composition_is_a_weighted_sum() -> None:
    network = gaussian(sd_schedule())
    xt = randn(2, 4, 8, 8)
    three = contexts(0.0, 1.0, -2.0)
    eps_0, eps_1, eps_2 = (network(xt, 500, context) for context in three)
    expected = eps_0 + 2.0 * (eps_1 - eps_0) + 0.5 * (eps_2 - eps_0)
    assert torch.allclose(guide(network, 2.0, 0.5)(xt, 500, three), expected, atol=1e-12)


def test_guidance_acts_within_its_interval_alone() -> None:
    """sigma = s / a rises with t; where it is not in (low, high], the prompt alone is evaluated."""
    schedule = sd_schedule()
    network = gaussian(schedule)
    xt = randn(2, 4, 8, 8)
    pair = contexts(0.0, 1.0)
    sizes: list[int] = []

    def counting(xt: torch.Tensor, t: float, context: Conditioning) -> torch.Tensor:
        sizes.append(len(xt))
        return network(xt, t, context)

    times = [50, 300, 500, 700, 950]
    sigma = [float(schedule.s(t) / schedule.a(t)) for t in times]
    denoiser = within(
        (sigma[1], sigma[3]), schedule, guide(counting, 3.0), condition_alone(counting)
    )
    for t, is_guided in zip(times, [False, False, True, True, False], strict=True):
        expected = guide(network, 3.0 if is_guided else 1.0)(xt, t, pair)
        assert torch.equal(denoiser(xt, t, pair), expected)
    assert sizes == [2, 2, 4, 4, 2]


@pytest.mark.parametrize(("weights", "sizes"), [((1.0,), [2]), ((2.5,), [4]), ((1.0, 1.0), [6])])
def test_branches_share_one_call_and_no_guidance_is_one_branch(
    weights: tuple[float, ...], sizes: list[int]
) -> None:
    seen: list[int] = []
    network = gaussian(sd_schedule())

    def counting(xt: torch.Tensor, t: float, context: Conditioning) -> torch.Tensor:
        seen.append(len(xt))
        return network(xt, t, context)

    guide(counting, *weights)(randn(2, 4, 8, 8), 500, contexts(*[0.0] * (len(weights) + 1)))
    assert seen == sizes


@pytest.mark.parametrize("kind", MIXED)
@pytest.mark.parametrize("weights", [(1.0,), (3.0,), (7.5,), (2.0, 0.5)])
def test_drift_passes_through_guidance_unchanged(kind: str, weights: tuple[float, ...]) -> None:
    """Every branch says delta more (a delta for v), and so does their guided sum; the wrapper takes
    it off on either side."""
    schedule = schedule_of(kind)
    xt = randn(2, 4, 8, 8)
    drifted = gaussian(schedule, delta=channels(*DELTA))
    plain = gaussian(schedule)
    three, (a, s) = contexts(0.0, 1.0, -2.0)[: len(weights) + 1], schedule.scales(500, xt)
    raw = guide(drifted, *weights)(xt + s * channels(*DELTA), 500, three)
    expected = guide(plain, *weights)(xt, 500, three)
    shift = channels(*DELTA) * (a if kind == "v_prediction" else 1)
    assert torch.allclose(raw - expected, shift.expand_as(raw), atol=1e-12)
    drift = Drift.of(DELTA)
    assert torch.allclose(
        guide(drift.wrap(drifted, schedule), *weights)(xt, 500, three), expected, atol=1e-12
    )
    assert torch.allclose(
        drift.wrap(guide(drifted, *weights), schedule)(xt, 500, three), expected, atol=1e-12
    )


def drawn(batch: int = 2) -> tuple[Conditioning, ...]:
    """Contexts that differ from element to element, so that guidance changes the spread over an
    image."""
    return tuple(Conditioning(randn(batch, 4, 8, 8, seed=seed)) for seed in (1, 2, 3))


def textured(network: Denoiser) -> Denoiser:
    """The network, with a context [B, C, h, w] added to what it says."""
    return lambda xt, t, context: network(xt, t, None) + context.embeddings


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("w", [1.0, 3.0, 7.5])
def test_rescale_is_that_of_diffusers(w: float, phi: float) -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    network = textured(gaussian(sd_schedule()))
    xt = randn(2, 4, 8, 8)
    pair = drawn()[:2]
    eps_c = network(xt, 500, pair[1])
    expected = rescale_noise_cfg(guide(network, w)(xt, 500, pair), eps_c, guidance_rescale=phi)
    assert torch.allclose(guide(network, w, rescale=phi)(xt, 500, pair), expected, atol=1e-12)


def test_full_rescale_has_the_spread_of_the_mean_condition_in_every_image() -> None:
    network = textured(gaussian(sd_schedule()))
    xt = randn(2, 4, 8, 8)
    three = drawn()
    found = guide(network, 4.0, 3.0, rescale=1.0)(xt, 500, three).std((1, 2, 3))
    wanted = (sum(network(xt, 500, context) for context in three[1:]) / 2).std((1, 2, 3))
    assert torch.allclose(found, wanted, atol=1e-12)
    alone = guide(network, 4.0, 3.0, rescale=1.0)(
        xt[:1], 500, tuple(context[:1] for context in three)
    )
    assert torch.allclose(
        alone, guide(network, 4.0, 3.0, rescale=1.0)(xt, 500, three)[:1], atol=1e-12
    )


@pytest.mark.parametrize("kind", MIXED)
def test_rescale_keeps_drift_only_where_the_network_is_wrapped(kind: str) -> None:
    """Of the bare prediction it multiplies the mean, too, and by much less than 1 at w = 7.5."""
    schedule = schedule_of(kind)
    xt = randn(2, 4, 8, 8)
    pair = drawn()[:2]
    drifted, plain = (
        textured(gaussian(schedule, delta=delta)) for delta in (channels(*DELTA), 0.0)
    )
    expected = guide(plain, 7.5, rescale=0.7)(xt, 500, pair)
    wrapped = Drift.of(DELTA).wrap(drifted, schedule)
    assert torch.allclose(guide(wrapped, 7.5, rescale=0.7)(xt, 500, pair), expected, atol=1e-12)
    s = schedule.scales(500, xt)[1]
    shift = schedule.shift(500, xt) * channels(*DELTA)
    bare = guide(drifted, 7.5, rescale=0.7)(xt + s * channels(*DELTA), 500, pair)
    kept = ((bare - expected).mean((0, 2, 3)) / shift.flatten())[:3]
    assert kept.max() < 0.6  # of delta


def test_contexts_of_several_parts_are_joined_part_by_part() -> None:
    seen = []

    def network(xt: torch.Tensor, t: float, context: Conditioning) -> torch.Tensor:
        seen.append((context.embeddings.shape, context.pooled.shape))
        return xt + context.embeddings.mean((1, 2)).reshape(-1, 1, 1, 1)

    pair = tuple(
        Conditioning(torch.full((2, 3, 5), value), torch.zeros(2, 7)) for value in (0.0, 1.0)
    )
    assert torch.allclose(
        guide(network, 3.0)(torch.zeros(2, 4, 8, 8), 500, pair), torch.full((2, 4, 8, 8), 3.0)
    )
    assert seen == [((4, 3, 5), (4, 7))]


@pytest.mark.parametrize("t", [500, torch.tensor([100, 900])])
def test_every_image_has_its_own_sum(t: Any) -> None:
    network = gaussian(sd_schedule())
    xt = randn(2, 4, 8, 8)
    three = contexts(0.0, 1.0, -2.0)
    weights = torch.tensor([[2.0, 0.5], [-1.0, 0.0]], dtype=torch.float64)
    eps_0, eps_1, eps_2 = (network(xt, t, context) for context in three)
    for image, (w_1, w_2) in enumerate(weights):
        expected = (eps_0 + w_1 * (eps_1 - eps_0) + w_2 * (eps_2 - eps_0))[image]
        assert torch.allclose(
            guidance.compose(network, weights)(xt, t, three)[image], expected, atol=1e-12
        )
    alike = weights[:1].expand(2, 2)
    for rescale in (0.0, 0.7):
        theirs = guidance.guide(network, 2.0, 0.5, rescale=rescale)(xt, t, three)
        assert torch.allclose(
            guidance.compose(network, alike, rescale)(xt, t, three), theirs, atol=1e-12
        )
