"""THE loop: every method, with or without drift, from a cohort to an adapter. START READING HERE.

A run that was interrupted, even by kill -9, goes on by itself and ends bit-identical to one that
was not (float32, one process).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentdrift.adapt.adapters.adapter import write_adapter
from latentdrift.adapt.adapters.adapter_files import read
from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.batches import Batch, Batches, Beside, LossWeights, held_out
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.adapt.training.cost_estimate import disk
from latentdrift.adapt.training.loop import checkpoint
from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.adapt.training.loop.preview import LAST_PICTURES, Draw, Judge, Previews
from latentdrift.adapt.training.loop.stop_signals import agreed
from latentdrift.adapt.training.loop.trainer import Contexts, Trainer
from latentdrift.adapt.training.records.adapter_description import describe_adapter
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.adapt.training.records.training_log import Silence, TrainingLog
from latentdrift.adapt.training.setup import drift_calibration, prior_preservation
from latentdrift.adapt.training.setup.default_method import resolved
from latentdrift.adapt.training.setup.training_setup import (
    Job,
    drift_classes,
    job,
    learned,
    resolve_drift,
    scheduled,
)
from latentdrift.adapt.training.setup.training_start import begin as begin_with
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.adapter_info import AdapterInfo, DriftFile, PreviewVerdict
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.model.schedule import Schedule
from latentdrift.sample.synthetic_cohort import contact_sheet

SECONDS_TO_APPEAR = 90
"""Seconds until all nodes see a new file; NFS may keep an old list for 60 (nfs(5), acdirmax)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """Result of a fit."""

    adapter: Path
    info: AdapterInfo
    """adapter.json."""
    options: FitOptions
    """Options of the fit, with the method that it took."""
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
    preview: Draw | None = None,
    judge: Judge | None = None,
    on_step: Callable[[int, float], None] | None = None,
    quiet: bool = False,
    class_pictures: Path | None = None,
) -> FitResult:
    """Adapt a base to a cohort, and write the adapter.

    Args:
        base: From `Base.load`; training changes it, so do not use it afterwards.
        cohort: Train split to learn from, validation split for the held-out loss.
        options: Options of `fit`.
        run_folder: Folder of the run; a repeated call continues an interrupted run.
        preview: Samples images every `preview_every` steps, and at the end; None: no previews.
        judge: Judges whether the last images look real; None: not judged.
        on_step: Called with (steps done, loss) after each step; None: not called.
        quiet: Whether to show no progress bar.
        class_pictures: Folder of class images that several fits share; None: the run's own cache.

    Raises:
        OptionError, CohortError, ResourceError: Before work starts, and at a loss of NaN.
        KeyboardInterrupt: After a checkpoint was written.
    """
    run = Run(Path(run_folder))
    options = resolved(base, options, run)
    own = learned(base, options)
    todo = job(base := scheduled(base, options), cohort, options)
    processes = Processes.join(options.device)
    processes.check(todo.options.batch_size)
    run.check(todo.settings)
    with processes.connected():
        processes.check_equal({**_inputs_seen(todo), "a finished run in `out`": run.finished})
        if run.finished:
            return FitResult(run.adapter, read(run.adapter), options, options.steps, already=True)
        last = _last_checkpoint(run, processes)
        number = base.dtype
        base, parameters = begin_with(base, todo)
        todo.check_prompts(base)
        run.need(disk(base, parameters, todo, len(cohort.rows())))
        _claim(run, todo, processes)
        with _open_log(run, todo, last, processes, quiet) as training_log:
            with processes.first_before_others():
                root = CacheRoot(run.cache, whole=processes.count > 1)
                inputs = _inputs(base, own, cohort, todo, root, training_log, class_pictures)
            drift, drift_info = resolve_drift(todo, base, cohort, inputs.moments)
            trainer = Trainer(base, parameters, inputs.contexts, drift, todo, number, processes)
            trainer.restore(last)
            observers = _Observers(preview, judge, on_step, training_log)
            trained = _train(trainer, cohort, todo, inputs, run, drift, drift_info, observers)
        if processes.first:
            trained.write(base, cohort, todo, run)
        processes.meet()
    begin = last.step if last else 0
    return FitResult(run.adapter, read(run.adapter), options, begin, already=False)


def _inputs_seen(todo: Job) -> dict[str, Any]:
    """Hashes of the files that a process reads, by the names of their options."""
    return {f"`{name}`": todo.settings[name] for name in ("base", "cohort")}


def _last_checkpoint(run: Run, processes: Processes) -> checkpoint.Checkpoint | None:
    """The checkpoint that a run goes on from, the same for all processes; None for a fresh run."""
    with processes.first_before_others():
        last = checkpoint.newest(run.checkpoints)
    processes.check_equal({"the checkpoint of step": last and last.step})
    return last


