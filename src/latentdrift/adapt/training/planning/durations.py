"""Time of a fit, from real steps on noise: its own, or smaller ones that are extrapolated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from latentdrift.adapt.training.batches import row_cache
from latentdrift.adapt.training.batches.batches import AT_A_TIME, HELD_OUT
from latentdrift.adapt.training.loop import preview
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.planning.fit_trace import Operations, noise_batch
from latentdrift.adapt.training.setup import drift_calibration, prior_preservation
from latentdrift.adapt.training.setup.training_setup import Job
from latentdrift.config import FitOptions
from latentdrift.model.base import Base
from latentdrift.sample.generate import slots_of

TIMED = 2  # times that a thing is done, the fastest of which counts; the first is slower


@dataclass(frozen=True)
class Durations:
    """Seconds that the parts of a fit take.

    Attributes:
        gradients: Gradients of one optimiser step.
        update: The rest of a step: the weights, and their average.
        encoding: Latents of the images that the timed fit reads.
        class_images: Images of prior preservation, drawn by the base.
        calibration: Images that calibrate the drift.
        preview_image: One preview image, without the critics that judge it; 0 without previews.
        look: One measurement of the held-out loss; 0 without held-out images.
        drawn: Images of one preview, at least: those that are drawn together.
        read: Images that the timed fit reads. A shorter fit reads fewer.
        read_anyway: Images that a fit reads without any step, at most.
        read_per_step: Images of a step.
    """

    gradients: float
    update: float
    encoding: float
    class_images: float
    calibration: float
    preview_image: float
    look: float
    drawn: int = preview.PICTURES
    read: int = 1
    read_anyway: int = 0
    read_per_step: int = 1

    @property
    def step(self) -> float:
        """Seconds of one optimiser step."""
        return self.gradients + self.update

    def total(self, options: FitOptions) -> float:
        """Seconds of a fit, by its numbers of steps, checkpoints and previews."""
        return sum(self.parts(options).values())

    def parts(self, options: FitOptions) -> dict[str, float]:
        """Seconds of each part of a fit, by its numbers of steps, checkpoints and previews."""
        steps = options.steps
        looks = 1 + math.ceil(steps / options.checkpoint_every)  # the first before any step
        previews = steps // options.preview_every if options.preview_every else 0
        images = previews * self.drawn + preview.LAST_PICTURES
        read = min(self.read, self.read_anyway + steps * self.read_per_step)
        return {
            "encoding": self.encoding * read / self.read,
            "class images": self.class_images,
            "steps": self.step * steps,
            "held-out loss": self.look * looks,
            "calibration": self.calibration,
            "previews": self.preview_image * images,
        }

    def extrapolated(self, small: Operations, large: Operations) -> Durations:
        """Durations of a larger fit, each in proportion to its floating-point operations.

        The update of the weights does not depend on the images.

        Args:
            small: Operations of the fit that was measured.
            large: Operations of the larger fit.
        """
        network = large.watching / small.watching
        return replace(
            self,
            gradients=self.gradients * large.step / small.step,
            encoding=self.encoding * large.encoding / small.encoding,
            class_images=self.class_images * network,
            calibration=self.calibration * network,
            preview_image=self.preview_image * network,
            look=self.look * network,
        )


def measure(base: Base, todo: Job, trainer: Trainer) -> Durations:
    """Measure the parts of a fit on noise.

    Args:
        base: The base in training.
        todo: The resolved fit.
        trainer: Makes its steps; they change the base.
    """
    options = todo.options
    batch = noise_batch(base, todo, todo.images_per_step * (2 if options.prior_images else 1))
    gradients = _seconds(lambda: trainer.gradients(batch))
    trainer.optimizer.zero_grad(set_to_none=True)
    step = _seconds(lambda: trainer.update(batch))
    pixels = torch.zeros(row_cache.BLOCK, 3, todo.resolution, todo.resolution)
    encoding = _seconds(lambda: base.moments(pixels), once=True) * len(row_cache.blocks(todo.read))
    class_images = prior_preservation.seconds(base, todo)
    calibration = drift_calibration.seconds(base, todo)
    preview_image = preview.seconds_per_image(base, todo)
    look = 0.0
    if todo.validation:
        held_out = noise_batch(base, todo, AT_A_TIME)
        look = _seconds(lambda: trainer.watch([held_out]), once=True) * HELD_OUT / AT_A_TIME
    return Durations(
        gradients=gradients,
        update=max(0.0, step - gradients),
        encoding=encoding,
        class_images=class_images,
        calibration=calibration,
        preview_image=preview_image,
        look=look,
        drawn=max(preview.PICTURES, slots_of(base)),
        read=len(todo.read),
        read_anyway=len(todo.measured) + min(HELD_OUT, len(todo.validation)),
        read_per_step=todo.images_per_step,
    )


def smaller(todo: Job, base: Base, processes: int = 1) -> list[Job]:
    """Fits whose steps take less memory, the largest first: fewer images, then fewer pixels, too.

    Args:
        todo: The fit.
        base: Its base, which says what resolutions fit.
        processes: Number of processes that share a batch.
    """

    def of(batch_size: int, resolution: int) -> Job:
        options = todo.options.model_copy(update={"batch_size": batch_size, "accumulate": 1})
        return replace(todo, options=options, resolution=resolution)

    fits = []
    share = todo.options.batch_size // processes
    while share > 1:
        share //= 2
        fits.append(of(share * processes, todo.resolution))
    least = base.factor * base.family.latent_multiple(base)
    resolution = todo.resolution // 2
    while resolution >= least and resolution % least == 0:
        fits.append(of(processes, resolution))
        resolution //= 2
    return fits


def _seconds(work: Callable[[], Any], *, once: bool = False) -> float:
    """Wall time of `work`, which waits for its own result; once: without warming up."""
    times = []
    for _ in range(1 if once else TIMED):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)
