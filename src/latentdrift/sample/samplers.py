"""SAMPLERS: names -> diffusers schedulers, configured; and the one loop that runs any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from latentdrift.errors import OptionError, unknown
from latentdrift.model.schedule import Process

Context = TypeVar("Context")
"""Type of the denoiser's third argument: a conditioning, several, or nothing."""

After = Callable[[Tensor, int, int, Any], Tensor]
"""(xt in the scheduler's own units, calls done, calls in all, scheduler) -> xt. Next comes
scheduler.timesteps[done - all]."""


@dataclass(frozen=True)
class DdimStep:
    """Arguments of a step of DDIM."""

    eta: float = 0.0
    """Share of DDPM's noise, 0 to 1 (Song et al. 2021, eq. 16)."""
    variance_noise: float | None = None
    """Noise in place of a drawn one; None: it is drawn."""

    def arguments(self) -> dict[str, float | None]:
        """Arguments of the scheduler's step by name."""
        return {"eta": self.eta, "variance_noise": self.variance_noise}


@dataclass(frozen=True)
class Sampler:
    """A row of SAMPLERS."""

    scheduler: str
    """Name of the diffusers class."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Beyond the base's own configuration."""
    step: DdimStep | None = None
    """Arguments of each step, of a row of DDIM."""
    fresh_noise: bool = False
    """It draws noise at every step, from the image's generator."""
    sigma_units: bool = False
    """It keeps xt / a = x0 + (s / a) eps instead of xt."""
    midway: bool = True
    """It can start in the middle of its times."""
    zero_snr: bool = True
    """It can start from pure noise, where a = 0."""
    scales_input: bool = True
    """It has a `scale_model_input`."""
    max_steps: int | None = None
    """Largest number of steps: those at which its networks were distilled; None: no limit of its
    own."""
    guesses: Callable[[int, int], bool] = lambda done, calls: False
    """(calls done, calls in all) -> whether xt is a guess, which the next call corrects, and no
    step is done."""


def _guesses_of_heun(done: int, calls: int) -> bool:
    """Every step but the last is a guess and a correction (Karras et al. 2022, algorithm 1)."""
    return done % 2 == 1 and done < calls


SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler("DDIMScheduler"),
    # At a = 0 it takes the root of a rounded 0, which may be negative; ddpm is the same sampler
    # without that root.
    "ddim-eta1": Sampler("DDIMScheduler", step=DdimStep(eta=1.0), fresh_noise=True, zero_snr=False),
    "ddpm": Sampler("DDPMScheduler", fresh_noise=True),
    # Its first step is a guess and a correction (Liu et al. 2022, eq. 12 and 13, as diffusers'
    # `step_plms`).
    "pndm": Sampler(
        "PNDMScheduler",
        {"skip_prk_steps": True},
        midway=False,
        zero_snr=False,
        guesses=lambda done, calls: done == 1 < calls,
    ),
    "dpmpp-2m": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpmpp-2m-sde": Sampler(
        "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, fresh_noise=True
    ),
    "unipc": Sampler("UniPCMultistepScheduler"),
    "deis": Sampler("DEISMultistepScheduler", zero_snr=False),
    "euler": Sampler("EulerDiscreteScheduler", sigma_units=True),
    "euler-a": Sampler("EulerAncestralDiscreteScheduler", fresh_noise=True, sigma_units=True),
    "heun": Sampler(
        "HeunDiscreteScheduler", sigma_units=True, zero_snr=False, guesses=_guesses_of_heun
    ),
    "lms": Sampler("LMSDiscreteScheduler", sigma_units=True, zero_snr=False),
    # For consistency models and adapters (Luo et al. 2023), 1 to 8 steps.
    "lcm": Sampler("LCMScheduler", fresh_noise=True, max_steps=50),
}

# The same for networks that predict eps - x0.
FLOW_SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler("FlowMatchEulerDiscreteScheduler", scales_input=False),
    "heun": Sampler("FlowMatchHeunDiscreteScheduler", scales_input=False, guesses=_guesses_of_heun),
}


