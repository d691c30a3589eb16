"""`drift estimate`: which mean the starts of sampling lack, in closed form, and how much of it the model would copy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentdrift.adapt import cache
from latentdrift.config import DriftEstimateOptions
from latentdrift.data.cohort import Cohort
from latentdrift.errors import CohortError, InputError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.leak import estimate as closed_form
from latentdrift.progress import Report
from latentdrift.sample.generate import latents
from latentdrift.sample.samplers import first_time
from latentdrift.study.subject import Subject, plain

IGNORED = 0.1  # share of a full copy below which a start's mean hardly reaches the image; ours


@dataclass(frozen=True)
class CopySlope:
    """Regression of the channel means of x0 on those of the start yT, over images: one number per channel."""

    slope: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]
    """95 %, from Student's t."""
    r2: tuple[float, ...]
    full: float
    """1 / a_t0: the slope of a model that takes the start's mean for signal."""
    n: int

    @property
    def share(self) -> tuple[float, ...]:
        """Slope over that of a full copy."""
        return tuple(slope / self.full for slope in self.slope)

    @property
    def sentence(self) -> str:
        """Whether drift of the start can matter to this model."""
        most = max(range(len(self.slope)), key=lambda channel: abs(self.slope[channel]))
        found = f"the largest slope is {self.slope[most]:.2f}, {self.share[most]:.0%} of a full copy, in channel {most}"
        if all(low <= 0 <= high for low, high in self.interval):
            return f"No copying of the start's mean is seen in {self.n} images ({found}): drift of the start hardly matters here."
        if abs(self.share[most]) < IGNORED:
            return f"The start's mean is ignored ({found}): drift of the start hardly matters for this model."
        return f"The start's mean is copied into the image ({found}): drift of the start matters for this model."


def copy_slope(starts: Tensor, x0: Tensor, a_t0: float) -> CopySlope:
    """Ordinary least squares per channel.

    Args:
        starts: channel means of the starts [N, C].
        x0: channel means of what came of them [N, C].
        a_t0: signal scale where sampling starts.

    Raises:
        InputError: fewer than three images, or latents that are not finite.
    """
    from scipy import stats

    if len(starts) < 3 or not (starts.isfinite().all() and x0.isfinite().all()):
        raise InputError(
            f"the copy slope needs at least three images with finite latents, found {len(starts)}; give a larger --n"
        )
    fits = [stats.linregress(z, x) for z, x in zip(starts.double().T.numpy(), x0.double().T.numpy(), strict=True)]
    wide = float(stats.t.ppf(0.975, len(starts) - 2))
    return CopySlope(
        tuple(float(fit.slope) for fit in fits),
        tuple((float(fit.slope - wide * fit.stderr), float(fit.slope + wide * fit.stderr)) for fit in fits),
        tuple(float(fit.rvalue**2) for fit in fits),
        1 / a_t0,
        len(starts),
    )


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
    train = replace(cohort, table=cohort.rows("train").reset_index(drop=True))
    if len(train.table) < 2:
        raise CohortError(f"cohort {cohort.folder} has {len(train.table)} images in its train split, and an estimate needs two")
    moments = cache.latents(base, train, resolution, options.out / "cache", progress=report)
    means = torch.from_numpy(np.stack([mean.mean((1, 2)) for mean in moments.mean]))
    patients = list(train.table["patient"]) if train.table["patient"].notna().all() else None
    delta, interval = closed_form(means, a_t0, groups=patients, resamples=options.bootstrap, seed=options.seed)
    size, copied = base.latent_size(resolution), None
    if options.copy_slope:
        copied = measure_copy_slope(subject.about(cohort), cohort, options, resolution, a_t0, report)
    return {
        "delta": list(delta),
        "mode": "infer",
        "interval": [list(ends) for ends in interval],
        "sd": [value * size for value in delta],
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
    subject: Subject, cohort: Cohort, options: DriftEstimateOptions, resolution: int, a_t0: float, report: Report
) -> dict[str, Any]:
    """The copy slope of plain starts under the cohort's prompts, as it stands in estimate.json."""
    how = {name: getattr(options, name) for name in ("seed", "steps", "guidance", "sampler", "batch_size")}
    prompts = subject.prompts(cohort, "train", options.n)
    starts, ends = [], []
    drawing = latents(subject.base, plain(subject.drift), prompts, subject.statistics, **how, resolution=resolution)
    for done, (_, start, x0) in enumerate(drawing, start=1):
        starts.append(start.mean((1, 2)).cpu())
        ends.append(x0.mean((1, 2)).cpu())
        report(done, options.n)
    found = copy_slope(torch.stack(starts), torch.stack(ends), a_t0)
    return {
        "slope": list(found.slope), "interval": [list(ends) for ends in found.interval], "r2": list(found.r2),
        "full": found.full, "share": list(found.share), "n": found.n, "sentence": found.sentence,
        "starts": torch.stack(starts).tolist(), "outputs": torch.stack(ends).tolist(),
    }  # fmt: skip
