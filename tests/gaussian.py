"""A data distribution whose denoiser is known exactly: every element N(mean, std^2),
independent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentdrift.model.conditioning import Conditioning
from latentdrift.model.flow_matching import FlowSchedule
from latentdrift.model.schedule import DEFAULTS, Denoiser, Process, Schedule


def sd_schedule(prediction_type: str = "epsilon", **options: Any) -> Schedule:
    """The schedule of Stable Diffusion 1.x."""
    return Schedule.from_config({**DEFAULTS, "prediction_type": prediction_type, **options})


def schedule_of(kind: str) -> Process:
    """The schedule of a network that predicts `kind`: Stable Diffusion 1.x's, or flow matching."""
    return FlowSchedule() if kind == "flow_prediction" else sd_schedule(kind)


def gaussian(
    schedule: Process,
    mean: float | Tensor = -0.5,
    std: float = 0.35,
    *,
    delta: float | Tensor = 0.0,
    noise: float = 1.0,
) -> Denoiser:
    """The exact network of x0 ~ N(mean, std^2), trained on noise of mean `delta` and standard
    deviation `noise`.

    With y = xt - s delta: x0 = m + a std^2 / (a^2 std^2 + s^2 noise^2) (y - a m), and eps = (y - a
    x0) / s. It says what the schedule asks for of x0 and eps + delta. The context, if a number, is
    added to the mean.
    """

    def denoise(xt: Tensor, t: float | Tensor, context: Any) -> Tensor:
        a, s = schedule.scales(t, xt)
        context = context.embeddings if isinstance(context, Conditioning) else context
        shift = context.reshape(-1, 1, 1, 1) if isinstance(context, Tensor) else (context or 0.0)
        m = mean + shift
        y = xt - s * delta
        x0 = m + a * std**2 / (a**2 * std**2 + s**2 * noise**2) * (y - a * m)
        return schedule.target(x0, (y - a * x0) / s + delta, t)

    return denoise


def channels(*values: float) -> Tensor:
    """One value per latent channel, [1, C, 1, 1] float64."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Unit noise, float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def contexts(*means: float, batch: int = 2) -> tuple[Conditioning, ...]:
    """Conditionings of `gaussian`: what each adds to the mean."""
    return tuple(Conditioning(torch.full((batch,), mean, dtype=torch.float64)) for mean in means)
