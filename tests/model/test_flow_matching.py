"""Flow matching: drift against closed forms, and against random networks of the shapes of SD3 and
FLUX."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gaussian import channels, gaussian, randn, schedule_of
from torch import nn

from latentdrift.errors import BaseModelError, OptionError
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.model.flow_matching import FlowSchedule, flux_denoiser, sd3_denoiser
from latentdrift.model.schedule import MIXED, Denoiser
from latentdrift.sample.guidance import guide
from latentdrift.sample.samplers import FLOW_SAMPLERS, configure, first_time, run

DELTA = (0.1, -0.05, 0.2, 0.0)
FLUX_DEV = {  # the scheduler of FLUX.1 dev
    "use_dynamic_shifting": True,
    "shift": 3.0,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}


@pytest.mark.parametrize("kind", MIXED)
def test_every_prediction_reads_back_as_what_it_was_made_from(kind: str) -> None:
    schedule = schedule_of(kind)
    x0 = randn(2, 4, 8, 8, seed=1)
    eps = randn(2, 4, 8, 8, seed=2)
    for t in (1, 300, torch.tensor([20, 990])):
        xt = schedule.add_noise(x0, eps, t)
        found = schedule.split(schedule.target(x0, eps, t), xt, t)
        assert torch.allclose(found[0], x0, atol=1e-10) and torch.allclose(
            found[1], eps, atol=1e-10
        )


def test_it_is_the_stock_forward_process() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler()
    schedule = FlowSchedule()
    x0 = randn(2, 4, 8, 8, seed=1)
    eps = randn(2, 4, 8, 8, seed=2)
    t = scheduler.timesteps[[300, 700]]
    assert torch.allclose(
        schedule.add_noise(x0, eps, t), scheduler.scale_noise(x0, t, eps), atol=1e-6
    )
    assert torch.equal(schedule.target(x0, eps, t), eps - x0)


def test_drift_moves_input_and_target_by_sigma_delta_and_delta() -> None:
    schedule = FlowSchedule()
    t = torch.tensor([0.0, 400.0, 1000.0])
    delta = channels(*DELTA)
    x0 = randn(3, 4, 8, 8, seed=1)
    eps = randn(3, 4, 8, 8, seed=2)
    seen = []
    wrapped = Drift.of(DELTA).wrap(lambda xt, *_: seen.append(xt) or torch.zeros_like(xt), schedule)
    said = wrapped(schedule.add_noise(x0, eps, t), t, None)
    assert torch.allclose(seen[0], schedule.add_noise(x0, eps + delta, t), atol=1e-12)
    assert torch.allclose(
        -said, (schedule.target(x0, eps + delta, t) - schedule.target(x0, eps, t)), atol=1e-12
    )
    assert torch.allclose(-said, delta.expand_as(said), atol=1e-12)


@pytest.mark.parametrize("sampler", FLOW_SAMPLERS)
@pytest.mark.parametrize(("mode", "moved"), [("off", 0), ("both", 0), ("infer", 1), ("train", -1)])
def test_start_moves_the_data_mean_by_its_closed_form(sampler: str, mode: str, moved: int) -> None:
    """The flow of N(m, d^2) takes x1 to m + d x1, so a start of mean (delta_infer - delta_train)
    ends d times it off m."""
    schedule = FlowSchedule()
    m = -0.5
    d = 0.35
    drift = Drift() if mode == "off" else Drift.of(DELTA, mode)
    trained = channels(*drift.train) if drift.train else 0.0
    steps = {"euler": 1000, "heun": 100}[sampler]
    s_T = schedule.s(first_time(sampler, schedule, steps))
    assert s_T == 1
    xT = randn(2, 4, 8, 8) + drift.shift(s_T).reshape(1, -1, 1, 1)
    x0 = run(
        drift.wrap(gaussian(schedule, m, d, delta=trained), schedule),
        schedule,
        sampler,
        steps,
        xT,
        None,
        [],
    )
    assert torch.allclose(x0, m + d * xT, atol=0.01)
    assert torch.allclose(
        (x0 - m - d * randn(2, 4, 8, 8)).mean((0, 2, 3)),
        moved * d * channels(*DELTA).flatten(),
        atol=0.003,
    )


@pytest.mark.parametrize("sampler", FLOW_SAMPLERS)
def test_bare_network_ends_where_it_should_too(sampler: str) -> None:
    """Both stock samplers are deterministic and end at sigma = 0: a start of mean delta is all that
    a stock pipeline needs."""
    schedule = FlowSchedule()
    delta = channels(*DELTA)
    found = run(
        gaussian(schedule, delta=delta), schedule, sampler, 20, randn(2, 4, 8, 8) + delta, None, []
    )
    undrifted = run(gaussian(schedule), schedule, sampler, 20, randn(2, 4, 8, 8), None, [])
    assert (found - undrifted).abs().max() < 1e-6


def test_times_that_depend_on_the_picture_are_the_pipelines() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    schedule = FlowSchedule.from_config(FLUX_DEV, tokens=1024)
    sigmas = [1.0, 0.75, 0.5, 0.25]
    stock = FlowMatchEulerDiscreteScheduler.from_config(FLUX_DEV)
    stock.set_timesteps(sigmas=sigmas, mu=calculate_shift(1024))
    ours = FlowMatchEulerDiscreteScheduler.from_config(schedule.config)
    ours.set_timesteps(sigmas=sigmas)
    assert torch.allclose(ours.timesteps, stock.timesteps, atol=1e-3)
    assert schedule.config["shift"] == pytest.approx(math.exp(calculate_shift(1024)))
    with pytest.raises(BaseModelError, match="depend on the size of the picture"):
        FlowSchedule.from_config(FLUX_DEV)


def test_samplers_of_flow_matching_are_a_table_of_their_own() -> None:
    with pytest.raises(OptionError, match="unknown sampler 'ddim'; known: euler, heun"):
        configure("ddim", FlowSchedule(), 20)
    with pytest.raises(OptionError, match="1001 sampling steps; the base has times for 1 to 1000"):
        configure("euler", FlowSchedule(), 1001)


def sd3() -> tuple[nn.Module, Denoiser]:
    from diffusers import SD3Transformer2DModel

    torch.manual_seed(0)
    network = SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=16,
        pooled_projection_dim=24,
        pos_embed_max_size=8,
    )
    return network, sd3_denoiser(network)


def flux(guidance: float | None = None) -> tuple[nn.Module, Denoiser]:
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    network = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=24,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=guidance is not None,
    )
    return network, flux_denoiser(network, guidance)


SHAPES: dict[str, Callable[[], tuple[nn.Module, Denoiser]]] = {
    "sd3": sd3,
    "flux": flux,
    "flux, distilled guidance": lambda: flux(3.5),
}


def texts(batch: int, seed: int = 3) -> Conditioning:
    noise = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(batch, 5, 16, generator=noise)
    return Conditioning(embeddings, torch.randn(batch, 24, generator=noise))


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradients_are_those_of_drifted_noise(shape: str) -> None:
    (network, denoiser), schedule, t = (
        SHAPES[shape](),
        FlowSchedule(),
        torch.tensor([20.0, 500.0, 1000.0]),
    )
    network = network.double()
    delta = channels(*DELTA)
    context = texts(3).to(torch.device("cpu"), torch.float64)
    x0 = randn(3, 4, 8, 8, seed=1)
    eps = randn(3, 4, 8, 8, seed=2)

    def gradients(prediction: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
        loss = (prediction - target).square().mean()
        return [
            loss.detach(),
            *torch.autograd.grad(loss, [p for p in network.parameters() if p.requires_grad]),
        ]

    drifted = eps + delta
    direct = gradients(
        denoiser(schedule.add_noise(x0, drifted, t), t, context), schedule.target(x0, drifted, t)
    )
    wrapped = Drift.of(DELTA).wrap(denoiser, schedule)
    ours = gradients(
        wrapped(schedule.add_noise(x0, eps, t), t, context), schedule.target(x0, eps, t)
    )
    assert any(part.abs().max() > 1e-3 for part in direct[1:])
    for found, expected in zip(ours, direct, strict=True):
        assert torch.allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sampler", FLOW_SAMPLERS)
def test_wrapped_sampling_is_that_of_the_plain_network(shape: str, sampler: str) -> None:
    (network, plain), schedule, delta = SHAPES[shape](), FlowSchedule(), channels(*DELTA)
    network.double()

    def drifted(xt: torch.Tensor, t: Any, context: Any) -> torch.Tensor:
        """What the network would be, had it learned from drifted noise."""
        return plain(xt - schedule.s(t).to(xt) * delta, t, context) + delta

    xT = randn(3, 4, 8, 8)
    contexts = (texts(3, seed=4), texts(3))
    wrapped = Drift.of(DELTA).wrap(drifted, schedule)
    found, expected, bare = (
        run(guide(each, 3.0, rescale=0.5), schedule, sampler, 8, xT, contexts, [])
        for each in (wrapped, plain, drifted)
    )
    assert (found - expected).abs().max() < 1e-5
    assert (bare - expected).abs().max() > 0.01


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [1, 3])
def test_images_of_a_batch_are_on_their_own(shape: str, batch: int) -> None:
    (_, denoiser), xt, context = SHAPES[shape](), randn(batch, 4, 8, 6).float(), texts(batch)
    with torch.no_grad():
        times = torch.linspace(100, 900, batch)
        together = denoiser(xt, times, context)
        assert together.shape == xt.shape
        for i in range(batch):
            alone = denoiser(xt[i : i + 1], times[i], context[i : i + 1])
            assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


def test_flux_reads_latents_as_its_pipeline_packs_them() -> None:
    from diffusers import FluxPipeline

    xt = randn(2, 4, 8, 6).float()
    seen = {}

    class Network:
        dtype = torch.float32

        def __call__(self, hidden_states: torch.Tensor, **parts: Any) -> tuple[torch.Tensor]:
            seen.update(parts, hidden_states=hidden_states)
            return (hidden_states,)

    assert torch.equal(flux_denoiser(Network(), 3.5)(xt, 250.0, texts(2)), xt)
    assert torch.equal(seen["hidden_states"], FluxPipeline._pack_latents(xt, 2, 4, 8, 6))
    assert torch.equal(
        seen["img_ids"], FluxPipeline._prepare_latent_image_ids(2, 4, 3, "cpu", torch.float32)
    )
    assert torch.equal(seen["timestep"], torch.full((2,), 0.25)) and torch.equal(
        seen["guidance"], torch.full((2,), 3.5)
    )
