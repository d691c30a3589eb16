"""The closed form of drift: the mean that a plain start lacks (signal leak, Everaert et al. 2024).

A network trained without drift expects xt of mean a x0 where sampling starts, and a plain start has
mean 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from latentdrift.errors import CohortError, OptionError
from latentdrift.resampling import Resampling
from latentdrift.seeds import generator


def estimate(
    means: Tensor,
    a_t0: float,
    *,
    groups: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resampling: Resampling = Resampling(1000),
) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    """The start's mean that images like these would have had: delta_c = a_t0 mean(x0_c) (signal
    leak, Everaert et al. 2024).

    A network trained without drift expects xt of mean a x0 where sampling starts, and a plain start
    has mean 0.

    Args:
        means: Posterior means of the scaled latents [N, C, h, w], or their channel means [N, C].
        a_t0: Signal scale at the first time that the sampler visits,
            `schedule.a(schedule.timesteps(steps)[0])`.
        groups: Patient of each image; the images of one patient are resampled together.
            Default: each on its own.
        confidence: Level of the intervals, by bootstrap over groups.
        resampling: Number and seed of the resamples of groups.

    Returns:
        delta per channel, and its (low, high) per channel.

    Raises:
        OptionError: Sampling starts from pure noise (a_t0 = 0), where no start is better than
            another.
        CohortError: Fewer than two images, or latents that are not finite.
    """
    if not a_t0 > 0:
        raise OptionError(
            "drift 'auto' has no meaning for this base: it starts from pure noise (zero terminal "
            "SNR); take none"
        )
    per_image = (
        means.detach().double().cpu().flatten(2).mean(2)
        if means.ndim == 4
        else means.detach().double().cpu()
    )
    count = len(per_image)
    if count < 2 or not per_image.isfinite().all():
        raise CohortError(
            f"drift 'auto' needs at least two images with finite latents, found {count}; give a "
            "value, or none"
        )
    names = list(range(count)) if groups is None else groups
    interval = _bootstrap(per_image, names, a_t0, confidence, resampling)
    delta = tuple((per_image.mean(0) * a_t0).tolist())
    return delta, interval


def _bootstrap(
    per_image: Tensor,
    groups: Sequence[Hashable],
    a_t0: float,
    confidence: float,
    resampling: Resampling,
) -> tuple[tuple[float, float], ...]:
    """(low, high) of delta per channel; whole groups are resampled."""
    place = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    member = torch.tensor([place[name] for name in groups])
    sums = per_image.new_zeros(len(place), per_image.shape[1]).index_add_(0, member, per_image)
    sizes = torch.bincount(member).double()
    source = generator(resampling.seed, "drift", "bootstrap")
    picks = torch.randint(len(place), (resampling.n, len(place)), generator=source)
    resampled = torch.stack([sums[rows].sum(0) / sizes[rows].sum() for rows in picks])
    tail = (1 - confidence) / 2
    quantiles = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    ends = torch.quantile(resampled, quantiles, dim=0) * a_t0
    return tuple((low, high) for low, high in ends.T.tolist())
