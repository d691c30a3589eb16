"""Every sampler against an exact denoiser: it reaches the data, and drift changes nothing that it should not."""

from __future__ import annotations

import pytest
import torch
from gaussian import channels, gaussian, randn, sd_schedule

from latentdrift.errors import OptionError
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import Denoiser, Schedule
from latentdrift.sample.samplers import SAMPLERS, first_time, run

DELTA = (0.1, -0.05, 0.2, 0.0)
KINDS = ["epsilon", "v_prediction"]
# What stays of a start shift s_T delta after an undrifted sampler and a drifted network without the wrapper, in units of delta:
# the noise level at which the last step ends for deterministic samplers, the pull of fresh zero-mean noise for the others.
RESIDUALS = {
    "ddim": (50, {}, 0.0292),
    "ddim-eta1": (50, {}, -0.390),
    "ddpm": (50, {"steps_offset": 0}, -0.404),
    "pndm": (50, {}, 0.0292),
    "dpmpp-2m": (25, {}, 0.0),
    "dpmpp-2m-sde": (25, {}, -0.357),
    "unipc": (25, {}, 0.0),
    "deis": (25, {}, 0.0292),
    "euler": (30, {}, 0.0),
    "euler-a": (30, {"timestep_spacing": "linspace"}, -0.367),
    "heun": (30, {}, 0.0),
}


def sample(
    denoiser: Denoiser, schedule: Schedule, sampler: str, steps: int = 20, shift: torch.Tensor | float = 0.0
) -> torch.Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in (10, 11)]
    return run(denoiser, schedule, sampler, steps, randn(2, 4, 8, 8) + shift, None, generators)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sampler_reaches_the_data(sampler: str, kind: str) -> None:
    """From N(a m, 1) to N(m, std^2): 4096 elements, so mean and standard deviation are good to 0.02."""
    schedule, steps = sd_schedule(kind), 250
    generators = [torch.Generator().manual_seed(1)]
    start = randn(1, 4, 32, 32) + schedule.a(first_time(sampler, schedule, steps)) * 0.4
    x0 = run(gaussian(schedule, mean=0.4, std=0.5), schedule, sampler, steps, start, None, generators)
    assert x0.mean().item() == pytest.approx(0.4, abs=0.03)
    assert x0.std().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_wrapped_drift_samples_as_the_undrifted_model(sampler: str, kind: str) -> None:
    schedule = sd_schedule(kind)
    drifted = Drift.of(DELTA).wrap(gaussian(schedule, delta=channels(*DELTA)), schedule)
    difference = sample(drifted, schedule, sampler) - sample(gaussian(schedule), schedule, sampler)
    assert difference.abs().max() <= 1e-6


@pytest.mark.parametrize("sampler", RESIDUALS)
def test_without_the_wrapper_drift_is_lost_as_calculated(sampler: str) -> None:
    steps, options, residual = RESIDUALS[sampler]
    schedule = sd_schedule(**options)
    shift = schedule.s(first_time(sampler, schedule, steps)) * channels(*DELTA)
    found = sample(gaussian(schedule, delta=channels(*DELTA)), schedule, sampler, steps, shift)
    lost = (found - sample(gaussian(schedule), schedule, sampler, steps)).mean((0, 2, 3))
    assert lost.tolist() == pytest.approx([residual * delta for delta in DELTA], abs=0.002 * max(DELTA))
    assert abs(lost[3]) < 1e-6  # the channel without drift is not touched


@pytest.mark.parametrize("steps", [20, 50, 100])
def test_wrapped_drift_does_not_depend_on_the_number_of_steps(steps: int) -> None:
    schedule = sd_schedule()
    drifted = Drift.of(DELTA).wrap(gaussian(schedule, delta=channels(*DELTA)), schedule)
    for sampler in ("ddim", "dpmpp-2m", "euler-a"):
        difference = sample(drifted, schedule, sampler, steps) - sample(gaussian(schedule), schedule, sampler, steps)
        assert difference.mean().abs() <= 1e-6