def _claim(run: Run, todo: Job, processes: Processes) -> None:
    """Make the folder of the run, which all processes have to see."""
    if processes.first:
        run.claim(todo.settings)
    processes.meet()
    processes.check_equal({"a run in `out`": run.is_claimed(SECONDS_TO_APPEAR)})


def _open_log(
    run: Run,
    todo: Job,
    last: checkpoint.Checkpoint | None,
    processes: Processes,
    quiet: bool,
) -> TrainingLog | Silence:
    """The logs of the run, which the first process alone writes."""
    if not processes.first:
        return Silence()
    return TrainingLog(run, todo.options, last.step if last else 0, quiet=quiet)


@dataclass(frozen=True, eq=False)
class _Observers:
    """Functions that see a fit while it runs."""

    preview: Draw | None
    judge: Judge | None
    on_step: Callable[[int, float], None] | None
    training_log: TrainingLog | Silence


@dataclass(frozen=True, eq=False)
class _Trained:
    """A fit after its last step."""

    trainer: Trainer
    drift_info: DriftFile
    """Entry `drift` of adapter.json."""
    statistics: Statistics | None
    judgement: PreviewVerdict | None

    def write(self, base: Base, cohort: Cohort, todo: Job, run: Run) -> None:
        """Write the adapter."""
        info = describe_adapter(base, cohort, todo, self.drift_info, run.losses())
        outcome: dict[str, Any] = {}
        patience = self.trainer.patience
        if patience:
            outcome["early_stopping"] = {**patience.to_dict(), "stopped": self.trainer.done}
            outcome["losses"] = {**(info.losses or {}), "held_out": patience.loss}
        if self.judgement:
            outcome["judgement"] = self.judgement
        info = info.model_copy(update=outcome)
        write_adapter(run.adapter, base, todo.row, info, self.statistics)


def _train(
    trainer: Trainer,
    cohort: Cohort,
    todo: Job,
    inputs: _Inputs,
    run: Run,
    drift: Drift,
    drift_info: DriftFile,
    observers: _Observers,
) -> _Trained:
    """Train to the last step, then choose the weights that stay, and the start of sampling."""
    training_log = observers.training_log
    is_first = trainer.processes.first
    statistics = _statistics(todo, inputs.moments)
    previews = Previews(observers.preview if is_first else None, todo, statistics, inputs.beside)
    draw = _drawing(previews, drift, observers.judge, training_log)
    _loop(trainer, todo, inputs, run, training_log, draw, observers.on_step)
    if is_first:
        last_pictures = LAST_PICTURES if observers.judge and previews.wanted else 0
        _log_what_follows(trainer, todo, last_pictures)
        trainer.settle(run.checkpoints)
        if drift_calibration.asks(todo):
            drift_info = drift_calibration.calibrated(
                trainer.base,
                todo,
                drift,
                drift_info,
                inputs.moments,
                inputs.beside,
                drift_classes(todo, cohort),
                training_log.bar("drift"),
            )
    final = Drift.from_dict(drift_info.to_dict())
    judgement = _last(previews, trainer, final, observers.judge, training_log)
    return _Trained(trainer, drift_info, statistics, judgement)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """Data of a fit, from caches of its run."""

    moments: latent_cache.Moments
    """Latents of all images of the cohort, encoded when they are first read."""
    contexts: Contexts
    """Prompts -> their encoding."""
    beside: Beside | None
    """Examples -> the images that the network reads beside their noisy latents."""
    batches: Callable[[int], Batch]
    """Step -> its batch."""
    held_out: Sequence[Batch]
    """Batches of the held-out loss."""


def _inputs(
    base: Base,
    own: Schedule,
    cohort: Cohort,
    todo: Job,
    root: CacheRoot,
    training_log: TrainingLog | Silence,
    class_pictures: Path | None,
) -> _Inputs:
    """Compute the data of a fit, or read it from the caches."""
    moments = latent_cache.latents(
        base,
        cohort,
        todo.resolution,
        root,
        now=todo.read if root.whole else todo.measured,
        progress=training_log.bar("latents"),
    )
    contexts = (
        latent_cache.live_contexts(base, todo.prompts)
        if todo.reads
        else latent_cache.contexts(base, todo.prompts, root)
    )
    weights = todo.weights(base, cohort, moments, root)
    beside = todo.beside(base, cohort, moments, root)
    known = _class_latents(base, own, todo, root, training_log, class_pictures)
    return _Inputs(
        moments,
        contexts,
        beside,
        _stream(base, todo, moments, weights, beside, known),
        held_out(moments, todo.validation, len(base.schedule.alpha_bar), beside),
    )


def _statistics(todo: Job, moments: latent_cache.Moments) -> Statistics | None:
    """Statistics of training latents; None for a single image."""
    if len(todo.positions) < 2:
        return None
    return Statistics.measure(moments.each(todo.measured))


