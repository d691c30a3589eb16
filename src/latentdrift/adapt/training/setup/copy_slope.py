"""How much of a start's mean arrives in the picture: the copy slope, and the start that a network
asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from latentdrift.errors import InputError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics
from latentdrift.progress import ProgressCallback
from latentdrift.sample.generate import ImageInputs, SamplingOptions, latents
from latentdrift.seeds import generator

IGNORED = 0.1  # share of a full copy below which a start's mean hardly reaches the image; ours
ROUNDING = 1e-12  # squared slope that is none
# sds of a start's channel mean over which a line through the pictures that were drawn is trusted;
# ours
REACH = 4.0
PASSES = 3  # that pictures are drawn again, nearer to an answer that lies further; ours
EXTRA_IMAGES = 3
"""Images beyond the number of latent channels that the calibration of a start needs."""
RESAMPLES = 1000  # of images, behind the interval of a calibrated start


@dataclass(frozen=True)
class CopySlope:
    """Regression of the channel means of x0 on those of the start yT, over images: one number per
    channel."""

    slope: tuple[float, ...]
    interval: tuple[tuple[float, float], ...]
    """95 %, from Student's t."""
    r2: tuple[float, ...]
    full: float
    """1 / a_t0: the slope of a model that takes the start's mean for signal."""
    n: int

    @property
    def share(self) -> tuple[float, ...]:
        """Slope of each channel as a share of a full copy: 1 is a full copy, 0 is none."""
        return tuple(slope / self.full for slope in self.slope)

    @property
    def sentence(self) -> str:
        """Sentence for reports: whether drift of the start has an effect on this model."""
        clear = [
            channel for channel, (low, high) in enumerate(self.interval) if not low <= 0 <= high
        ]
        steepest = max(
            clear or range(len(self.slope)), key=lambda channel: abs(self.slope[channel])
        )
        which = "largest clear slope" if clear else "largest slope"
        finding = (
            f"the {which} is {self.slope[steepest]:.2f}, {self.share[steepest]:.0%} of a full "
            f"copy, in channel {steepest}"
        )
        if not clear and max(abs(end) for ends in self.interval for end in ends) > self.full:
            return (
                f"{self.n} images are too few to measure whether the start's mean is "
                f"copied ({finding}): give a larger `n`."
            )
        if not clear:
            return (
                f"No copying of the start's mean is measured in {self.n} images "
                f"({finding}). Drift of the start has little effect on this model."
            )
        if abs(self.share[steepest]) < IGNORED:
            return (
                f"The start's mean has almost no effect on the image ({finding}). Drift of "
                "the start has little effect on this model."
            )
        return (
            f"The start's mean is copied into the image ({finding}). Drift of the start "
            "matters for this model."
        )


def copy_slope(starts: Tensor, x0: Tensor, a_t0: float) -> CopySlope:
    """Measure the copy slope by ordinary least squares, channel by channel.

    Args:
        starts: Channel means of the starts yT, [N, C].
        x0: Channel means of the sampled latents, [N, C].
        a_t0: Signal scale a at the time where sampling starts, in (0, 1].

    Raises:
        InputError: Fewer than three images, or latents that are not finite.
    """
    from scipy import stats

    if len(starts) < 3 or not (starts.isfinite().all() and x0.isfinite().all()):
        raise InputError(
            f"the copy slope needs at least three images with finite latents, found {len(starts)}; "
            "give a larger `n`"
        )
    fits = [
        stats.linregress(z, x)
        for z, x in zip(starts.double().T.numpy(), x0.double().T.numpy(), strict=True)
    ]
    wide = float(stats.t.ppf(0.975, len(starts) - 2))
    return CopySlope(
        tuple(float(fit.slope) for fit in fits),
        tuple(
            (float(fit.slope - wide * fit.stderr), float(fit.slope + wide * fit.stderr))
            for fit in fits
        ),
        tuple(float(fit.rvalue**2) for fit in fits),
        1 / a_t0,
        len(starts),
    )


@torch.no_grad()
def channel_means(
    base: Base,
    drift: Drift,
    prompts: Mapping[int, str],
    sampling: SamplingOptions,
    statistics: Statistics | None,
    images: ImageInputs | None,
    report: ProgressCallback,
) -> tuple[Tensor, Tensor]:
    """Sample images, and average starts and latents over each channel.

    Args:
        base: The model.
        drift: Its drift.
        prompts: Image index -> prompt.
        sampling: Options of sampling.
        statistics: Statistics of the training latents; None where the start needs none.
        images: Images that the network reads beside the noise; None where it reads none.
        report: Called with (images done, all) after each image.

    Returns:
        Channel means of the starts and of the sampled latents, both [N, C] float64.
    """
    means = []
    for _, start, x0 in latents(base, drift, prompts, sampling, statistics, images):
        means.append(torch.stack([start.mean((1, 2)).cpu(), x0.mean((1, 2)).cpu()]))
        report(len(means), len(prompts))
    starts, ends = torch.stack(means, 1).double()
    return starts, ends


