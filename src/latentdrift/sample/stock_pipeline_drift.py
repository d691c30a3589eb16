"""Drift in stock pipelines, which know nothing of it: what to start from, and what to add after
each step.

Here the network is wrapped, and the latents are yt = xt - s delta. A stock pipeline calls the bare
network, so its latents are xt themselves and have to keep the mean s delta. A step takes xt = a x0
+ s (eps + delta) to a mean in which eps + delta has some coefficient c, and fresh noise makes up
for the rest of the next level s_next; but fresh noise has mean zero. What is lost is

    k delta,   k = s_next - c = s_next (1 - sqrt(1 - eta^2 (1 - e^-2h))),   e^-h = sigma_next / sigma,   sigma = s / a

which is 0 for deterministic samplers (eta = 0), and s_next (1 - e^-h) where all of the posterior's
noise is drawn (eta = 1). Levels are in the scheduler's own units: s, or sigma. It is exact for all
schedulers of STOCK but PNDM with v, which averages predictions of several times; not with guidance
rescale, which multiplies the mean too; and not for stock inversion, whose network is called at
another time than its latents have. Inside this package none of it is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentdrift.errors import AdapterError, unknown
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics, begin
from latentdrift.model.schedule import Schedule


def _listed(scheduler: Any) -> tuple[Tensor, Tensor]:
    """sigma = s / a at each time and after its step [n], from the scheduler's own list."""
    return scheduler.sigmas[:-1].double(), scheduler.sigmas[1:].double()


def _strided(scheduler: Any) -> tuple[Tensor, Tensor]:
    """Values of a scheduler whose step goes down by T / n, and at last to `final_alpha_cumprod`."""
    alpha_bar = scheduler.alphas_cumprod.double()
    times = scheduler.timesteps
    before = times - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    after = torch.where(
        before >= 0, alpha_bar[before.clamp(min=0)], scheduler.final_alpha_cumprod.double()
    )
    return _sigma(alpha_bar[times]), _sigma(after)


def _visited(scheduler: Any) -> tuple[Tensor, Tensor]:
    """Values of a scheduler whose step goes to the next time, and at last to alpha_bar = 1."""
    alpha_bar = scheduler.alphas_cumprod.double()[scheduler.timesteps]
    return _sigma(alpha_bar), _sigma(torch.cat([alpha_bar[1:], torch.ones(1)]))


def _sigma(alpha_bar: Tensor) -> Tensor:
    return ((1 - alpha_bar) / alpha_bar).sqrt()


@dataclass(frozen=True)
class Stock:
    """A row of STOCK."""

    levels: Callable[[Any], tuple[Tensor, Tensor]] = _listed
    """Scheduler with its times set -> sigma at each time, and after its step."""
    eta: float | None = 0.0
    """Fresh noise as a share of the posterior's; None: the pipeline's `eta`."""
    sigma_units: bool = False
    """Its latents are xt / a."""


# Class of a diffusers scheduler, with its algorithm where it has several.
STOCK: dict[str, Stock] = {
    "DDIMScheduler": Stock(_strided, eta=None),
    "DDPMScheduler": Stock(
        _visited, eta=1.0
    ),  # whatever `variance_type` is: it is the mean that counts
    "PNDMScheduler": Stock(_strided),
    "DPMSolverMultistepScheduler dpmsolver++": Stock(),
    "DPMSolverMultistepScheduler sde-dpmsolver++": Stock(eta=1.0),
    "UniPCMultistepScheduler": Stock(),
    "DEISMultistepScheduler deis": Stock(),
    "EulerDiscreteScheduler": Stock(sigma_units=True),
    "EulerAncestralDiscreteScheduler": Stock(eta=1.0, sigma_units=True),
    "HeunDiscreteScheduler": Stock(sigma_units=True),
    "LMSDiscreteScheduler": Stock(sigma_units=True),
}


def lost(scheduler: Any, eta: float = 0.0) -> tuple[Tensor, Tensor]:
    """k [n], what each call's step loses of a drift of 1, and the level [n] at which the step ends.

    Args:
        scheduler: A diffusers scheduler with its times set.
        eta: Value of `eta` of the pipeline, for DDIM.

    Raises:
        OptionError: Not a row of STOCK.
    """
    name = " ".join(
        filter(None, (type(scheduler).__name__, scheduler.config.get("algorithm_type")))
    )
    if name not in STOCK:
        raise unknown("scheduler", name, STOCK)
    row = STOCK[name]
    now, after = row.levels(scheduler)
    level = after if row.sigma_units else after / (1 + after**2).sqrt()
    noise = eta if row.eta is None else row.eta
    return level * (
        1 - (1 - noise**2 * (1 - (after / now) ** 2)).sqrt()
    ), level  # (Song et al. 2021, eq. 12 and 16)


def on_step_end(
    drift: Drift, eta: float = 0.0
) -> Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]:
    """Make `callback_on_step_end` of a stock pipeline for a network that was trained with drift.

    It adds k delta_train after each step. After the last step it subtracts the rest of the mean,
    where a scheduler ends at alpha_bar[0] and not at 1. Then the latents are those of the wrapped
    network.

    Args:
        drift: Drift of the adapter; where it differs by class, `drift.of_prompt(prompt)`.
        eta: Value of `eta` in the pipeline's call, for DDIM.

    Raises:
        AdapterError: Drift of another form, or of several classes.
    """
    _check(drift)
    delta = torch.tensor(drift.train or (0.0,)).reshape(-1, 1, 1)

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        index = int(
            (pipe.scheduler.timesteps == timestep).nonzero()[-1]
        )  # `step` counts from where an image was put in
        k, level = lost(pipe.scheduler, eta)
        share = k[index] - level[-1] if index == len(k) - 1 else k[index]
        return {**tensors, "latents": tensors["latents"] + (share * delta).to(tensors["latents"])}

    return callback


def start(
    drift: Drift,
    schedule: Schedule,
    t0: Tensor,
    size: tuple[int, int, int],
    source: torch.Generator,
    statistics: Statistics | None = None,
) -> Tensor:
    """Argument `latents` [1, C, h, w] of a stock pipeline for a network that was trained with
    drift.

    It is unit noise of mean s_T delta_infer, or another start of the adapter. It is not scaled,
    because diffusers multiplies it by `init_noise_sigma`.

    Args:
        drift: Drift of the adapter.
        schedule: Noise schedule of the base.
        t0: Time at which sampling starts.
        size: (C, h, w).
        source: Generator of the noise.
        statistics: Statistics of the training latents; None where the start needs none.

    Raises:
        AdapterError: Drift of another form, or of several classes.
    """
    _check(drift)
    trained = torch.tensor(drift.train or (0.0,), dtype=torch.float64).reshape(
        -1, 1, 1
    ) * schedule.s(t0)
    return (begin(drift, statistics, schedule, t0, size, source) + trained.float())[None]


def _check(drift: Drift) -> None:
    """Check that a stock pipeline can be given this drift.

    Raises:
        AdapterError: Drift of another form, or of several classes.
    """
    if drift.form != "noise_mean":
        raise AdapterError(
            f"drift of form '{drift.form}' is an ablation; stock pipelines are given 'noise_mean' "
            "only"
        )
    if drift.groups:
        raise AdapterError(
            "this drift differs by class; give that of one prompt, drift.of_prompt(prompt)"
        )
