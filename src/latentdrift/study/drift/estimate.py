"""`drift estimate`: which mean the starts of sampling lack, how much of it the model copies, and
what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentdrift.adapt.training.batches import latent_cache
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.adapt.training.setup.copy_slope import (
    EXTRA_IMAGES,
    CopySlope,
    Response,
    channel_means,
    copy_slope,
    response,
)
from latentdrift.config import DriftEstimateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.model import signal_leak
from latentdrift.model.adapter_info import BaseInfo
from latentdrift.model.base import Base
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.sample.generate import SamplingOptions
from latentdrift.sample.samplers import first_time
from latentdrift.study.model_images import check_text_alone, prompts_of_split


@dataclass(frozen=True)
class ChannelDrift:
    """Drift of each latent channel, with its 95 % interval."""

    delta: list[float]
    """In standard deviations of unit noise."""
    interval: list[list[float]]
    """Lower and upper end of each channel."""
    sd: list[float]
    """In standard deviations of a noise channel's mean, 1 / latent_size."""


@dataclass(frozen=True)
class MeasuredCopySlope:
    """Copy slope of plain starts, with the points of the regression."""

    slope: CopySlope
    starts: list[list[float]]
    """Channel means [N, C] of the starts."""
    outputs: list[list[float]]
    """Channel means [N, C] of the latents that were sampled from them."""

    def to_dict(self) -> dict[str, Any]:
        """Content for estimate.json."""
        slope = self.slope
        return {
            "slope": list(slope.slope),
            "interval": [list(ends) for ends in slope.interval],
            "r2": list(slope.r2),
            "full": slope.full,
            "share": list(slope.share),
            "n": slope.n,
            "sentence": slope.sentence,
            "starts": self.starts,
            "outputs": self.outputs,
        }


@dataclass(frozen=True)
class Estimate:
    """Estimated drift of the starts of a model for a cohort."""

    drift: ChannelDrift
    source: str
    """`closed form`, or `calibrated` for an adapter with a copy slope."""
    closed_form: ChannelDrift
    latent_mean: list[float]
    """Mean of each channel of the training latents."""
    latent_size: int
    """Latent pixels on a side."""
    t0: float
    """First time of the sampler."""
    a_t0: float
    """Signal scale at the first time, in (0, 1]."""
    images: int
    """Number of training images."""
    patients: int | None
    """Number of training patients; None where they are not known."""
    base: BaseInfo
    """Name and hash."""
    method: str | None
    """Method of the adapter; None for a base alone."""
    cohort: str
    """Fingerprint of the cohort."""
    copy_slope: MeasuredCopySlope | None
    """None where it was not requested."""
    mode: str = "infer"
    split: str = "train"

    def to_dict(self) -> dict[str, Any]:
        """Content of estimate.json."""
        return {
            **asdict(self.drift),
            "source": self.source,
            "mode": self.mode,
            "closed_form": asdict(self.closed_form),
            "latent_mean": self.latent_mean,
            "latent_size": self.latent_size,
            "t0": self.t0,
            "a_t0": self.a_t0,
            "split": self.split,
            "images": self.images,
            "patients": self.patients,
            "base": self.base.to_dict(),
            "method": self.method,
            "cohort": self.cohort,
            "copy_slope": self.copy_slope.to_dict() if self.copy_slope else None,
        }


def estimate(
    model: Model, cohort: Cohort, options: DriftEstimateOptions, report: ProgressCallback
) -> Estimate:
    """Estimate the drift of a model's starts for a cohort.

    Args:
        model: Model whose starts are estimated.
        cohort: Cohort whose train split the starts should resemble.
        options: Options of the estimate.
        report: Callback (done, all) for the images that are encoded, then for the generated ones.

    Raises:
        OptionError: Sampling starts from pure noise, where no start is better than another; as
            `check_copy_slope`; or `latents` refuses.
        CohortError: Fewer than two training images.
    """
    base = model.base
    resolution = options.resolution or model.info.side
    a_t0 = first_signal(base, options)
    check_copy_slope(model, options)
    train = _train_split(cohort)
    patients = list(train.table["patient"]) if train.table["patient"].notna().all() else None
    root = CacheRoot(options.out / "cache")
    moments = latent_cache.latents(base, train, resolution, root, progress=report)
    each = moments.each(range(len(train.rows())))
    means = torch.from_numpy(np.stack([mean.numpy().mean((1, 2)) for mean in each]))
    size = base.latent_size(resolution)
    closed_form = _closed_form(means, a_t0, patients, options, size)
    drift = closed_form
    source = "closed form"
    copied = None
    if options.copy_slope:
        draw = channel_mean_sampler(model.about(cohort), cohort, options, resolution, report)
        if model.is_base:  # a base alone does not know the cohort yet
            copied = measure_copy_slope(*draw(torch.zeros(means.shape[1])), a_t0)
        else:
            measured = response(draw, means.mean(0))
            drift = calibrated(model, measured, means.mean(0), options.seed, size)
            source = "calibrated"
            copied = measure_copy_slope(*measured.first(options.n), a_t0)
    return Estimate(
        drift=drift,
        source=source,
        closed_form=closed_form,
        latent_mean=means.double().mean(0).tolist(),
        latent_size=size,
        t0=float(first_time(options.sampler, base.schedule, options.steps)),
        a_t0=a_t0,
        images=len(means),
        patients=None if patients is None else len(set(patients)),
        base=BaseInfo(name=base.name, hash=base.hash),
        method=model.info.method,
        cohort=cohort.fingerprint,
        copy_slope=copied,
    )


