"""INVERSIONS: from where, and along what, a given image comes back when it is sampled under its own
prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentdrift.edit.core.task import MEAN, Inverted, Task
from latentdrift.edit.inversions.noise_regularization import regularised
from latentdrift.edit.inversions.null_text import null_text
from latentdrift.errors import OptionError
from latentdrift.model.schedule import Schedule
from latentdrift.sample.samplers import Context, configure

TOLERANCE = 0.02
"""Mean change of an image's eps by an iteration, in standard deviations of unit noise, below which
the iterations of a step end (ours: 30 steps of a fit on OASIS-2 then take 39 calls and come back
nearer, with 73 dB, than 61 calls with two iterations at every step, 64 dB)."""

MAX_ITERATIONS = 5
"""Fixed-point iterations of a step at most; each costs one call of the network."""


@torch.no_grad()
def ddim_inversion(
    denoiser: Callable[[Tensor, Any, Context], Tensor],
    schedule: Schedule,
    x0: Tensor,
    context: Context,
    steps: int,
    depth: int,
    *,
    iterations: int | None = None,
) -> Tensor:
    """Last point of `ddim_trajectory`: xt [1, C, h, w]; its arguments are those of
    `ddim_trajectory`."""
    path = ddim_trajectory(denoiser, schedule, x0, context, steps, depth, iterations=iterations)
    return path[-1]


@torch.no_grad()
def ddim_trajectory(
    denoiser: Callable[[Tensor, Any, Context], Tensor],
    schedule: Schedule,
    x0: Tensor,
    context: Context,
    steps: int,
    depth: int,
    *,
    iterations: int | None = None,
    noise: Callable[[Tensor], Tensor] = lambda eps: eps,
) -> list[Tensor]:
    """x0 and the xt of `depth` of `steps` DDIM steps up, from each of which sampling under the same
    context comes back to x0.

    DDIM goes from xt to x_prev = a_prev x0(xt) + s_prev eps(xt) (Song et al. 2021, eq. 12 with
    sigma = 0). Solved for xt,

        xt = (a / a_prev) x_prev + (s - a s_prev / a_prev) eps(xt, t)

    with eps at the xt that is looked for, so by fixed-point iteration (Pan et al. 2023, AIDI).
    By default it starts with eps extrapolated from the two steps before, and ends where eps
    settles: the first steps, in which eps changes most, take most iterations. Stock inverse schedulers take eps at x_prev and t
    instead, one step behind, and do not come back to the image.

    Args:
        denoiser: The network with drift wrapped around it; guidance is best left out (w = 1), it
            makes the map hard to invert.
        schedule: Schedule of the base.
        x0: Scaled latents [B, C, h, w].
        context: Handed to the denoiser.
        steps: DDIM steps of the full trajectory.
        depth: Number of these steps to go up.
        iterations: Fixed-point iterations of each step, begun with the eps of the step before;
            None: as many as settle eps, at most MAX_ITERATIONS, begun with an extrapolated eps.
        noise: Changes the eps with which a step is taken at last.
    """
    times = schedule.timesteps(steps).flip(0)[:depth]
    xt = x0
    latents = [x0]
    eps = schedule.split(denoiser(xt, times[0], context), xt, times[0])[1]
    history: list[Tensor] = []
    for t in times:
        scale, slope = _step_up(schedule, steps, t, xt)
        fixed = scale * xt
        if iterations is None and len(history) > 1:
            eps = 2 * history[-1] - history[-2]
        for _ in range(iterations or MAX_ITERATIONS):
            before = eps
            xt = fixed + slope * before
            eps = schedule.split(denoiser(xt, t, context), xt, t)[1]
            change = (eps - before).abs().mean((1, 2, 3)).max()
            if iterations is None and change < TOLERANCE:
                break
        history = [*history[-1:], eps]
        xt = fixed + slope * noise(eps)
        latents.append(xt)
    return latents


def _trajectory(task: Task, noise: Callable[[Tensor], Tensor] = lambda eps: eps) -> list[Tensor]:
    return ddim_trajectory(
        task.denoiser,
        task.schedule,
        task.x0,
        task.source,
        task.steps,
        task.depth,
        iterations=task.spec.iterations,
        noise=noise,
    )


def ddim(task: Task) -> Inverted:
    """DDIM inversion, with guidance away from the empty prompt.

    With guidance other than 1 the reconstruction leaves the image.

    Args:
        task: The edit.
    """
    return Inverted(_trajectory(task)[-1], task.empty)


def negative_prompt(task: Task) -> Inverted:
    """DDIM inversion, with guidance away from the source's own prompt (Miyake et al. 2023).

    So the reconstruction holds at any guidance, without optimisation.

    Args:
        task: The edit.
    """
    return Inverted(_trajectory(task)[-1], task.source)


@torch.no_grad()
def direct(task: Task) -> Inverted:
    """DDIM inversion by one call per step; what each step back misses is kept and added to it.

    A step up takes eps extrapolated from the two steps before, and the network is called where it
    arrives. There the step back is known, and with it what it lacks to the point before: the
    correction. So the reconstruction is exact under the source's prompt without guidance, and
    needs no further call. Ju et al. (2024, direct inversion) correct the reconstruction alone;
    here the counterfactual takes the same corrections, so that no change of the prompt is no
    change of the image.

    Args:
        task: The edit.
    """
    scheduler = configure("ddim", task.schedule, task.steps)
    times = scheduler.timesteps[-task.depth :].flip(0)
    xt = task.x0
    eps = task.schedule.split(task.denoiser(xt, times[0], task.source), xt, times[0])[1]
    history: list[Tensor] = []
    corrections = []
    for t in times:
        if len(history) > 1:
            eps = 2 * history[-1] - history[-2]
        scale, slope = _step_up(task.schedule, task.steps, t, xt)
        above = scale * xt + slope * eps
        output = task.denoiser(above, t, task.source)
        corrections.append(xt - scheduler.step(output, t, above).prev_sample)
        eps = task.schedule.split(output, above, t)[1]
        history = [*history[-1:], eps]
        xt = above
    return Inverted(xt, task.source, corrections=torch.cat(corrections[::-1]))


def optimised(task: Task) -> Inverted:
    """DDIM inversion, with an optimised embedding for each step in place of the empty prompt.

    It makes guided sampling return to the image; see `null_text`.

    Args:
        task: The edit.
    """
    path = _trajectory(task)
    return Inverted(path[-1], null_text(task, path))


def smoothed(task: Task) -> Inverted:
    """DDIM inversion with regularised noise; see `regularised`. The reconstruction is less exact.

    Args:
        task: The edit.
    """
    return Inverted(_trajectory(task, regularised)[-1], task.source)


@torch.no_grad()
def edit_friendly(task: Task) -> Inverted:
    """Inversion with independent noise at each step (Huberman-Spiegelglas et al. 2024, alg. 1).

        xt = a x0 + s eps_t, with independent eps_t
        residual = x_prev - mean(xt, eps(xt, t)) = sigma_t z_t

    The reconstruction is exact: the residual of the last step ends at x0. The authors store z_t,
    and leave out the last, where sigma may be 0. It holds under the source's prompt without
    guidance.

    Args:
        task: The edit.

    Raises:
        OptionError: The base starts from pure noise, and the edit from its first time.
    """
    scheduler = configure("ddim", task.schedule, task.steps)
    times = task.times
    if task.schedule.a(times[0]) == 0:
        raise OptionError(
            "a start from pure noise holds nothing of the image; take a `strength` below 1 for "
            "edit-friendly noise"
        )
    path = [*(task.noised(t) for t in times), task.x0]
    residuals = []
    for t, xt, x_prev in zip(scheduler.timesteps[-len(times) :], path, path[1:], strict=False):
        eps = task.denoiser(xt, t, task.source)
        residuals.append(x_prev - scheduler.step(eps, t, xt, **MEAN.arguments()).prev_sample)
    return Inverted(path[0], task.source, torch.cat(residuals))


@dataclass(frozen=True)
class Inversion:
    """A row."""

    invert: Callable[[Task], Inverted]
    """Reads nothing of what the source is changed to."""
    options: tuple[str, ...] = ("strength", "steps", "iterations")
    """The options of `edit` that shape it."""


INVERSIONS: dict[str, Inversion] = {
    "direct": Inversion(direct, ("strength", "steps")),
    "ddim": Inversion(ddim),
    "negative-prompt": Inversion(negative_prompt),
    "null-text": Inversion(optimised, ("strength", "steps", "iterations", "guidance")),
    "regularised": Inversion(smoothed),
    "edit-friendly": Inversion(edit_friendly, ("strength", "steps", "seed")),
}


def _step_up(schedule: Schedule, steps: int, t: Tensor, x_prev: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of x_prev and of eps in the xt from which DDIM comes to x_prev."""
    stride = len(schedule.alpha_bar) // steps  # as DDIMScheduler.step counts
    a, s = schedule.scales(t, x_prev)
    a_prev, s_prev = _before(schedule, int(t) - stride, x_prev)
    return a / a_prev, s - a * s_prev / a_prev


def _before(schedule: Schedule, t: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """a and s where a DDIM step arrives; below time 0 the last step's, alpha_bar[0] or 1
    (`set_alpha_to_one`)."""
    if t < 0 and schedule.config["set_alpha_to_one"]:
        return torch.ones_like(like[:1, :1, :1, :1]), torch.zeros_like(like[:1, :1, :1, :1])
    return schedule.scales(max(t, 0), like)
