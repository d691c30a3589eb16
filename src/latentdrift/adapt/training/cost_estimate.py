"""Estimated cost of a fit before it starts: parameters, time, memory, disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from latentdrift.adapt.training.batches.row_cache import BLOCK, blocks
from latentdrift.adapt.training.loop import checkpoint
from latentdrift.adapt.training.loop.distributed import Processes
from latentdrift.adapt.training.loop.trainer import Trainer
from latentdrift.adapt.training.planning.budget import (
    before_timing,
    filling,
    needs_timing,
    with_steps,
)
from latentdrift.adapt.training.planning.durations import Durations, measure, smaller
from latentdrift.adapt.training.planning.fake_base import fake, tensors
from latentdrift.adapt.training.planning.fit_trace import (
    BegunFit,
    FitTrace,
    contexts,
    noise_batch,
    trace,
)
from latentdrift.adapt.training.planning.machine_memory import MachineMemory, program
from latentdrift.adapt.training.planning.remedies import Remedy, advice, changes
from latentdrift.adapt.training.records.run_folder import Run
from latentdrift.adapt.training.setup.default_method import choose, resolved
from latentdrift.adapt.training.setup.training_setup import Job, job, scheduled
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import ResourceError
from latentdrift.model.base import PRECISIONS, Base
from latentdrift.model.drift import Drift
from latentdrift.timing import Timing, repeated

FLOAT = 4  # bytes


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
    encoded = min(images, BLOCK * len(blocks(todo.read)))
    latents = 2 * each * encoded + each * (todo.options.prior_images or 0)
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
        "optimizer": todo.optimizer.state_bytes(trained),
        "average": trained * FLOAT if todo.options.ema else 0,
    }


def plan(
    base: Base,
    cohort: Cohort,
    options: FitOptions,
    run_folder: Path | None = None,
    spent: Callable[[], float] = lambda: 0,
) -> dict[str, Any]:
    """Estimate the cost of a fit before it starts; nothing is written.

    The memory is counted without being taken. The time is that of real steps on noise, of this fit
    or, where its memory is not free, of a smaller one.

    Args:
        base: The base, from `Base.load`, with weights or without. It is changed, so do not use it
            afterwards.
        cohort: The cohort.
        options: Options of `fit`.
        run_folder: Folder of the run, which has to be free or hold this run; None: not checked.
        spent: Seconds of a budget that are gone now, or that go to other work than training.

    Returns:
        The answer of `latentdrift fit --dry-run`: numbers of images, parameters and steps, seconds,
        bytes. `seconds` are None where not even a small step can be tried.

    Raises:
        OptionError, CohortError: As `fit` raises them before work starts.
    """
    processes = Processes.join(options.device)
    run = Run(run_folder) if run_folder is not None else None
    choice = choose(base, options, run)
    options = before_timing(options.model_copy(update={"method": choice.method}), run)
    base = scheduled(base, options)
    todo = job(base, cohort, options)
    if run is not None:
        run.check(todo.settings)
    processes.check(todo.options.batch_size)
    if todo.options.start and not base.has_weights:
        base = _with_weights(base)
    own = _program(base)
    fit = BegunFit.of(base, todo)
    longest = _longest_prompt(fit)
    needed = trace(fit, processes=processes.count, program=own)
    machine = MachineMemory.of(base.device)
    timed = _durations(fit, needed, processes, machine)
    if needs_timing(options, run):
        fit = fit.with_options(filling(fit.todo.options, _known(timed), spent()))
    is_too_large = needed.memory.upper > machine.free
    remedies = _remedies(base, cohort, options, processes, own) if is_too_large else []
    return {
        "method": choice.method,
        "method_reason": choice.reason,
        **_facts(fit, cohort, processes),
        "longest_prompt": longest,
        **_time(timed, fit.todo),
        **_memory(needed, machine),
        "memory_of_what_is_trained": memory(fit.parameters, fit.todo),
        "disk_bytes": disk(fit.base, fit.parameters, fit.todo, len(cohort.rows())),
        "advice": advice(needed.memory, machine, remedies),
    }


def seconds(base: Base, cohort: Cohort, options: FitOptions) -> float:
    """Estimate the seconds of a fit from a few real steps on noise.

    Args:
        base: The base with weights; training steps change it, so do not use it afterwards.
        cohort: The cohort.
        options: Options of `fit`.

    Raises:
        OptionError, CohortError: As `fit` raises them before work starts.
    """
    options = resolved(base, options)
    return _timed(base, cohort, options, Processes.join(options.device)).total(options)


def step_timing(base: Base, cohort: Cohort, options: FitOptions, enough: float) -> Timing:
    """Time optimiser steps of a fit on noise.

    Args:
        base: The base with weights; the steps change it, so do not use it afterwards.
        cohort: The cohort.
        options: Options of `fit`.
        enough: Seconds after which no further step is begun.

    Raises:
        OptionError, CohortError: As `fit` raises them before work starts.
    """
    options = resolved(base, options)
    base = scheduled(base, options)
    fit = BegunFit.of(base, job(base, cohort, options))
    trainer = _trainer(fit, Processes.join(options.device))
    batch = noise_batch(fit.base, fit.todo, fit.todo.images_per_step)
    return repeated(lambda: trainer.update(batch), enough)


def within_budget(
    base: Base,
    cohort: Cohort,
    options: FitOptions,
    run_folder: Path,
    spent: Callable[[], float],
) -> FitOptions:
    """Options of a fit with the number of steps that its budget has time for.

    The steps are those of the run, where it has begun. Else a few real steps on noise are timed,
    and all processes take the number of the first one.

    Args:
        base: The base with weights; training steps change it, so do not use it afterwards.
        cohort: The cohort.
        options: Options of `fit` with a budget.
        run_folder: Folder of the run.
        spent: Seconds of the budget that are gone now, or that go to other work than training.

    Raises:
        OptionError, CohortError: As `fit` raises them before work starts, and where the budget is
            too short.
    """
    run = Run(run_folder)
    options = before_timing(resolved(base, options, run), run)
    if not needs_timing(options, run):
        return options
    run.check({})  # no run: the folder has to be free
    processes = Processes.join(options.device)
    with processes.connected():
        durations = _timed(base, cohort, options, processes)
        steps = filling(options, durations, spent()).steps
        return with_steps(options, processes.largest(steps if processes.first else 0))


def _timed(base: Base, cohort: Cohort, options: FitOptions, processes: Processes) -> Durations:
    """Durations of a fit whose method is known."""
    base = scheduled(base, options)
    todo = job(base, cohort, options)
    processes.check(options.batch_size)
    fit = BegunFit.of(base, todo)
    todo.check_prompts(fit.base)
    return _measured(fit, processes)


def _known(timed: tuple[Durations, Job] | None) -> Durations:
    """Durations of a fit that could be timed.

    Raises:
        ResourceError: It could not.
    """
    if timed is None:
        raise ResourceError(
            "not even a smaller step fits into the free memory, so that no time is known for "
            "`budget`; give `steps`, or take a machine with more memory"
        )
    return timed[0]


def _program(base: Base) -> int:
    """Bytes of the interpreter and libraries, where they share the memory of the base's device."""
    if base.device.type == "cuda":
        return 0
    loaded = sum(tensor.nbytes for tensor in tensors(base)) if base.has_weights else 0
    return max(0, program() - loaded)


