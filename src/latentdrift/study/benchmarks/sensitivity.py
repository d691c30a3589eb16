"""How a model's pictures and latents answer to the drift of the start, in the form of the paper's
figure 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from latentdrift.model.model import Model
from latentdrift.sample.generate import SamplingOptions
from latentdrift.sample.samplers import SAMPLERS
from latentdrift.study.model_images import draw_images, with_start

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = (-0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2)  # (Yeganeh et al. 2025, fig. 3)
FEW = 8  # pictures per delta


@dataclass(frozen=True)
class Answer:
    """Response of one model to one delta."""

    delta: float
    picture: np.ndarray
    """The first, [R, R, 3] uint8."""
    mean: list[float]
    """Mean of the latents after each step, over images and channels, in the sampler's units."""
    sd: list[float]
    """Standard deviation of the images' latent means after each step."""


def answers(
    model: Model,
    prompts: Mapping[int, str],
    sampling: SamplingOptions,
    grid: Sequence[float] = GRID,
) -> list[Answer]:
    """Sample a model at every delta of the start, with equal seeds and prompts.

    Args:
        model: The model.
        prompts: Index -> prompt; the first FEW are used.
        sampling: Options of sampling.
        grid: Values of delta, in standard deviations of unit noise.

    Returns:
        For each delta an image, and mean and spread of the latents at each step.
    """
    few = {index: prompts[index] for index in sorted(prompts)[:FEW]}
    images = []
    for delta in grid:
        seen: dict[int, list[Tensor]] = {}

        def watch(xt: Tensor, done: int, seen: dict[int, list[Tensor]] = seen) -> None:
            seen.setdefault(done, []).append(xt.mean((1, 2, 3)).cpu())

        drift = with_start(model.drift, delta, model.base.latent_channels)
        pictures = list(draw_images(model, drift, few, sampling, watch))
        level = [
            np.concatenate([part.numpy() for part in seen[done]])[: len(few)]
            for done in sorted(seen)
        ]
        pixels = np.rint(pictures[0].clip(0, 1) * 255).astype(np.uint8)
        images.append(
            Answer(delta, pixels, [float(x.mean()) for x in level], [float(x.std()) for x in level])
        )
    return images


def figure(models: Mapping[str, Sequence[Answer]], sampler: str) -> Figure:
    """Plot images over delta, and below them latent means over the steps, for each model.

    Args:
        models: Title -> responses from `answers`.
        sampler: Row of SAMPLERS, for the unit of the axis.

    Returns:
        Matplotlib figure.
    """
    from matplotlib.figure import Figure

    columns = max(len(responses) for responses in models.values())
    drawing = Figure(figsize=(1.25 * columns, 3.6 * len(models)), layout="constrained")
    grid = drawing.add_gridspec(2 * len(models), columns, height_ratios=[1, 1.6] * len(models))
    unit = "xt / a" if SAMPLERS[sampler].sigma_units else "xt"
    for row, (name, responses) in enumerate(models.items()):
        for column, answer in enumerate(responses):
            ax = drawing.add_subplot(grid[2 * row, column])
            ax.imshow(answer.picture)
            ax.set_axis_off()
            ax.set_title(f"{answer.delta:+g}", fontsize=8)
        below = drawing.add_subplot(grid[2 * row + 1, :])
        for place, answer in enumerate(responses):
            colour = f"C{place}"
            steps = range(1, len(answer.mean) + 1)
            mean = np.array(answer.mean)
            sd = np.array(answer.sd)
            below.plot(steps, mean, color=colour, label=f"{answer.delta:+g}")
            below.fill_between(steps, mean - sd, mean + sd, color=colour, alpha=0.12, linewidth=0)
        below.set_title(f"{name}: mean of {unit} over the steps, +- sd over pictures", fontsize=8)
        below.tick_params(labelsize=7)
        below.legend(fontsize=6, ncols=2, title="delta of the start", title_fontsize=6)
        below.spines[["top", "right"]].set_visible(False)
    return drawing