def check_copy_slope(model: Model, options: DriftEstimateOptions) -> None:
    """Check that the copy slope can be measured, where it is requested.

    Args:
        model: Model whose starts are estimated.
        options: Options of the estimate.

    Raises:
        OptionError: The network reads images, or `n` is too small to calibrate its starts.
    """
    if not options.copy_slope:
        return
    check_text_alone(model, "; leave the copy slope out with `copy_slope=False`")
    channels = model.base.latent_channels
    if not model.is_base and options.n < channels + EXTRA_IMAGES:
        raise OptionError(
            f"`n` is {options.n}, and the starts of a model with {channels} latent channels take "
            f"at least {channels + EXTRA_IMAGES} images; raise `n`, or leave the copy slope out "
            "with `copy_slope=False`"
        )


def _train_split(cohort: Cohort) -> Cohort:
    """The cohort's train split.

    Raises:
        CohortError: It has fewer than two images.
    """
    train = replace(cohort, table=cohort.rows("train").reset_index(drop=True))
    if len(train.table) < 2:
        raise CohortError(
            f"cohort {cohort.folder} has {len(train.table)} images in its train split, and an "
            "estimate needs two"
        )
    return train


def _closed_form(
    means: Tensor,
    a_t0: float,
    patients: list[str] | None,
    options: DriftEstimateOptions,
    latent_size: int,
) -> ChannelDrift:
    """Closed-form drift with its interval, from the channel means [N, C] of the training
    latents."""
    resampling = Resampling(options.bootstrap, options.seed)
    delta, interval = signal_leak.estimate(means, a_t0, groups=patients, resampling=resampling)
    return ChannelDrift(
        delta=list(delta),
        interval=[list(ends) for ends in interval],
        sd=[value * latent_size for value in delta],
    )


def first_signal(base: Base, options: DriftEstimateOptions) -> float:
    """Signal scale a_t0 at the first time of the sampler, in (0, 1].

    Args:
        base: The base.
        options: Sampler and steps.

    Raises:
        OptionError: The base starts from pure noise, alpha_bar_T = 0.
    """
    a_t0 = float(base.schedule.a(first_time(options.sampler, base.schedule, options.steps)))
    if base.schedule.zero_snr or not a_t0 > 0:
        raise OptionError(
            "there is nothing to estimate: this model starts from pure noise (alpha_bar_T = 0, "
            "zero terminal SNR), so no signal leaks into its starts and delta is 0 by "
            "construction; take `drift=none`"
        )
    return a_t0


def channel_mean_sampler(
    model: Model,
    cohort: Cohort,
    options: DriftEstimateOptions,
    resolution: int,
    report: ProgressCallback,
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Function that samples images from starts of a shifted mean, as `response` takes it.

    Args:
        model: The model.
        cohort: Cohort whose training rows the prompts follow.
        options: Options of sampling; `n` images.
        resolution: Pixels on a side.
        report: Called with (images done, all).

    Returns:
        Shift [C] -> channel means [N, C] of the starts and of the sampled latents.
    """
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


def measure_copy_slope(starts: Tensor, outputs: Tensor, a_t0: float) -> MeasuredCopySlope:
    """Measure the copy slope of plain starts.

    Args:
        starts: Channel means of the starts.
        outputs: Channel means of the latents that were sampled from them.
        a_t0: Scale of the signal at the first time of the sampler.
    """
    slope = copy_slope(starts, outputs, a_t0)
    return MeasuredCopySlope(slope, starts.tolist(), outputs.tolist())


def calibrated(
    model: Model, measured: Response, target: Tensor, seed: int, latent_size: int
) -> ChannelDrift:
    """Drift of the start from which an adapter's images have the target means.

    Args:
        model: The adapted model.
        measured: Response of its images to shifted starts.
        target: Channel means [C] of the training latents.
        seed: Seed of the interval's resamples.
        latent_size: Latent pixels on a side; `sd` is in units of 1 / latent_size.
    """
    trained = model.drift.train or (0.0,) * len(target)
    interval = measured.interval(target, seed)
    delta = [start + value for start, value in zip(measured.start(target), trained, strict=True)]
    return ChannelDrift(
        delta=delta,
        interval=[[low + v, high + v] for (low, high), v in zip(interval, trained, strict=True)],
        sd=[value * latent_size for value in delta],
    )
