"""`drift estimate`: which mean the starts of sampling lack, how much of it the model copies, and what it asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentdrift.adapt import cache
from latentdrift.adapt.copying import Response, channel_means, copy_slope
from latentdrift.config import DriftEstimateOptions
from latentdrift.data.cohort import Cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.leak import estimate as closed_form
from latentdrift.progress import Report
from latentdrift.sample.samplers import first_time
from latentdrift.study.subject import Subject, check_words


def estimate(subject: Subject, cohort: Cohort, options: DriftEstimateOptions, report: Report) -> dict[str, Any]:
    """What estimate.json says.

    Args:
        subject: The model that is asked.
        cohort: Its train split is what the starts should be like.
        options: What is asked.
        report: Told (done, all) of the images that are encoded, then of those that are drawn.

    Raises:
        OptionError: Sampling starts from pure noise, where no start is better than another; or `latents` refuses.
        CohortError: Fewer than two training images.
    """
    base, resolution = subject.base, options.resolution or subject.info["resolution"]
    a_t0 = first_signal(base, options)
    if options.copy_slope:
        check_words(subject, "; leave the copy slope out with --no-copy-slope")
    train = replace(cohort, table=cohort.rows("train").reset_index(drop=True))
    if len(train.table) < 2:
        raise CohortError(f"cohort {cohort.folder} has {len(train.table)} images in its train split, and an estimate needs two")
    moments = cache.latents(base, train, resolution, options.out / "cache", progress=report)
    means = torch.from_numpy(np.stack([mean.mean((1, 2)) for mean in moments.mean]))
    patients = list(train.table["patient"]) if train.table["patient"].notna().all() else None
    delta, interval = closed_form(means, a_t0, groups=patients, resamples=options.bootstrap, seed=options.seed)
    size, copied = base.latent_size(resolution), None
    found = {"delta": list(delta), "interval": [list(ends) for ends in interval], "sd": [value * size for value in delta]}
    chosen = {**found, "source": "closed form"}
    if options.copy_slope:
        copied, starts, ends = measure_copy_slope(subject.about(cohort), cohort, options, resolution, a_t0, report)
        if subject.info["method"] is not None:  # a base alone does not know the cohort yet
            asked = calibrated(subject, starts, ends, means.mean(0), options.seed)
            chosen = {**asked, "sd": [value * size for value in asked["delta"]], "source": "calibrated"}
    return {
        **chosen,
        "mode": "infer",
        "closed_form": found,
        "latent_mean": means.double().mean(0).tolist(),
        "latent_size": size,
        "t0": float(first_time(options.sampler, base.schedule, options.steps)),
        "a_t0": a_t0,
        "split": "train",
        "images": len(means),
        "patients": None if patients is None else len(set(patients)),
        "base": {"name": base.name, "hash": base.hash},
        "method": subject.info["method"],
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
            "there is nothing to estimate: this model starts from pure noise (alpha_bar_T = 0, zero terminal SNR), so no signal "
            "leaks into its starts and delta is 0 by construction; take --drift none"
        )
    return a_t0


def measure_copy_slope(
    subject: Subject,
    cohort: Cohort,
    options: DriftEstimateOptions,
    resolution: int,
    a_t0: float,
    report: Report,
) -> tuple[dict[str, Any], Tensor, Tensor]:
    """The copy slope of plain starts under the cohort's prompts, as it stands in estimate.json, and what it was measured on."""
    how = {name: getattr(options, name) for name in ("seed", "steps", "guidance", "sampler", "batch_size")}
    prompts = subject.prompts(cohort, "train", options.n)
    how["resolution"] = resolution
    starts, ends = channel_means(subject.base, subject.drift.plain, prompts, subject.statistics, None, report, **how)
    found = copy_slope(starts, ends, a_t0)
    told = {
        "slope": list(found.slope), "interval": [list(ends) for ends in found.interval], "r2": list(found.r2),
        "full": found.full, "share": list(found.share), "n": found.n, "sentence": found.sentence,
        "starts": starts.tolist(), "outputs": ends.tolist(),
    }  # fmt: skip
    return told, starts, ends


def calibrated(subject: Subject, starts: Tensor, ends: Tensor, wanted: Tensor, seed: int) -> dict[str, Any]:
    """The drift of the start from which an adapter's pictures have the means that are wanted, as it stands in estimate.json."""
    response, trained = Response(starts, ends), subject.drift.train or (0.0,) * starts.shape[1]
    delta = [found + value for found, value in zip(response.start(wanted), trained, strict=True)]
    interval = response.interval(wanted, seed)
    return {"delta": delta, "interval": [[low + v, high + v] for (low, high), v in zip(interval, trained, strict=True)]}
