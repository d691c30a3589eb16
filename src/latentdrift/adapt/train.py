"""THE loop: every method, with or without drift, from a cohort to an adapter. START READING HERE.

A run that was interrupted, even by kill -9, goes on by itself and ends bit-identical to one that was not (float32, one process).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentdrift.adapt import adapter, cache, checkpoint
from latentdrift.adapt.batches import Batches, held_out
from latentdrift.adapt.job import Job, job, resolve_drift, scheduled
from latentdrift.adapt.journal import Journal
from latentdrift.adapt.plan import disk
from latentdrift.adapt.run import Run
from latentdrift.adapt.trainer import Trainer
from latentdrift.config import FitOptions
from latentdrift.data.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.start import Statistics

Preview = Callable[[Base, Drift, Statistics | None, list[str]], np.ndarray]
"""(base as it is now, drift, statistics of the training latents, prompts) -> one picture [H, W, 3] uint8."""
PREVIEW_PROMPTS = 4


@dataclass(frozen=True)
class FitResult:
    """What a fit made."""

    adapter: Path
    info: dict[str, Any]
    """adapter.json."""
    resumed: int
    """The step that this call went on from; 0 for a fresh run."""
    already: bool
    """The run was finished before this call, which did nothing."""


def fit(
    base: Base,
    cohort: Cohort,
    options: FitOptions,
    run_folder: Path,
    *,
    preview: Preview | None = None,
    on_step: Callable[[int, float], None] | None = None,
    quiet: bool = False,
) -> FitResult:
    """Adapt a base to a cohort; `base` is used up.

    Args:
        base: From `Base.load`.
        cohort: Its train split is learned, its validation split watched.
        options: What to do.
        run_folder: Where everything goes; the same call continues an interrupted run.
        preview: Draws a picture every `preview_every` steps.
        on_step: Told (steps done, loss) after each step.
        quiet: No progress bar.

    Raises:
        OptionError, CohortError, ResourceError: Before work starts; OptionError also when the loss stops being a number.
        KeyboardInterrupt: After a checkpoint was written.
    """
    base = scheduled(base, options)
    todo, run = job(base, cohort, options), Run(Path(run_folder))
    run.check(todo.settings)
    if run.finished:
        return FitResult(run.adapter, adapter.read(run.adapter), options.steps, already=True)
    last, number = checkpoint.newest(run.checkpoints), base.dtype
    begin = last.step if last else 0
    base, parameters = todo.row.prepare(base, options, cohort.describe)
    todo.check_prompts(base)
    run.need(disk(base, parameters, todo))
    run.claim(todo.settings)
    with Journal(run, options.method, begin, options.steps, quiet=quiet) as journal:
        moments = cache.latents(base, cohort, todo.resolution, run.cache, progress=journal.bar("latents"))
        contexts = (
            cache.live_contexts(base, todo.prompts) if todo.row.trains_text else cache.contexts(base, todo.prompts, run.cache)
        )
        drift, drift_info = resolve_drift(todo, base, cohort, moments)
        trainer = Trainer(base, parameters, contexts, drift, todo, number)
        trainer.restore(last)
        statistics = Statistics.measure(moments.each(todo.train)) if len(todo.train) > 1 else None
        _loop(trainer, todo, moments, run, journal, _previews(preview, todo, drift, statistics), on_step)
    info = adapter.describe(base, cohort, todo, drift_info, run.losses())
    adapter.write(run.adapter, base, todo.row, info, statistics)
    return FitResult(run.adapter, info, begin, already=False)


def _loop(
    trainer: Trainer,
    todo: Job,
    moments: cache.Moments,
    run: Run,
    journal: Journal,
    draw: Callable[[Base, int], np.ndarray | None],
    on_step: Callable[[int, float], None] | None,
) -> None:
    """From where the trainer stands to the last step."""
    options, length = todo.options, len(trainer.base.schedule.alpha_bar)
    batches = Batches(moments, todo.captions, todo.train, options.batch_size, todo.dropout, length, options.seed, todo.noise)
    watched = held_out(moments, todo.captions, todo.validation, length)
    if trainer.done == 0:
        journal.held_out(0, trainer.held_out(watched))
    try:
        while trainer.done < options.steps:
            outcome = trainer.update(batches(trainer.done))
            if not outcome.finite:
                raise OptionError(_not_finite(trainer, todo, run))
            journal.step(trainer.done, outcome)
            if trainer.done % options.checkpoint_every == 0 or trainer.done == options.steps:
                journal.held_out(trainer.done, trainer.held_out(watched))
                trainer.save(run.checkpoints)
            picture = draw(trainer.base, trainer.done)
            if picture is not None:
                journal.picture(trainer.done, picture)
            if on_step:
                on_step(trainer.done, outcome.loss)
    except KeyboardInterrupt:
        if trainer.done:
            trainer.save(run.checkpoints)
        raise


def _previews(
    preview: Preview | None, todo: Job, drift: Drift, statistics: Statistics | None
) -> Callable[[Base, int], np.ndarray | None]:
    """A function of the base and the steps done, which draws where a preview is due."""
    every = todo.options.preview_every
    spread = np.linspace(0, len(todo.train) - 1, PREVIEW_PROMPTS).astype(int)
    prompts = [todo.captions[todo.train[place]] for place in spread]

    @torch.no_grad()
    def draw(base: Base, done: int) -> np.ndarray | None:
        return preview(base, drift, statistics, prompts) if preview and every and done % every == 0 else None

    return draw


def _not_finite(trainer: Trainer, todo: Job, run: Run) -> str:
    last = checkpoint.newest(run.checkpoints)
    kept = f"the last good checkpoint is step {last.step} in {run.checkpoints}" if last else "there is no checkpoint yet"
    return (
        f"the loss or its gradient is not a number at step {trainer.done + 1}, with learning rate {todo.rate:g} and "
        f"{todo.settings['precision']} arithmetic; {kept}. Start again with another --out and a lower --learning-rate, "
        "or with --precision fp32"
    )