@pytest.mark.parametrize(("mode", "expected"), [(None, -0.384), ("infer", -0.078), ("train", -0.688), ("both", -0.384)])
def test_start_moves_the_mean_as_calculated(mode: str | None, expected: float) -> None:
    """The mean of a 64 x 64 channel, whose noise has standard deviation 1/64; data N(-0.5, 0.05^2), delta 0.1, DDIM-50."""
    schedule = sd_schedule()
    drift = Drift.of((0.1,), mode) if mode else Drift()
    network = gaussian(schedule, -0.5, 0.05, noise=1 / 64, delta=0.1 if any(drift.train) else 0.0)
    start = drift.start(schedule.s(first_time("ddim", schedule, 50))).reshape(1, 1, 1, 1)
    x0 = run(drift.wrap(network, schedule), schedule, "ddim", 50, start, None, [])
    assert x0.item() == pytest.approx(expected, abs=0.002)


def test_estimated_drift_recovers_the_true_mean() -> None:
    """The same toy: what a plain start misses (-0.384 for -0.5) is the signal that a network expects to leak into the start."""
    schedule = sd_schedule()
    t0 = first_time("ddim", schedule, 50)
    drift = Drift.of((schedule.a(t0).item() * -0.5,), "infer")
    start = drift.start(schedule.s(t0)).reshape(1, 1, 1, 1)
    x0 = run(gaussian(schedule, -0.5, 0.05, noise=1 / 64), schedule, "ddim", 50, start, None, [])
    assert x0.item() == pytest.approx(-0.500, abs=0.002)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_denoiser_sees_unit_variance_whatever_the_scheduler_keeps(sampler: str) -> None:
    """For data of mean 0 and variance 1, xt in VP units has variance 1 at every time."""
    schedule, seen = sd_schedule(), []
    network = gaussian(schedule, mean=0.0, std=1.0)

    def watching(xt: torch.Tensor, t: torch.Tensor, context: object) -> torch.Tensor:
        seen.append(xt.std().item())
        return network(xt, t, context)

    sample(watching, schedule, sampler, 50)
    assert seen == pytest.approx([1.0] * len(seen), abs=0.15)
    assert seen[0] == pytest.approx(randn(2, 4, 8, 8).std().item(), abs=1e-6)


@pytest.mark.parametrize("sampler", [name for name, row in SAMPLERS.items() if row.fresh_noise])
def test_fresh_noise_comes_from_the_images_own_generator(sampler: str) -> None:
    schedule = sd_schedule()
    start = randn(2, 4, 8, 8)

    def images(picks: list[int]) -> torch.Tensor:
        generators = [torch.Generator().manual_seed(index) for index in picks]
        return run(gaussian(schedule), schedule, sampler, 10, start[picks], None, generators)

    both, second = images([0, 1]), images([1])
    assert torch.allclose(both[1:], second, atol=1e-7)
    assert not torch.allclose(both[:1], second, atol=1e-2)


@pytest.mark.parametrize("sampler", [name for name, row in SAMPLERS.items() if row.midway and not row.fresh_noise])
def test_a_start_in_the_middle_continues_the_trajectory(sampler: str) -> None:
    """Data of no variance: from any xt = a m + s eps every solver goes back to m, whichever step it starts at."""
    schedule, steps, skipped = sd_schedule(), 50, 20
    t = schedule.timesteps(steps)[skipped]
    xt = schedule.add_noise(torch.full((1, 4, 8, 8), 0.7, dtype=torch.float64), randn(1, 4, 8, 8), t)
    x0 = run(gaussian(schedule, 0.7, 0.0), schedule, sampler, steps, xt, None, [], start_index=skipped)
    assert (x0 - 0.7).abs().max() < 0.15  # s_0 = 0.029 of noise where the last step ends at alpha_bar[0]


def test_progress_is_told() -> None:
    told = []
    run(gaussian(sd_schedule()), sd_schedule(), "ddim", 5, randn(1, 4, 8, 8), None, [], callback=lambda *it: told.append(it))
    assert told == [(done, 5) for done in range(1, 6)]


def test_sampler_that_cannot_start_midway_says_so() -> None:
    with pytest.raises(OptionError, match="'pndm' cannot start in the middle; take ddim"):
        run(gaussian(sd_schedule()), sd_schedule(), "pndm", 5, randn(1, 4, 8, 8), None, [], start_index=2)


def test_unknown_sampler_lists_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"unknown sampler 'dimm'; known: ddim, .*did you mean 'ddim'"):
        first_time("dimm", sd_schedule(), 50)


@pytest.mark.parametrize("steps", [0, 1000])
def test_steps_have_to_fit_the_schedule(steps: int) -> None:
    with pytest.raises(OptionError, match=f"{steps} sampling steps; the base has times for 1 to 999"):
        first_time("ddim", sd_schedule(), steps)
