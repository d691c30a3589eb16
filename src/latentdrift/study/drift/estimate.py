"""`drift estimate`: which mean the starts of sampling lack, how much of it the model copies, and
what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentdrift.adapt.training import latent_cache
from latentdrift.adapt.training.copy_slope import Response, channel_means, copy_slope, response
from latentdrift.config import DriftEstimateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.model.signal_leak import estimate as closed_form
from latentdrift.progress import Report
from latentdrift.sample.generate import SamplingOptions
from latentdrift.sample.samplers import first_time
from latentdrift.study.model_images import check_text_alone, prompts_of_split


def estimate(
    model: Model, cohort: Cohort, options: DriftEstimateOptions, report: Report
) -> dict[str, Any]:
    """What estimate.json says.

    Args:
        model: The model that is asked.
        cohort: Its train split is what the starts should be like.
        options: What is asked.
        report: Told (done, all) of the images that are encoded, then of those that are drawn.

    Raises:
        OptionError: Sampling starts from pure noise, where no start is better than another; or
            `latents` refuses.
        CohortError: Fewer than two training images.
    """
    base = model.base
    resolution = options.resolution or model.info.side
    a_t0 = first_signal(base, options)
    if options.copy_slope:
        check_text_alone(model, "; leave the copy slope out with `copy_slope=False`")
    train = replace(cohort, table=cohort.rows("train").reset_index(drop=True))
    if len(train.table) < 2:
        raise CohortError(
            f"cohort {cohort.folder} has {len(train.table)} images in its train split, and an "
            "estimate needs two"
        )
    moments = latent_cache.latents(base, train, resolution, options.out / "cache", progress=report)
    means = torch.from_numpy(np.stack([mean.mean((1, 2)) for mean in moments.mean]))
    patients = list(train.table["patient"]) if train.table["patient"].notna().all() else None
    delta, interval = closed_form(
        means, a_t0, groups=patients, resamples=options.bootstrap, seed=options.seed
    )
    size = base.latent_size(resolution)
    copied = None
    results = {
        "delta": list(delta),
        "interval": [list(ends) for ends in interval],
        "sd": [value * size for value in delta],
    }
    chosen = {**results, "source": "closed form"}
    if options.copy_slope:
        draw = drawn(model.about(cohort), cohort, options, resolution, report)
        if model.is_base:  # a base alone does not know the cohort yet
            copied = told(*draw(torch.zeros(means.shape[1])), a_t0)
        else:
            answer = response(draw, means.mean(0))
            calibrated_drift = calibrated(model, answer, means.mean(0), options.seed)
            copied = told(*answer.first(options.n), a_t0)
            chosen = {
                **calibrated_drift,
                "sd": [value * size for value in calibrated_drift["delta"]],
                "source": "calibrated",
            }
    return {
        **chosen,
        "mode": "infer",
        "closed_form": results,
        "latent_mean": means.double().mean(0).tolist(),
        "latent_size": size,
        "t0": float(first_time(options.sampler, base.schedule, options.steps)),
        "a_t0": a_t0,
        "split": "train",
        "images": len(means),
        "patients": None if patients is None else len(set(patients)),
        "base": {"name": base.name, "hash": base.hash},
        "method": model.info.method,
        "cohort": cohort.fingerprint,
        "copy_slope": copied,
    }


def first_signal(base: Base, options: DriftEstimateOptions) -> float:
    """a_t0, the scale of the signal at the first time that the sampler visits.

    Raises:
        OptionError: alpha_bar_T = 0.
    """
    a_t0 = float(base.schedule.a(first_time(options.sampler, base.schedule, options.steps)))
    if base.schedule.zero_snr or not a_t0 > 0:
        raise OptionError(
            "there is nothing to estimate: this model starts from pure noise (alpha_bar_T = 0, "
            "zero terminal SNR), so no signal leaks into its starts and delta is 0 by "
            "construction; take `drift=none`"
        )
    return a_t0


def drawn(
    model: Model, cohort: Cohort, options: DriftEstimateOptions, resolution: int, report: Report
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """How pictures under the cohort's prompts are drawn from starts whose mean is moved, as
    `response` takes it."""
    sampling = SamplingOptions.of(options, resolution)
    prompts = prompts_of_split(model, cohort, "train", options.n)
    plain = model.drift.plain

    def draw(shift: Tensor) -> tuple[Tensor, Tensor]:
        return channel_means(
            model.base,
            plain.moved(shift.tolist()),
            prompts,
            sampling,
            model.statistics,
            None,
            report,
        )

    return draw


def told(starts: Tensor, ends: Tensor, a_t0: float) -> dict[str, Any]:
    """The copy slope of plain starts, as it stands in estimate.json, and what it was measured
    on."""
    slope = copy_slope(starts, ends, a_t0)
    return {
        "slope": list(slope.slope),
        "interval": [list(ends) for ends in slope.interval],
        "r2": list(slope.r2),
        "full": slope.full,
        "share": list(slope.share),
        "n": slope.n,
        "sentence": slope.sentence,
        "starts": starts.tolist(),
        "outputs": ends.tolist(),
    }


def calibrated(model: Model, answer: Response, wanted: Tensor, seed: int) -> dict[str, Any]:
    """The drift of the start from which an adapter's pictures have the means that are wanted, as it
    stands in estimate.json."""
    trained = model.drift.train or (0.0,) * len(wanted)
    interval = answer.interval(wanted, seed)
    delta = [start + value for start, value in zip(answer.start(wanted), trained, strict=True)]
    return {
        "delta": delta,
        "interval": [[low + v, high + v] for (low, high), v in zip(interval, trained, strict=True)],
    }