def _stream(
    base: Base,
    todo: Job,
    moments: latent_cache.Moments,
    weights: LossWeights | None,
    beside: Beside | None,
    known: latent_cache.Moments | None,
) -> Batches | prior_preservation.Preserving:
    """Batches of the training steps."""
    options = todo.options
    length = len(base.schedule.alpha_bar)
    own = Batches(
        moments,
        todo.train,
        todo.images_per_step,
        todo.dropout,
        length,
        options.seed,
        todo.noise,
        weights,
        beside,
        blinds=base.sees_source,
    )
    return prior_preservation.Preserving.of(own, known, todo) if known else own


def _class_latents(
    base: Base,
    own: Schedule,
    todo: Job,
    root: CacheRoot,
    training_log: TrainingLog | Silence,
    shared: Path | None,
) -> latent_cache.Moments | None:
    """Pictures that the base draws of the class; None where training does not keep to any."""
    if not todo.options.prior_images:
        return None
    bar = training_log.bar("class")
    return prior_preservation.class_latents(
        base, own, todo, shared or root.folder, progress=bar, shared=shared is not None
    )


def _loop(
    trainer: Trainer,
    todo: Job,
    inputs: _Inputs,
    run: Run,
    training_log: TrainingLog | Silence,
    draw: Callable[[Trainer], None],
    on_step: Callable[[int, float], None] | None,
) -> None:
    """Train from the trainer's current step to the last step, or until early stopping."""
    options = todo.options

    def look() -> None:
        """Compute the held-out loss and write the checkpoint, where one is due."""
        due = trainer.done % options.checkpoint_every == 0 or trainer.done == options.steps
        if due and trainer.watched < trainer.done:
            training_log.held_out(trainer.done, trainer.watch(inputs.held_out))
            if trainer.done and trainer.processes.first:
                trainer.save(run.checkpoints)

    with agreed(trainer.processes) as check_stop:
        try:
            look()
            while trainer.done < options.steps and not trainer.over:
                outcome = trainer.update(inputs.batches(trainer.done))
                if not outcome.finite:
                    raise OptionError(_not_finite(trainer, todo, run))
                training_log.step(trainer.done, outcome)
                check_stop()
                look()
                draw(trainer)
                if on_step:
                    on_step(trainer.done, outcome.loss)
            check_stop()
        except KeyboardInterrupt:
            if trainer.done and trainer.processes.first:
                trainer.save(run.checkpoints)
                log.warning("stopped after step %d, of which there is a checkpoint", trainer.done)
            trainer.processes.meet()
            raise
    if trainer.patience:
        training_log.early_stopping(trainer.done, trainer.patience)


def _drawing(
    previews: Previews, drift: Drift, judge: Judge | None, training_log: TrainingLog | Silence
) -> Callable[[Trainer], None]:
    """A function of the trainer, which draws and judges a preview where one is due."""

    def draw(trainer: Trainer) -> None:
        if not previews.due(trainer.done):
            return
        with trainer.final_weights():
            pictures = previews.draw(trainer.base, drift, training_log.bar("previews"))
        training_log.picture(trainer.done, contact_sheet([*pictures]))
        if (
            judge and trainer.done < previews.todo.options.steps
        ):  # the last step is judged by more pictures
            training_log.judged(trainer.done, judge(pictures, training_log.bar("critics")))

    return draw


def _last(
    previews: Previews,
    trainer: Trainer,
    drift: Drift,
    judge: Judge | None,
    training_log: TrainingLog | Silence,
) -> PreviewVerdict | None:
    """Verdict on preview images of the finished adapter; None without previews."""
    if judge is None or not previews.wanted:
        return None
    report = training_log.bar("previews")
    pictures = previews.draw(trainer.base, drift, report, LAST_PICTURES)
    judgement = judge(pictures, training_log.bar("critics"))
    training_log.judged(trainer.done, judgement)
    return judgement


def _log_what_follows(trainer: Trainer, todo: Job, last_pictures: int) -> None:
    """Log the work after the last step, which may take minutes.

    Args:
        trainer: The trainer after its last step.
        todo: The fit.
        last_pictures: Number of images that critics of anatomy judge; 0: none.
    """
    work = []
    if drift_calibration.asks(todo):
        work.append("images that calibrate the drift")
    if last_pictures:
        work.append(f"{last_pictures} images that critics of anatomy judge")
    work.append("the adapter")
    log.info(
        "%d of %d steps done; next: %s", trainer.done, todo.options.steps, ", then ".join(work)
    )


def _not_finite(trainer: Trainer, todo: Job, run: Run) -> str:
    last = checkpoint.newest(run.checkpoints)
    advice = (
        f"the last good checkpoint is step {last.step} in {run.checkpoints}"
        if last
        else "there is no checkpoint yet"
    )
    return (
        f"the loss or its gradient is not a number at step {trainer.done + 1}, with learning rate "
        f"{todo.rate:g} and {todo.settings['precision']} arithmetic; {advice}. Start again with "
        "another `out` and a lower `learning_rate`, or with `precision=fp32`"
    )
