"""SAMPLERS: names -> diffusers schedulers, configured; and the one loop that runs any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from latentdrift.errors import OptionError, unknown
from latentdrift.model.schedule import Denoiser, Schedule


@dataclass(frozen=True)
class Sampler:
    """A row of SAMPLERS."""

    scheduler: str
    """Name of the diffusers class."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Beyond the base's own configuration."""
    step: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of each step."""
    fresh_noise: bool = False
    """It draws noise at every step, from the image's generator."""
    sigma_units: bool = False
    """It keeps xt / a = x0 + (s / a) eps instead of xt."""
    midway: bool = True
    """It can start in the middle of its times."""


SAMPLERS: dict[str, Sampler] = {
    "ddim": Sampler("DDIMScheduler"),
    "ddim-eta1": Sampler("DDIMScheduler", step={"eta": 1.0}, fresh_noise=True),
    "ddpm": Sampler("DDPMScheduler", fresh_noise=True),
    "pndm": Sampler("PNDMScheduler", {"skip_prk_steps": True}, midway=False),  # its first time is visited twice
    "dpmpp-2m": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpmpp-2m-sde": Sampler("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, fresh_noise=True),
    "unipc": Sampler("UniPCMultistepScheduler"),
    "deis": Sampler("DEISMultistepScheduler"),
    "euler": Sampler("EulerDiscreteScheduler", sigma_units=True),
    "euler-a": Sampler("EulerAncestralDiscreteScheduler", fresh_noise=True, sigma_units=True),
    "heun": Sampler("HeunDiscreteScheduler", sigma_units=True),
    "lms": Sampler("LMSDiscreteScheduler", sigma_units=True),
}


def configure(sampler: str, schedule: Schedule, steps: int) -> Any:
    """The diffusers scheduler of a row, with its times set.

    Raises:
        OptionError: no such row, or more steps than the base has times.
    """
    import diffusers

    if sampler not in SAMPLERS:
        raise unknown("sampler", sampler, SAMPLERS)
    most = len(schedule.alpha_bar) - schedule.config["steps_offset"]
    if not 1 <= steps <= most:
        raise OptionError(f"{steps} sampling steps; the base has times for 1 to {most}")
    row = SAMPLERS[sampler]
    scheduler = getattr(diffusers, row.scheduler).from_config(schedule.config, **row.options)
    scheduler.set_timesteps(steps)
    return scheduler


def first_time(sampler: str, schedule: Schedule, steps: int) -> Tensor:
    """The time at which a sampler starts."""
    return configure(sampler, schedule, steps).timesteps[0]


@torch.no_grad()
def run(
    denoiser: Denoiser,
    schedule: Schedule,
    sampler: str,
    steps: int,
    xT: Tensor,
    context: Any,
    generators: Sequence[torch.Generator],
    *,
    start_index: int = 0,
    callback: Callable[[int, int], None] | None = None,
) -> Tensor:
    """From a start to x0 [B, C, h, w].

    The denoiser always sees VP units and the time that defines s, whatever units the scheduler keeps, so one start serves all
    rows: xT in VP units becomes xT / a in sigma units, in which a start of mean s delta has the mean sigma delta.

    Args:
        denoiser: the network, with drift and guidance wrapped around it.
        schedule: of the base.
        sampler: a row of SAMPLERS.
        steps: of the full trajectory.
        xT: start [B, C, h, w] in VP units, at the time of `start_index`.
        context: handed to the denoiser.
        generators: one per image; a sampler with fresh noise draws from them.
        start_index: number of steps that are skipped, because xT is that far already.
        callback: told (steps done, steps in all) after each.
    """
    scheduler = configure(sampler, schedule, steps)
    row = SAMPLERS[sampler]
    if start_index and not row.midway:
        raise OptionError(f"sampler '{sampler}' cannot start in the middle; take ddim")
    times = scheduler.timesteps[start_index * scheduler.order :]
    noise = {"generator": list(generators)} if row.fresh_noise else {}
    xt = xT / schedule.scales(times[0], xT)[0] if row.sigma_units else xT
    for done, t in enumerate(times, 1):
        prediction = denoiser(scheduler.scale_model_input(xt, t), t, context)
        xt = scheduler.step(prediction, t, xt, **row.step, **noise).prev_sample
        if callback:
            callback(done, len(times))
    return xt
