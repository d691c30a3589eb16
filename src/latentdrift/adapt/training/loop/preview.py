"""Pictures of a network in training, and of the finished one, and what a judge of real anatomy says
of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from latentdrift.adapt.training.batches.batches import Beside
from latentdrift.adapt.training.setup.training_setup import IMAGE_INPUTS, Job
from latentdrift.model.adapter_info import PreviewVerdict
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.progress import ProgressCallback
from latentdrift.sample.generate import SamplingOptions, latents, slots_of

PICTURES = 4  # in each preview
LAST_PICTURES = 16  # drawn by the finished network, to be judged (ours)
PREVIEW = SamplingOptions(seed=0, steps=20, guidance=2.5, sampler="ddim")

Draw = Callable[
    [Base, Drift, Statistics | None, list[str], torch.Tensor | None, ProgressCallback], np.ndarray
]
"""(base as it is now, drift, statistics of the training latents, prompts, images that the network
reads, callback with images done and all) -> [N, H, W, 3] uint8."""


Judge = Callable[[np.ndarray, ProgressCallback], PreviewVerdict]
"""(images [N, H, W, 3] uint8, callback with the parts of the training of critics that are done and
all) -> verdict."""


class Previews:
    """Draws prompts of the training split, evenly chosen.

    Args:
        draw: Samples images; None: no previews.
        todo: The fit.
        statistics: Statistics of the training latents.
        beside: Inputs of the network beside noise and text; None: none.
    """

    def __init__(
        self, draw: Draw | None, todo: Job, statistics: Statistics | None, beside: Beside | None
    ) -> None:
        self._draw = draw
        self.todo = todo
        self.statistics = statistics
        self.beside = beside

    @property
    def wanted(self) -> bool:
        """Whether the fit draws preview images."""
        return self._draw is not None and self.todo.options.preview_every > 0

    def due(self, done: int) -> bool:
        """Whether a preview is due after `done` steps."""
        return self.wanted and done % self.todo.options.preview_every == 0

    @torch.no_grad()
    def draw(
        self, base: Base, drift: Drift, report: ProgressCallback, count: int = PICTURES
    ) -> np.ndarray:
        """Sample images from the network in its current state.

        Args:
            base: The network.
            drift: Its drift.
            report: Called with (done, all) of the images.
            count: Number of images; their prompts are spread evenly over the training examples.

        Returns:
            Images [count, H, W, 3] uint8.
        """
        assert self._draw is not None
        spread = np.linspace(0, len(self.todo.train) - 1, count).astype(int)
        examples = [self.todo.train[place] for place in spread]
        prompts = [example.caption for example in examples]
        images = self.beside(examples) if self.beside else None
        return self._draw(base, drift, self.statistics, prompts, images, report)


def seconds_per_image(base: Base, todo: Job) -> float:
    """Estimate the seconds that a preview image takes among others, from two real steps.

    The time of the judge is not counted.

    Args:
        base: The network.
        todo: The fit.

    Returns:
        Seconds; 0 without previews.
    """
    if not todo.options.preview_every:
        return 0.0
    few = replace(PREVIEW, resolution=todo.resolution, steps=2)
    images = (
        {0: [torch.zeros(IMAGE_INPUTS[todo.row.image_input].shape(base, todo.resolution))]}
        if todo.row.image_input
        else None
    )
    began = time.perf_counter()
    list(latents(base, Drift(), {0: todo.train[0].caption}, few, None, images))
    return (time.perf_counter() - began) * PREVIEW.steps / few.steps / slots_of(base)