def rows(schedule: Process) -> dict[str, Sampler]:
    """Table of the samplers for a schedule: SAMPLERS, or FLOW_SAMPLERS for flow prediction."""
    return FLOW_SAMPLERS if schedule.prediction_type == "flow_prediction" else SAMPLERS


def configure(sampler: str, schedule: Process, steps: int) -> Any:
    """Make the diffusers scheduler of a sampler, with its times set.

    Args:
        sampler: Name of a row of `rows`.
        schedule: Noise schedule of the base.
        steps: Number of sampling steps.

    Raises:
        OptionError: No such row, a row that cannot start where the base does, or more steps than
            the base has times.
    """
    import diffusers

    known = rows(schedule)
    if sampler not in known:
        raise unknown("sampler", sampler, known)
    row = known[sampler]
    max_steps = schedule.length - schedule.config.get("steps_offset", 0)
    if not 1 <= steps <= max_steps:
        raise OptionError(f"{steps} sampling steps; the base has times for 1 to {max_steps}")
    if row.max_steps and steps > row.max_steps:
        raise OptionError(
            f"{steps} sampling steps; sampler '{sampler}' takes 1 to {row.max_steps}, and 4 to 8 "
            "are usual"
        )
    if schedule.zero_snr and not row.zero_snr:
        able = ", ".join(name for name, other in known.items() if other.zero_snr)
        raise OptionError(
            f"sampler '{sampler}' cannot start from pure noise, as zero terminal SNR asks for; "
            f"take one of: {able}"
        )
    scheduler = getattr(diffusers, row.scheduler).from_config(schedule.config, **row.options)
    scheduler.set_timesteps(steps)
    return scheduler


def first_time(sampler: str, schedule: Process, steps: int) -> Tensor:
    """Time at which a sampler starts, a scalar tensor; arguments and errors are those of
    `configure`."""
    result: Tensor = configure(sampler, schedule, steps).timesteps[0]
    return result


@torch.no_grad()
def run(
    denoiser: Callable[[Tensor, Any, Context], Tensor],
    schedule: Process,
    sampler: str,
    steps: int,
    xT: Tensor,
    context: Context,
    generators: Sequence[torch.Generator],
    *,
    start_index: int = 0,
    step: DdimStep | None = None,
    after: After | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Sample from a start to x0 [B, C, h, w].

    The denoiser always receives VP units and the time that defines s, whatever units the scheduler
    has. So one start serves all rows: xT in VP units becomes xT sqrt(sigma^2 + 1) = xT / a in sigma
    units. A start of mean s delta then has the mean sigma delta.

    Args:
        denoiser: The network, with drift and guidance wrapped around it.
        schedule: Schedule of the base.
        sampler: Row of SAMPLERS, or of FLOW_SAMPLERS.
        steps: Steps of the full trajectory.
        xT: Start [B, C, h, w] in VP units, at the time of `start_index`.
        context: Passed to the denoiser.
        generators: One for each image; a sampler with fresh noise draws from them.
        start_index: Number of steps to skip, because xT is at that time already.
        step: Arguments of each step in place of the row's own; None: the row's.
        after: Changes xt after each step, before the next one; None: no change.
        callback: Called with (steps done, all) after each step; None: not called.
    """
    scheduler = configure(sampler, schedule, steps)
    row = rows(schedule)[sampler]
    if start_index and not row.midway:
        raise OptionError(f"sampler '{sampler}' cannot start in the middle; take ddim")
    times = scheduler.timesteps[start_index * scheduler.order :]
    noise = {"generator": list(generators)} if row.fresh_noise else {}
    chosen = step or row.step
    arguments = chosen.arguments() if chosen else {}
    xt = (
        xT * (scheduler.sigmas[start_index * scheduler.order] ** 2 + 1).sqrt().to(xT)
        if row.sigma_units
        else xT
    )
    for done, t in enumerate(times, 1):
        prediction = denoiser(
            scheduler.scale_model_input(xt, t) if row.scales_input else xt, t, context
        )
        xt = scheduler.step(prediction, t, xt, **noise, **arguments).prev_sample
        if after:
            xt = after(xt, done, len(times), scheduler)
        if callback:
            callback(done, len(times))
    return xt
