"""STARTS: where sampling begins, and the statistics of a cohort's latents that some of them are
drawn from.

A network expects xt = a x0 + s eps even at its noisiest time, where a is small and not zero: the
signal leaks into the noise (Lin et al. 2023; Everaert et al. 2024). A plain start N(0, I) lacks
that signal. Every row returns yT [C, h, w], the start of the network with drift wrapped around it:
a start xT in the network's own coordinates less s delta_train. An image that leaks and drift add,
xT = a x + s (z + delta_train), so that yT = a x + s z.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from latentdrift.errors import AdapterError, CohortError, OptionError
from latentdrift.model.drift import PLAIN, Drift
from latentdrift.model.schedule import Process

# frequencies per axis of the low-frequency leak; ours: 16 numbers per channel, coarser than any
# organ's outline
LOW = 4
FEWEST = 10  # images; a per-pixel mean of fewer would nearly be a picture of someone
FILE = "start.safetensors"


@dataclass(frozen=True, eq=False)
class Statistics:
    """How a cohort's scaled latents are distributed, over images; no numbers of any one image."""

    mean: Tensor
    """[C] of the channel means."""
    covariance: Tensor
    """[C, C] of the channel means."""
    pixel_mean: Tensor
    """[C, h, w]; empty, as are the following, where there were fewer than FEWEST images."""
    pixel_std: Tensor
    """[C, h, w]."""
    low_mean: Tensor
    """[C, LOW, LOW] of the lowest coefficients of an orthonormal DCT-II."""
    low_std: Tensor
    """[C, LOW, LOW]."""

    @classmethod
    def measure(cls, means: Iterable[Tensor]) -> Statistics:
        """Measure the statistics of latents in one pass.

        Args:
            means: Posterior means of scaled latents, [C, h, w] each.

        Raises:
            CohortError: Fewer than two images, or latents that are not finite.
        """
        levels = list[Tensor]()
        sums = list[Tensor]()
        for mean in means:
            x0 = mean.detach().double().cpu()
            low = _basis(x0.shape[1]) @ x0 @ _basis(x0.shape[2]).T
            levels.append(x0.mean((1, 2)))
            parts = [x0, x0.square(), low, low.square()]
            sums = (
                [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
            )
        n = len(levels)
        if n < 2 or not torch.stack(levels).isfinite().all():
            raise CohortError(
                "the statistics of a cohort need at least two images with finite latents, found "
                f"{n}"
            )
        spread = [torch.zeros(0)] * 4
        if n >= FEWEST:
            (x_mean, x_square), (low_mean, low_square) = (
                (a / n, b / n) for a, b in (sums[:2], sums[2:])
            )
            spread = [
                x_mean,
                _deviation(x_mean, x_square, n),
                low_mean,
                _deviation(low_mean, low_square, n),
            ]
        level = torch.stack(levels)
        return cls(
            *(part.float().contiguous() for part in [level.mean(0), torch.cov(level.T), *spread])
        )

    def save(self, folder: Path) -> None:
        """Write the statistics as FILE into an adapter folder."""
        from safetensors.torch import save_file

        save_file({field.name: getattr(self, field.name) for field in fields(self)}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Statistics | None:
        """Load the statistics of an adapter folder; None where it has none.

        Raises:
            AdapterError: The file is damaged.
        """
        from safetensors.torch import load_file

        if not (folder / FILE).is_file():
            return None
        try:
            return cls(**load_file(folder / FILE))
        except (SafetensorError, TypeError, OSError) as error:
            raise AdapterError(
                f"{folder / FILE} is damaged ({error}); copy the adapter again from where it was "
                "made"
            ) from error


@dataclass(frozen=True)
class Place:
    """Inputs of a start: the noise of one image, the network's schedule values and statistics."""

    z: Tensor
    """Unit noise [C, h, w], the first that the image's generator gave."""
    shift: Tensor
    """(delta_infer - delta_train) s, [C, 1, 1]."""
    noise: Tensor
    """Mean of the noise beside an image that leaks, [C, 1, 1]: see `Drift.noise_shift`."""
    a: float
    s: float
    statistics: Statistics
    generator: torch.Generator
    """For what else is drawn."""


def pin(place: Place) -> Tensor:
    """Start [C, h, w] whose spatial mean in every channel is exactly that of the drift."""
    return place.z - place.z.mean((1, 2), keepdim=True) + place.shift


def pin_sample(place: Place) -> Tensor:
    """Start [C, h, w] whose spatial mean is sampled: a N(m, cov), as in the cohort's images."""
    statistics = place.statistics
    values, vectors = torch.linalg.eigh(
        statistics.covariance
    )  # a matrix of low rank is allowed, unlike for Cholesky
    root = vectors * values.clamp(min=0).sqrt()
    level = statistics.mean + root @ torch.randn(len(statistics.mean), generator=place.generator)
    result: Tensor = (
        place.z
        - place.z.mean((1, 2), keepdim=True)
        + place.a * level.reshape(-1, 1, 1)
        + place.noise
    )
    return result


def leak_pixel(place: Place) -> Tensor:
    """Start a x + s z [C, h, w], with x from the mean and spread of each latent pixel.

    Everaert et al. 2024, section 4.1.
    """
    statistics = place.statistics
    x = statistics.pixel_mean + statistics.pixel_std * torch.randn(
        place.z.shape, generator=place.generator
    )
    return place.a * x + place.s * place.z + place.noise


def leak_low(place: Place) -> Tensor:
    """Start a x + s z [C, h, w], with x from the mean and spread of the lowest frequencies.

    Everaert et al. 2024, section 4.2, in our basis.
    """
    statistics = place.statistics
    low = statistics.low_mean + statistics.low_std * torch.randn(
        statistics.low_mean.shape, generator=place.generator
    )
    x = _basis(place.z.shape[1]).T.float() @ low @ _basis(place.z.shape[2]).float()
    return place.a * x + place.s * place.z + place.noise


STARTS: dict[str, Callable[[Place], Tensor]] = {
    "shift": lambda place: place.z + place.shift,
    "pin": pin,
    "pin-sample": pin_sample,
    "leak-pixel": leak_pixel,
    "leak-low": leak_low,
}


def begin(
    drift: Drift,
    statistics: Statistics | None,
    schedule: Process,
    t0: Tensor,
    size: tuple[int, int, int],
    source: torch.Generator,
) -> Tensor:
    """The start yT [C, h, w] of one image, float32; without drift, the generator's unit noise as it
    is.

    Args:
        drift: Drift of the image's prompt (`Drift.of_prompt`).
        statistics: Statistics of the adapter's cohort.
        schedule: Schedule of the base.
        t0: The first time that the sampler visits.
        size: (C, h, w).
        source: Generator of everything random in the image.
    """
    z = torch.randn(size, generator=source)
    s = schedule.s(t0)
    shift, noise = (
        delta.float().reshape(-1, 1, 1) for delta in (drift.shift(s), drift.noise_shift(s))
    )
    found = statistics if statistics is not None else Statistics(*[torch.zeros(0)] * 6)
    return STARTS[drift.start](
        Place(z, shift, noise, schedule.a(t0).item(), s.item(), found, source)
    )


def check(start: str, statistics: Statistics | None, size: tuple[int, int, int]) -> None:
    """Check that a start can be sampled.

    Args:
        start: Row of STARTS.
        statistics: Statistics of the training latents; None: unknown.
        size: (C, h, w) of the latents.

    Raises:
        OptionError: The statistics that it needs are missing, or of another size.
    """
    if start in PLAIN:
        return
    if statistics is None:
        raise OptionError(
            f"a '{start}' start is drawn from statistics of the training latents, which neither a "
            "base alone nor an adapter of an older version has; sample an adapter that this "
            "version's `fit` made, or take infer or pin"
        )
    if start == "pin-sample":
        return
    if not statistics.pixel_mean.numel():
        raise OptionError(
            f"a '{start}' start needs an adapter of at least {FEWEST} training images; take infer, "
            "pin or pin-sample"
        )
    if start == "leak-pixel" and tuple(statistics.pixel_mean.shape) != size:
        raise OptionError(
            f"the adapter's latents are {tuple(statistics.pixel_mean.shape)} and this resolution's "
            f"{size}: a 'leak-pixel' start works at the resolution of the training only; leave "
            "`resolution` out, or take another start"
        )


def _deviation(mean: Tensor, square: Tensor, n: int) -> Tensor:
    """Standard deviation of a sample from its mean and mean square."""
    return ((square - mean.square()).clamp(min=0) * n / (n - 1)).sqrt()


def _basis(size: int) -> Tensor:
    """Rows are the lowest LOW functions of the orthonormal DCT-II [min(LOW, size), size] (Ahmed et
    al. 1974), float64."""
    k = torch.arange(min(LOW, size), dtype=torch.float64)
    i = torch.arange(size, dtype=torch.float64)
    rows = torch.cos(torch.pi / size * k[:, None] * (i + 0.5)) * (2 / size) ** 0.5
    rows[0] /= 2**0.5
    result: Tensor = rows
    return result