def _facts(fit: BegunFit, cohort: Cohort, processes: Processes) -> dict[str, Any]:
    """What a fit would do, as JSON values."""
    todo = fit.todo
    return {
        "what": todo.row.summary,
        "trainable_parameters": fit.trained,
        "images": {"train": len(todo.train), "validation": len(todo.validation)},
        "resolution": todo.resolution,
        "steps": todo.options.steps,
        "images_per_step": todo.images_per_step,
        "processes": processes.count,
        "epochs": round(todo.options.steps * todo.images_per_step / len(todo.train), 2),
        "learning_rate": todo.rate,
        "precision": todo.settings["precision"],
        "device": fit.base.device.type,
        "prompt": todo.train[0].caption,
    }


def _time(timed: tuple[Durations, Job] | None, todo: Job) -> dict[str, Any]:
    """Seconds, and the smaller fit that they were extrapolated from, as JSON values."""
    if timed is None:
        return {
            "seconds_per_step": None,
            "seconds": None,
            "seconds_parts": None,
            "extrapolated_from": None,
        }
    durations, tried = timed
    parts = durations.parts(todo.options)
    size, asked = ((one.options.batch_size, one.resolution) for one in (tried, todo))
    return {
        "seconds_per_step": round(durations.step, 4),
        "seconds": round(sum(parts.values()), 1),
        "seconds_parts": {name: round(seconds, 1) for name, seconds in parts.items()},
        "extrapolated_from": None
        if size == asked
        else {"batch_size": tried.options.batch_size, "resolution": tried.resolution},
    }


