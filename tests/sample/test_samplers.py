"""Every sampler against an exact denoiser: it reaches the data, and drift changes nothing that it
should not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from gaussian import channels, contexts, gaussian, randn, schedule_of, sd_schedule

from latentdrift.errors import OptionError
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import MIXED, Denoiser, Process
from latentdrift.sample.guidance import guide
from latentdrift.sample.samplers import SAMPLERS, configure, first_time, rows, run

DELTA = (0.1, -0.05, 0.2, 0.0)
# (what the network predicts, sampler): every row of both tables.
SCORE_SAMPLERS = [name for name in SAMPLERS if name != "lcm"]
"""Samplers of networks that predict the mean of x0; those of lcm jump to an x0."""

ROWS = [
    (kind, sampler) for kind in MIXED for sampler in rows(schedule_of(kind)) if sampler != "lcm"
]


def sample(
    network: Denoiser,
    schedule: Process,
    sampler: str,
    steps: int = 10,
    *,
    start: torch.Tensor | None = None,
    context: Any = None,
    **options: Any,
) -> torch.Tensor:
    """From unit noise, or `start`, with the same fresh noise every time."""
    generators = [torch.Generator().manual_seed(seed) for seed in (10, 11)]
    xT = randn(2, 4, 8, 8) if start is None else start
    return run(network, schedule, sampler, steps, xT, context, generators, **options)


@pytest.mark.parametrize(("kind", "sampler"), ROWS)
def test_sampler_reaches_the_data(kind: str, sampler: str) -> None:
    """From N(a m, 1) to N(m, std^2): 4096 elements, so mean and standard deviation are good to
    0.02."""
    schedule = schedule_of(kind)
    steps = 150
    generators = [torch.Generator().manual_seed(1)]
    start = randn(1, 4, 32, 32) + schedule.a(first_time(sampler, schedule, steps)) * 0.4
    x0 = run(
        gaussian(schedule, mean=0.4, std=0.5), schedule, sampler, steps, start, None, generators
    )
    assert x0.mean().item() == pytest.approx(0.4, abs=0.03)
    assert x0.std().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("steps", [1, 4, 8])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_lcm_reaches_the_data_in_few_steps(kind: str, steps: int) -> None:
    """A consistent network of N(m, std^2) goes along the probability flow: x0 = m + std (xt - a m)
    / sqrt(a^2 std^2 + s^2)."""
    schedule = schedule_of(kind)
    mean = 0.4
    std = 0.5

    def consistent(xt: torch.Tensor, t: torch.Tensor, context: object) -> torch.Tensor:
        a, s = schedule.scales(t, xt)
        x0 = mean + std * (xt - a * mean) / (a**2 * std**2 + s**2).sqrt()
        return schedule.target(x0, (xt - a * x0) / s, t)

    generators = [torch.Generator().manual_seed(1)]
    start = randn(1, 4, 32, 32) + schedule.a(first_time("lcm", schedule, steps)) * mean
    x0 = run(consistent, schedule, "lcm", steps, start, None, generators)
    assert x0.mean().item() == pytest.approx(mean, abs=0.03)
    assert x0.std().item() == pytest.approx(std, abs=0.03)


def test_lcm_refuses_more_steps_than_its_networks_know() -> None:
    with pytest.raises(OptionError, match="51 sampling steps; sampler 'lcm' takes 1 to 50"):
        configure("lcm", sd_schedule(), 51)


def plain(network: Denoiser, schedule: Process, sampler: str) -> torch.Tensor:
    return sample(network, schedule, sampler)


def guided(network: Denoiser, schedule: Process, sampler: str) -> torch.Tensor:
    return sample(guide(network, 7.5), schedule, sampler, context=contexts(0.0, 1.0))


def rescaled(network: Denoiser, schedule: Process, sampler: str) -> torch.Tensor:
    return sample(guide(network, 7.5, rescale=0.7), schedule, sampler, context=contexts(0.0, 1.0))


def composed(network: Denoiser, schedule: Process, sampler: str) -> torch.Tensor:
    return sample(
        guide(network, 2.0, -0.5, rescale=0.5), schedule, sampler, context=contexts(0.0, 1.0, -2.0)
    )


def image_to_image(network: Denoiser, schedule: Process, sampler: str) -> torch.Tensor:
    """An image, noised with plain noise up to the fifth of ten steps."""
    scheduler = configure(sampler, schedule, 10)
    t = scheduler.timesteps[4 * scheduler.order]
    xt = schedule.add_noise(-0.5 + 0.35 * randn(2, 4, 8, 8, seed=5), randn(2, 4, 8, 8), t)
    return sample(network, schedule, sampler, start=xt, start_index=4)


def inpainted(network: Denoiser, schedule: Process, sampler: str) -> torch.Tensor:
    """The left half is a given image, put back after every step with plain noise of the next step's
    level."""
    x0 = -0.5 + 0.35 * randn(2, 4, 8, 8, seed=5)
    eps = randn(2, 4, 8, 8, seed=6)
    kept = (torch.arange(8) < 4).expand(2, 4, 8, 8)

    def put_back(xt: torch.Tensor, done: int, steps: int, scheduler: Any) -> torch.Tensor:
        if done == steps:
            return torch.where(kept, x0, xt)
        t = scheduler.timesteps[done - steps]
        known = schedule.add_noise(x0, eps, t)
        return torch.where(
            kept, known / schedule.a(t) if rows(schedule)[sampler].sigma_units else known, xt
        )

    return sample(network, schedule, sampler, after=put_back)


USES = [plain, guided, rescaled, composed, image_to_image, inpainted]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize(("kind", "sampler"), ROWS)
def test_wrapped_drift_is_the_undrifted_model_in_every_use(
    kind: str, sampler: str, use: Callable[[Denoiser, Process, str], torch.Tensor]
) -> None:
    """To 1e-6, whatever is done with the latents; all of it goes wrong with the bare network."""
    schedule = schedule_of(kind)
    if use is image_to_image and not rows(schedule)[sampler].midway:
        pytest.skip("does not start in the middle")
    drifted = spread(gaussian(schedule, delta=channels(*DELTA)))
    expected = use(spread(gaussian(schedule)), schedule, sampler)
    assert (
        use(Drift.of(DELTA).wrap(drifted, schedule), schedule, sampler) - expected
    ).abs().max() <= 1e-6
    assert (use(drifted, schedule, sampler) - expected).abs().max() > 0.01


def spread(network: Denoiser) -> Denoiser:
    """A network whose neighbouring elements know of each other; a shift of all makes no difference
    to that."""
    return lambda xt, t, context: network(xt, t, context) + 0.1 * (xt.roll(1, -1) - xt)


@pytest.mark.parametrize("steps", [20, 50, 100])
def test_wrapped_drift_does_not_depend_on_the_number_of_steps(steps: int) -> None:
    schedule = sd_schedule()
    drifted = Drift.of(DELTA).wrap(gaussian(schedule, delta=channels(*DELTA)), schedule)
    for sampler in ("ddim", "dpmpp-2m", "euler-a"):
        difference = sample(drifted, schedule, sampler, steps) - sample(
            gaussian(schedule), schedule, sampler, steps
        )
        assert difference.mean().abs() <= 1e-6


@pytest.mark.parametrize(
    ("mode", "expected"), [(None, -0.384), ("infer", -0.078), ("train", -0.688), ("both", -0.384)]
)
def test_start_moves_the_mean_as_calculated(mode: str | None, expected: float) -> None:
    """The mean of a 64 x 64 channel, whose noise has standard deviation 1/64; data N(-0.5, 0.05^2),
    delta 0.1, DDIM-50."""
    schedule = sd_schedule()
    drift = Drift.of((0.1,), mode) if mode else Drift()
    network = gaussian(schedule, -0.5, 0.05, noise=1 / 64, delta=0.1 if any(drift.train) else 0.0)
    start = drift.shift(schedule.s(first_time("ddim", schedule, 50))).reshape(1, 1, 1, 1)
    x0 = run(drift.wrap(network, schedule), schedule, "ddim", 50, start, None, [])
    assert x0.item() == pytest.approx(expected, abs=0.002)


def test_estimated_drift_recovers_the_true_mean() -> None:
    """The same toy: what a plain start misses (-0.384 for -0.5) is the signal that a network
    expects to leak into the start."""
    schedule = sd_schedule()
    t0 = first_time("ddim", schedule, 50)
    drift = Drift.of((schedule.a(t0).item() * -0.5,), "infer")
    start = drift.shift(schedule.s(t0)).reshape(1, 1, 1, 1)
    x0 = run(gaussian(schedule, -0.5, 0.05, noise=1 / 64), schedule, "ddim", 50, start, None, [])
    assert x0.item() == pytest.approx(-0.500, abs=0.002)


@pytest.mark.parametrize("sampler", SCORE_SAMPLERS)
def test_denoiser_sees_unit_variance_whatever_the_scheduler_keeps(sampler: str) -> None:
    """For data of mean 0 and variance 1, xt in VP units has variance 1 at every time."""
    schedule = sd_schedule()
    seen = []
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

    both = images([0, 1])
    second = images([1])
    assert torch.allclose(both[1:], second, atol=1e-7)
    assert not torch.allclose(both[:1], second, atol=1e-2)


@pytest.mark.parametrize(
    "sampler", [name for name, row in SAMPLERS.items() if row.midway and not row.fresh_noise]
)
def test_a_start_in_the_middle_continues_the_trajectory(sampler: str) -> None:
    """Data of no variance: from any xt = a m + s eps every solver goes back to m, whichever step it
    starts at."""
    schedule = sd_schedule()
    steps = 50
    skipped = 20
    t = schedule.timesteps(steps)[skipped]
    xt = schedule.add_noise(
        torch.full((1, 4, 8, 8), 0.7, dtype=torch.float64), randn(1, 4, 8, 8), t
    )
    x0 = run(
        gaussian(schedule, 0.7, 0.0), schedule, sampler, steps, xt, None, [], start_index=skipped
    )
    assert (
        x0 - 0.7
    ).abs().max() < 0.15  # s_0 = 0.029 of noise where the last step ends at alpha_bar[0]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_done_to_a_guess_is_forgotten_by_its_correction(sampler: str) -> None:
    """Under a network that does not see xt, a change after a call lasts, unless the next call
    starts from the xt before it."""
    schedule = sd_schedule()
    steps = 6
    calls = len(configure(sampler, schedule, steps).timesteps)

    def ended(changed: int) -> torch.Tensor:
        noise = [torch.Generator().manual_seed(0)]
        xt, silent = (
            torch.zeros(1, 1, 2, 2, dtype=torch.float64),
            lambda xt, *_: torch.zeros_like(xt),
        )
        return run(
            silent,
            schedule,
            sampler,
            steps,
            xt,
            None,
            noise,
            after=lambda xt, done, *_: xt + (done == changed),
        )

    plain = ended(0)
    guesses = SAMPLERS[sampler].guesses
    lasts = [not torch.allclose(ended(done), plain, atol=1e-9) for done in range(1, calls + 1)]
    assert lasts == [not guesses(done, calls) for done in range(1, calls + 1)]
    assert sum(lasts) == steps


def test_progress_is_told() -> None:
    told = []
    run(
        gaussian(sd_schedule()),
        sd_schedule(),
        "ddim",
        5,
        randn(1, 4, 8, 8),
        None,
        [],
        callback=lambda *it: told.append(it),
    )
    assert told == [(done, 5) for done in range(1, 6)]


def test_sampler_that_cannot_start_midway_says_so() -> None:
    with pytest.raises(OptionError, match="'pndm' cannot start in the middle; take ddim"):
        run(
            gaussian(sd_schedule()),
            sd_schedule(),
            "pndm",
            5,
            randn(1, 4, 8, 8),
            None,
            [],
            start_index=2,
        )


def test_unknown_sampler_lists_the_known_ones() -> None:
    with pytest.raises(
        OptionError, match=r"unknown sampler 'dimm'; known: ddim, .*did you mean 'ddim'"
    ):
        first_time("dimm", sd_schedule(), 50)


@pytest.mark.parametrize("steps", [0, 1000])
def test_steps_have_to_fit_the_schedule(steps: int) -> None:
    with pytest.raises(
        OptionError, match=f"{steps} sampling steps; the base has times for 1 to 999"
    ):
        first_time("ddim", sd_schedule(), steps)
