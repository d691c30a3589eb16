"""`drift=calibrated`: after training, a fit is asked which start makes its pictures as bright as
those that it learned from.

The closed form is right for a network that has learned the cohort to the end. One that stopped
earlier is still too bright or too dark by itself, and by how much only its own pictures say
(docs/latent-drifting.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.batches import Beside
from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.adapt.training.setup.copy_slope import (
    CopySlope,
    Response,
    channel_means,
    copy_slope,
    response,
)
from latentdrift.adapt.training.setup.training_setup import IMAGE_INPUTS, Job
from latentdrift.model.adapter_info import DriftFile
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.progress import ProgressCallback
from latentdrift.sample.generate import SamplingOptions, latents, slots_of
from latentdrift.sample.samplers import first_time
from latentdrift.seeds import derive, generator

PICTURES = 32  # drawn in all; ours: the mean of so many is known to a sixth of their spread
OF_A_CLASS = 8  # drawn of a class that has a drift of its own, where that makes more
OPEN = ("infer", "both", "pin")  # rows of MODES whose start has a mean to choose
# the defaults of `generate`, with half its steps
SAMPLING = SamplingOptions(seed=0, steps=25, guidance=2.5, sampler="ddim")


def asks(todo: Job) -> bool:
    """Whether a fit calibrates its drift: `drift=calibrated`, and the mode leaves the start's mean
    open."""
    return (
        todo.options.drift.strip().lower() == "calibrated"
        and (todo.options.drift_mode or "infer") in OPEN
    )


def calibrated(
    base: Base,
    todo: Job,
    drift: Drift,
    info: DriftFile,
    moments: Moments,
    beside: Beside | None,
    classes: Mapping[str, Sequence[int]],
    report: ProgressCallback,
) -> DriftFile:
    """Calibrate the start of sampling after training.

    Args:
        base: The base after training.
        todo: The fit; its training examples give the prompts of the sampled images.
        drift: The drift, with the closed form as its start.
        info: Entry `drift` of adapter.json for that drift.
        moments: Latent moments of the training images.
        beside: Inputs of the network beside noise and text; None: none.
        classes: Phrase of a class with a drift of its own -> positions of its images.
        report: Called with (done, all) of the sampled images.

    Returns:
        Entry `drift` of adapter.json, with source "calibrated" and the entry `calibration`.
    """
    examples = _examples(todo, classes)
    n = len(examples)
    t0 = first_time(SAMPLING.sampler, base.schedule, SAMPLING.steps)
    wanted = _mean(moments, todo.measured)
    answer = _response(base, todo, drift, examples, wanted, beside, report)
    slope = copy_slope(*answer.first(n), float(base.schedule.a(t0)))
    again = len(answer.starts) // n

    def requested(
        trained: Sequence[float], positions: Sequence[int], drawn: Collection[int]
    ) -> tuple[float, ...]:
        """Start that images whose latents lie at `positions` ask for, by the answer of the
        examples among the images `drawn`."""
        of = [index for index, example in enumerate(examples * again) if example.row in drawn]
        delta = answer.start(_mean(moments, positions), of)
        return tuple(a + b for a, b in zip(delta, trained or (0.0,) * len(delta), strict=True))

    groups = tuple(
        replace(group, infer=requested(group.train, own, {*own}))
        for group in drift.groups
        for own in [classes[group.phrase]]
    )
    whole = requested(drift.train, todo.measured, {*todo.positions})
    started = replace(drift, infer=whole, groups=groups)
    calibration = _calibration(answer, slope, wanted, drift, n, todo.options.seed)
    known = {**info.to_dict(), **started.to_dict()}
    return DriftFile.model_validate(
        {**known, "source": "calibrated", "t0": int(t0), "calibration": calibration}
    )


def _response(
    base: Base,
    todo: Job,
    drift: Drift,
    examples: Sequence[Example],
    wanted: Tensor,
    beside: Beside | None,
    report: ProgressCallback,
) -> Response:
    """Channel means of starts, and of the images that are sampled from them.

    Args:
        base: The base after training.
        todo: The fit.
        drift: Drift of the fit; its start is shifted.
        examples: Examples that give the prompts.
        wanted: Channel means [C] of the training latents.
        beside: Inputs of the network beside noise and text; None: none.
        report: Called with (done, all) of the sampled images.
    """
    prompts = {index: example.caption for index, example in enumerate(examples)}
    images = {index: [part] for index, part in enumerate(beside(examples))} if beside else None
    seed = derive(todo.options.seed, "calibrate")
    sampling = replace(SAMPLING, seed=seed, resolution=todo.resolution)

    def channel_means_at(shift: Tensor) -> tuple[Tensor, Tensor]:
        shifted = drift.plain.moved(shift.tolist())
        return channel_means(base, shifted, prompts, sampling, None, images, report)

    return response(channel_means_at, wanted)


def _calibration(
    answer: Response, slope: CopySlope, wanted: Tensor, drift: Drift, n: int, seed: int
) -> dict[str, Any]:
    """Entry `calibration` of adapter.json.

    Args:
        answer: Channel means of starts and of images.
        slope: Copy slope of the images from plain starts.
        wanted: Channel means [C] of the training latents.
        drift: Drift of the fit; its trained values are part of the start.
        n: Number of images of one pass.
        seed: Seed of the bootstrap.
    """
    trained = drift.train or (0.0,) * len(wanted)
    interval = answer.interval(wanted, seed)
    return {
        "pictures": n * (len(answer.starts) // n),
        "slope": list(slope.slope),
        "full": slope.full,
        "drawn_mean": answer.x0[:n].mean(0).tolist(),
        "wanted_mean": wanted.tolist(),
        "interval": [
            [low + value, high + value]
            for (low, high), value in zip(interval, trained, strict=True)
        ],
    }


def seconds(base: Base, todo: Job) -> float:
    """Estimate the duration of the calibration in seconds, from two real steps; 0 without one."""
    if not asks(todo):
        return 0.0
    few = replace(SAMPLING, resolution=todo.resolution, steps=2)
    images = (
        {0: [torch.zeros(IMAGE_INPUTS[todo.row.image_input].shape(base, todo.resolution))]}
        if todo.row.image_input
        else None
    )
    began = time.perf_counter()
    list(latents(base, Drift(), {0: todo.train[0].caption}, few, None, images))
    seconds = time.perf_counter() - began
    return seconds * SAMPLING.steps / few.steps * math.ceil(PICTURES / slots_of(base))


def _examples(todo: Job, classes: Mapping[str, Sequence[int]]) -> list[Example]:
    """PICTURES training examples by chance, and as many more as a class needs; fewer examples come
    again."""
    order = torch.randperm(
        len(todo.train), generator=generator(todo.options.seed, "calibrate", "examples")
    ).tolist()
    shuffled = [todo.train[place] for place in order]
    chosen = [shuffled[turn % len(shuffled)] for turn in range(PICTURES)]
    for positions in classes.values():
        own = [example for example in shuffled if example.row in set(positions)]
        lacking = OF_A_CLASS - sum(example.row in set(positions) for example in chosen)
        chosen += [own[turn % len(own)] for turn in range(max(0, lacking))]
    return chosen


def _mean(moments: Moments, positions: Sequence[int]) -> Tensor:
    """Channel means [C] over images, float64."""
    return torch.stack([x0.double().mean((1, 2)) for x0 in moments.each(positions)]).mean(0)
