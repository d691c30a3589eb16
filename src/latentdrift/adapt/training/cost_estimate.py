"""Estimated cost of a fit before it starts: parameters, time, memory, disk."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.batches import AT_A_TIME, HELD_OUT, Batch
from latentdrift.adapt.training.loop import checkpoint, preview
from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.optimization.losses import draw_times
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.adapt.training.setup import drift_calibration, prior_preservation
from latentdrift.adapt.training.setup.training_setup import IMAGE_INPUTS, Job, job, scheduled
from latentdrift.adapt.training.setup.training_start import begin
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.seeds import generator

TIMED = 2  # times that a thing is done, the fastest of which counts; the first is slower
FLOAT = 4  # bytes


@dataclass(frozen=True)
class Durations:
    """Seconds that the parts of a fit take.

    Attributes:
        step: One optimiser step.
        encoding: Latents of all images.
        drawing: Images of prior preservation, of the drift's calibration and of previews.
        watching: All measurements of the held-out loss.
    """

    step: float
    encoding: float
    drawing: float
    watching: float

    def total(self, steps: int) -> float:
        """Seconds of a fit of so many steps."""
        return self.encoding + self.drawing + self.watching + self.step * steps


def disk(base: Base, parameters: Mapping[str, torch.nn.Parameter], todo: Job, images: int) -> int:
    """Estimate the bytes that a run writes.

    Counted are latent moments, prompt embeddings, masks, hints, checkpoints and the adapter.

    Args:
        base: The base.
        parameters: Trained parameters by name.
        todo: The resolved fit.
        images: Number of images in the cohort.
    """
    parts = memory(parameters, todo)
    parts.pop("gradients")
    checkpoints = (
        checkpoint.KEEP + 1 + (todo.options.patience is not None)
    )  # one is being written, and the best one stays
    each = base.latent_channels * base.latent_size(todo.resolution) ** 2 * FLOAT
    latents = 2 * each * images + each * (todo.options.prior_images or 0)
    context = base.family.text_values(base) * FLOAT * len(todo.prompts)
    masks = each // base.latent_channels * images if todo.options.mask else 0
    hints = (
        todo.resolution**2 * FLOAT * len(todo.sources) if todo.hint else 0
    )  # thrice as much where they are in colour
    return (
        latents
        + masks
        + hints
        + (0 if todo.reads else context)
        + sum(parts.values()) * checkpoints
        + parts["weights"]
    )


def memory(parameters: Mapping[str, torch.nn.Parameter], todo: Job) -> dict[str, int]:
    """Estimate the bytes of everything that is stored for each trained parameter.

    Activations and frozen weights are not counted.

    Args:
        parameters: Trained parameters by name.
        todo: The resolved fit.

    Returns:
        Bytes of `weights`, `gradients`, `optimizer` and `average`.
    """
    trained = sum(weight.numel() for weight in parameters.values())
    return {
        "weights": trained * FLOAT,
        "gradients": trained * FLOAT,
        "optimizer": round(trained * todo.optimizer.state),
        "average": trained * FLOAT if todo.options.ema else 0,
    }


def plan(
    base: Base, cohort: Cohort, options: FitOptions, run_folder: Path | None = None
) -> dict[str, Any]:
    """Estimate the cost of a fit from a few real steps on noise; nothing is written.

    Args:
        base: The base; training steps change it, so do not use it afterwards.
        cohort: The cohort.
        options: Options of `fit`.
        run_folder: Folder of the run, which has to be free or hold this run; None: not checked.

    Returns:
        The answer of `latentdrift fit --dry-run`: numbers of images, parameters and steps, seconds,
        bytes.

    Raises:
        OptionError, CohortError: As `fit` raises them before work starts.
    """
    base = scheduled(base, options)
    todo = job(base, cohort, options)
    if run_folder is not None:
        Run(run_folder).check(todo.settings)
    number = base.dtype
    images = len(cohort.rows())
    options = todo.options
    base, parameters = begin(base, todo)
    longest = todo.check_prompts(base)
    drift = Drift.of([0.1] * base.latent_channels)  # its cost does not depend on its values
    processes = Processes.join(options.device)
    processes.check(options.batch_size)
    trainer = Trainer(base, parameters, _contexts(base, todo), drift, todo, number, processes)
    durations = _durations(base, todo, trainer, images)
    return {
        "method": options.method,
        "what": todo.row.summary,
        "trainable_parameters": sum(weight.numel() for weight in parameters.values()),
        "images": {"train": len(todo.train), "validation": len(todo.validation)},
        "resolution": todo.resolution,
        "steps": options.steps,
        "images_per_step": todo.images_per_step,
        "processes": processes.count,
        "epochs": round(options.steps * todo.images_per_step / len(todo.train), 2),
        "learning_rate": todo.rate,
        "precision": todo.settings["precision"],
        "device": base.device.type,
        "prompt": todo.train[0].caption,
        "longest_prompt": {
            "text": longest,
            "tokens": base.count(longest),
            "limit": base.token_limit,
        },
        "seconds_per_step": round(durations.step, 4),
        "seconds": round(durations.total(options.steps), 1),
        "memory_bytes": _peak_memory(base.device),
        "memory_of_what_is_trained": memory(parameters, todo),
        "disk_bytes": disk(base, parameters, todo, images),
    }


def _durations(base: Base, todo: Job, trainer: Trainer, images: int) -> Durations:
    """Seconds of the parts of a fit, measured on noise; `images` is their number in the cohort."""
    options = todo.options
    batch = _noise(base, todo, todo.images_per_step * (2 if options.prior_images else 1))
    step = _seconds(lambda: trainer.update(batch))
    pixels = torch.zeros(latent_cache.BATCH, 3, todo.resolution, todo.resolution)
    encoding = _seconds(lambda: base.moments(pixels), once=True) * images / latent_cache.BATCH
    drawing = (
        prior_preservation.seconds(base, todo)
        + drift_calibration.seconds(base, todo)
        + preview.seconds(base, todo)
    )
    watching = 0.0
    if todo.validation:
        watches = options.steps // options.checkpoint_every + 1
        held_out = _noise(base, todo, AT_A_TIME)
        seconds = _seconds(lambda: trainer.watch([held_out]), once=True)
        watching = watches * seconds * HELD_OUT / AT_A_TIME
    return Durations(step, encoding, drawing, watching)


def _contexts(base: Base, todo: Job) -> Callable[[Sequence[str]], Conditioning]:
    if todo.reads:
        return latent_cache.live_contexts(base, todo.prompts)
    context = base.embed([todo.train[0].caption])
    return lambda prompts: context.expand(len(prompts))


def _noise(base: Base, todo: Job, count: int) -> Batch:
    """A batch of so many images."""
    source = generator(0, "plan")
    size = base.latent_size(todo.resolution)
    x0, eps = torch.randn((2, count, base.latent_channels, size, size), generator=source)
    captions = (todo.train[0].caption,) * count
    beside = (
        torch.zeros(count, *IMAGE_INPUTS[todo.row.image_input].shape(base, todo.resolution))
        if todo.row.image_input
        else None
    )
    return Batch(
        x0,
        eps,
        draw_times(count, len(base.schedule.alpha_bar), source),
        captions,
        captions,
        beside=beside,
    )


def _seconds(work: Callable[[], Any], *, once: bool = False) -> float:
    """Wall time of `work`, which waits for its own result; once: without warming up."""
    times = []
    for _ in range(1 if once else TIMED):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def _peak_memory(device: torch.device) -> int | None:
    """Bytes that this process has taken at most, on the graphics card if that is where it computes;
    None where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (
        peak if sys.platform == "darwin" else peak * 1024
    )  # macOS counts bytes, Linux KiB (getrusage(2))
