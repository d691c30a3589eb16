"""Time of a fit, from real steps on noise: its own, or smaller ones that are extrapolated."""

from __future__ import annotations

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
from latentdrift.model.base import Base

TIMED = 2  # times that a thing is done, the fastest of which counts; the first is slower


@dataclass(frozen=True)
class Durations:
    """Seconds that the parts of a fit take.

    Attributes:
        gradients: Gradients of one optimiser step.
        update: The rest of a step: the weights, and their average.
        encoding: Latents of the images that the fit reads.
        class_images: Images of prior preservation, drawn by the base.
        calibration: Images that calibrate the drift.
        previews: Preview images, without the critics that judge them.
        watching: All measurements of the held-out loss.
    """

    gradients: float
    update: float
    encoding: float
    class_images: float
    calibration: float
    previews: float
    watching: float

    @property
    def step(self) -> float:
        """Seconds of one optimiser step."""
        return self.gradients + self.update

    def total(self, steps: int) -> float:
        """Seconds of a fit of so many steps."""
        return sum(self.parts(steps).values())

    def parts(self, steps: int) -> dict[str, float]:
        """Seconds of each part of a fit of so many steps."""
        return {
            "encoding": self.encoding,
            "class images": self.class_images,
            "steps": self.step * steps,
            "held-out loss": self.watching,
            "calibration": self.calibration,
            "previews": self.previews,
        }

    def extrapolated(self, small: Operations, large: Operations) -> Durations:
        """Durations of a larger fit, each in proportion to its floating-point operations.

        The update of the weights does not depend on the images.

        Args:
            small: Operations of the fit that was measured.
            large: Operations of the larger fit.
        """
        network = large.watching / small.watching
        return Durations(
            gradients=self.gradients * large.step / small.step,
            update=self.update,
            encoding=self.encoding * large.encoding / small.encoding,
            class_images=self.class_images * network,
            calibration=self.calibration * network,
            previews=self.previews * network,
            watching=self.watching * network,
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
    previews = preview.seconds(base, todo)
    watching = 0.0
    if todo.validation:
        watches = options.steps // options.checkpoint_every + 1
        held_out = noise_batch(base, todo, AT_A_TIME)
        seconds = _seconds(lambda: trainer.watch([held_out]), once=True)
        watching = watches * seconds * HELD_OUT / AT_A_TIME
    update = max(0.0, step - gradients)
    return Durations(gradients, update, encoding, class_images, calibration, previews, watching)


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