def _memory(needed: FitTrace, machine: MachineMemory) -> dict[str, Any]:
    """Bytes that a fit takes, and those that are free, as JSON values."""
    return {
        "memory_bytes": needed.memory.total,
        "memory_upper_bytes": needed.memory.upper,
        "memory_parts_bytes": asdict(needed.memory),
        "memory_free_bytes": machine.free,
    }


def _longest_prompt(fit: BegunFit) -> dict[str, Any]:
    """The longest prompt, which fits the text encoder, and its tokens, as JSON values.

    Raises:
        OptionError: It does not.
    """
    if fit.base.has_weights:
        text = fit.todo.check_prompts(fit.base)
    else:
        with FakeTensorMode(allow_non_fake_inputs=True):
            base, _ = fake(fit.base, fit.parameters)
            text = fit.todo.check_prompts(base)
    return {"text": text, "tokens": fit.base.count(text), "limit": fit.base.token_limit}


def _durations(
    fit: BegunFit,
    needed: FitTrace,
    processes: Processes,
    machine: MachineMemory,
) -> tuple[Durations, Job] | None:
    """Durations of a fit, and the fit that was measured: the largest whose memory is free.

    Args:
        fit: The fit.
        needed: Its memory and operations.
        processes: Processes that share the work.
        machine: Memory of this machine.
    """
    counted = needed
    for todo in (fit.todo, *smaller(fit.todo, fit.base, processes.count)):
        tried = replace(fit, todo=todo)
        if todo is not fit.todo:
            own = needed.memory.program
            counted = trace(tried, processes=processes.count, program=own)
        if counted.memory.upper <= machine.free:
            durations = _measured(tried, processes)
            return durations.extrapolated(counted.operations, needed.operations), todo
    return None


def _measured(fit: BegunFit, processes: Processes) -> Durations:
    """Durations of a fit from real steps; without weights, they are loaded for it."""
    if not fit.base.has_weights:
        fit = BegunFit.of(_with_weights(replace(fit.base, dtype=fit.dtype)), fit.todo)
    return measure(fit.base, fit.todo, _trainer(fit, processes))


def _trainer(fit: BegunFit, processes: Processes) -> Trainer:
    """Trainer of a fit whose base has weights."""
    drift = Drift.of([0.1] * fit.base.latent_channels)  # its cost does not depend on its values
    return Trainer(
        fit.base,
        fit.parameters,
        contexts(fit.base, fit.todo),
        drift,
        fit.todo,
        fit.dtype,
        processes,
    )


def _with_weights(base: Base) -> Base:
    """The base as its files hold it, with the schedule of this one."""
    loaded = Base.load(base.name, device=str(base.device), precision=_precision(base), fetch=False)
    return replace(loaded, schedule=base.schedule)


def _without_weights(base: Base, precision: str) -> Base:
    """The base in a number format, without weights and with the schedule of this one."""
    outline = Base.load(
        base.name, device=str(base.device), precision=precision, fetch=False, weights=False
    )
    return replace(outline, schedule=base.schedule)


def _precision(base: Base) -> str:
    """Key of PRECISIONS of a base's number format."""
    return next(name for name, dtype in PRECISIONS.items() if dtype == base.dtype)


def _remedies(
    base: Base, cohort: Cohort, options: FitOptions, processes: Processes, own: int
) -> list[Remedy]:
    """Changed options of a fit that take less memory, and what they take.

    Args:
        base: The base, which is not changed.
        cohort: The cohort.
        options: Options of the fit that takes too much.
        processes: Processes that share the work.
        own: Bytes of the interpreter and libraries.
    """
    remedies = []
    for change in changes(options, _precision(base), processes.count):
        changed = options.model_copy(update={**change, "start": ()})
        outline = _without_weights(base, str(change.get("precision", _precision(base))))
        fit = BegunFit.of(outline, job(outline, cohort, changed))
        needed = trace(fit, processes=processes.count, program=own)
        remedies.append(Remedy(change, needed.memory))
    return remedies