def response(draw: Callable[[Tensor], tuple[Tensor, Tensor]], wanted: Tensor) -> Response:
    """Measure how the channel means of sampled images depend on those of their starts.

    The required start may lie far outside of the plain starts, where a line through these is
    unreliable. So images are sampled again on the way to it, in at most PASSES passes. A pass moves
    at most 2 REACH times the spread of plain starts. It ends when the estimate is within REACH of
    sampled starts.

    Args:
        draw: Shift [C] of the mean of plain starts -> `channel_means`, of equal prompts each time.
        wanted: Channel means that the images should have, [C].

    Returns:
        Response over all sampled images; the first N have plain starts.
    """
    shifts = [torch.zeros(len(wanted), dtype=torch.float64)]
    starts, x0 = draw(shifts[0])
    answer = Response(starts, x0)
    reach = REACH * starts.std(0).mean()
    for _ in range(PASSES):
        delta = torch.tensor(answer.start(wanted), dtype=torch.float64)
        nearest = min(shifts, key=lambda shift: float((delta - shift).abs().max()))
        way = delta - nearest
        if way.abs().max() <= reach:
            break
        shifts.append(nearest + way.clamp(-2 * reach, 2 * reach))
        starts, x0 = draw(shifts[-1])
        answer = Response(torch.cat([answer.starts, starts]), torch.cat([answer.x0, x0]))
    return answer


@dataclass(frozen=True, eq=False)
class Response:
    """How the channel means of pictures follow those of their starts: x0 = x0(0) + B z, a
    regression of every channel on all."""

    starts: Tensor
    """z of every picture, [N, C] float64."""
    x0: Tensor
    """Channel means of the latents that were sampled from these starts."""

    def __post_init__(self) -> None:
        """Check that B can be known.

        Raises:
            InputError: Fewer than C + 3 pictures.
        """
        n, channels = self.starts.shape
        if n < channels + EXTRA_IMAGES:
            raise InputError(
                f"calibrating {channels} latent channels takes at least "
                f"{channels + EXTRA_IMAGES} pictures, found {n}"
            )

    def first(self, n: int) -> tuple[Tensor, Tensor]:
        """Channel means of the starts and of the latents, [n, C] each, of the first n images."""
        return self.starts[:n], self.x0[:n]

    def start(self, wanted: Tensor, of: Sequence[int] | None = None) -> tuple[float, ...]:
        """Estimate the mean of the start, per channel, that gives images with the target mean.

        A start of mean delta misses the target m by m - x0(0) - B delta. The entries of B are known
        up to errors of covariance sigma_k^2 (Z^T Z)^-1 in row k. The expected square of the miss is
        least at

            delta = (B^T B + sum_k sigma_k^2 (Z^T Z)^-1)^-1 B^T (m - x0(0))

        which is near 0 in a channel that the images do not depend on.

        Args:
            wanted: Target m of the channel means, [C].
            of: Positions of the images whose mean gives x0(0); None: all images.

        Returns:
            delta: one number per channel.
        """
        chosen = list(range(len(self.starts))) if of is None else list(of)
        slopes = self._slopes(self.starts[None], self.x0[None])
        return tuple(
            self._answers(self.starts[None, chosen], self.x0[None, chosen], slopes, wanted)[
                0
            ].tolist()
        )

    def interval(self, wanted: Tensor, seed: int) -> tuple[tuple[float, float], ...]:
        """95 % bootstrap interval of `start`, from RESAMPLES resamples of the images.

        Args:
            wanted: Target of the channel means, [C].
            seed: Seed of the resamples.

        Returns:
            (low, high) for each channel.
        """
        n = len(self.starts)
        picks = torch.randint(
            n, (RESAMPLES, n), generator=generator(seed, "calibrate", "bootstrap")
        )
        starts = self.starts[picks]
        x0 = self.x0[picks]
        answers = self._answers(starts, x0, self._slopes(starts, x0), wanted)
        ends = torch.quantile(answers, torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
        return tuple((low, high) for low, high in ends.T.tolist())

    @staticmethod
    def _slopes(starts: Tensor, x0: Tensor) -> Tensor:
        """B^T [R, C, C] of every resample [R, N, C]."""
        result: Tensor = torch.linalg.pinv(starts - starts.mean(1, keepdim=True)) @ x0
        return result

    @cached_property
    def _doubt(self) -> Tensor:
        """sum_k sigma_k^2 (Z^T Z)^-1, [C, C]."""
        (n, channels), z = self.starts.shape, self.starts - self.starts.mean(0)
        residual = self.x0 - self.x0.mean(0) - z @ self._slopes(self.starts[None], self.x0[None])[0]
        result: Tensor = residual.square().sum() / (n - channels - 1) * torch.linalg.pinv(z.T @ z)
        return result

    def _answers(self, starts: Tensor, x0: Tensor, slopes: Tensor, wanted: Tensor) -> Tensor:
        """delta [R, C]."""
        missing = wanted.double() - (x0 - starts @ slopes).mean(1)
        result: Tensor = (
            torch.linalg.pinv(slopes @ slopes.mT + self._doubt, atol=ROUNDING)
            @ slopes
            @ missing[:, :, None]
        )[:, :, 0]
        return result
