"""Confidence intervals: patients are resampled, not images.

Two pictures of one patient are not two independent observations, so the patient is the unit that is
drawn. A draw is an array of weights, one per picture: how often it stands in the resample. Every
score of this package takes such weights, which makes a resample, a subset and a half of the set the
same thing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.evaluate.statistics.results import EditMean
from latentdrift.resampling import Resampling
from latentdrift.seeds import derive

Weighted = Callable[[np.ndarray, np.ndarray], float]
"""A score of two sets, from a weight for each picture of the first [N] and of the second [M]."""


def rng(seed: int, *path: int | str) -> np.random.Generator:
    """Numpy generator for a named place under a seed.

    Args:
        seed: Seed of the whole.
        path: Names that distinguish places.
    """
    return np.random.default_rng(derive(seed, *path))


def part_of(places: int | np.ndarray, limit: int, generator: np.random.Generator) -> np.ndarray:
    """Choose at most `limit` positions at random, in rising order.

    Args:
        places: Positions to choose from, or their number n for 0 to n - 1.
        limit: Number at most.
        generator: Generator of the choice.
    """
    return np.sort(generator.permutation(places)[:limit])


def part_by_unit(units: np.ndarray, limit: int, generator: np.random.Generator) -> np.ndarray:
    """Choose at most `limit` images at random, one of every unit before a second of any.

    Args:
        units: Unit of each image, integers [N].
        limit: Number at most.
        generator: Generator of the choice.

    Returns:
        Positions in rising order.
    """
    order = generator.permutation(len(units))
    turns = np.empty(len(units), dtype=int)
    seen: Counter[int] = Counter()
    for place in order:
        turns[place] = seen[int(units[place])]
        seen[int(units[place])] += 1
    return np.sort(order[np.argsort(turns[order], kind="stable")][:limit])


def groups(n: int, patients: Sequence[str] | None = None) -> np.ndarray:
    """Unit of resampling of each image, as integers [n].

    Args:
        n: Number of images.
        patients: Patient of each image, who is the unit; None: each image is a unit.
    """
    if patients is None:
        return np.arange(n)
    return np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1].reshape(n)


def units_of(images: Any) -> np.ndarray:
    """Unit of resampling of each image of an `EvaluationImages`, integers [N]; see `groups`."""
    return groups(len(images), images.patients)


FEWEST = 3  # units from which an interval is given: the resamples of two say nothing


def draws(
    units: np.ndarray, count: int, generator: np.random.Generator, distinct: int = 1
) -> Iterator[np.ndarray]:
    """`count` resamples with replacement: weights float64 [n] (Efron 1979; cluster form: Davison
    and Hinkley 1997, sec. 3.8).

    Args:
        units: The unit of each picture, from `groups`.
        count: Number of resamples.
        generator: Source of randomness.
        distinct: A resample that happens to hold fewer different units is drawn again; a covariance
            needs two.
    """
    total = int(units.max()) + 1
    if total < distinct:
        raise ValueError(f"{total} units cannot give resamples of {distinct} different ones")
    for _ in range(count):
        sampled = generator.integers(total, size=total)
        while len(np.unique(sampled)) < distinct:
            sampled = generator.integers(total, size=total)
        yield np.bincount(sampled, minlength=total).astype(np.float64)[units]


def halves(
    units: np.ndarray, count: int, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Split the units at random into two halves with equally many images.

    Where patients have different numbers of images, random images of the larger half are left out.

    Args:
        units: Unit of each image, integers [n].
        count: Number of splits.
        generator: Generator of the splits.

    Returns:
        Two arrays of weights 0 or 1, [n], for each split.
    """
    total = int(units.max()) + 1
    for _ in range(count):
        first = np.isin(units, generator.permutation(total)[: total // 2])
        size = int(min(first.sum(), (~first).sum()))
        yield choose(first, size, generator), choose(~first, size, generator)


def choose(allowed: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Weights 0 or 1 [n] of a random choice without replacement.

    Args:
        allowed: Images to choose from, bool [n].
        size: Number of images, at most the number allowed.
        generator: Generator of the choice.
    """
    weights = np.zeros(len(allowed))
    weights[generator.choice(np.flatnonzero(allowed), size=size, replace=False)] = 1.0
    return weights


def interval(
    value: float, replicates: Sequence[float] | np.ndarray, level: float = 0.95
) -> list[float]:
    """Bootstrap interval [low, high] of a value.

    A resample repeats images, which by itself biases some scores. A Fréchet distance of n images is
    biased upwards, and a resample has only 0.63 n different images. So the replicates are centred
    on the value first. The interval is the scatter of the score at this number of images.

    Args:
        value: Score of the whole set.
        replicates: Scores of the resamples.
        level: Confidence level in (0, 1).
    """
    spread = np.asarray(replicates, dtype=np.float64)
    low, high = np.quantile(spread - spread.mean(), [(1 - level) / 2, (1 + level) / 2])
    return [float(value + low), float(value + high)]


def mean_interval(
    values: np.ndarray, units: np.ndarray, count: int, generator: np.random.Generator
) -> list[float] | None:
    """95 % bootstrap interval of a mean over images.

    Args:
        values: A number for each image, [N].
        units: Unit of each image, integers [N].
        count: Number of resamples.
        generator: Generator of the resamples.

    Returns:
        [low, high]; None for fewer than FEWEST units.
    """
    units = np.unique(units, return_inverse=True)[1]
    if units.max() + 1 < FEWEST:
        return None
    return interval(
        float(values.mean()),
        [float(np.average(values, weights=w)) for w in draws(units, count, generator)],
    )


def proportion_interval(hits: int, n: int, z: float = 1.959964) -> list[float]:
    """95 % interval [low, high] of a share (Wilson 1927).

    It is valid also for 0 of n, where a bootstrap gives 0 to 0. The n must be independent; for
    several images of a patient use `clustered_interval`.

    Args:
        hits: Number of hits.
        n: Number of trials.
        z: Quantile of the normal distribution.
    """
    return _wilson(hits / n, n, z)


def clustered_interval(hits: np.ndarray, units: np.ndarray) -> list[float] | None:
    """The 95 % interval of the share of hits, [low, high], where pictures of one patient are not
    independent.

    Wilson's interval at the effective number of pictures n / d, with the design effect d >= 1 (Kish
    1965, sec. 8.2; Franco et al. 2019). Where all or none hit, d is unknown, and the number of
    patients takes the place of n / d.

    Args:
        hits: bool [n].
        units: From `groups` [n].

    Returns:
        None where there are fewer than FEWEST units and several pictures of one of them.
    """
    n = len(hits)
    share = float(np.mean(hits))
    labels = np.unique(units, return_inverse=True)[1]
    patients = int(labels.max()) + 1
    if patients == n:
        return proportion_interval(int(np.sum(hits)), n)
    if patients < FEWEST:
        return None
    if share in (0.0, 1.0):
        return _wilson(share, patients)
    residual = np.bincount(labels, np.asarray(hits, dtype=float) - share)
    variance = patients / (patients - 1) * float(np.square(residual).sum()) / n**2
    design = max(1.0, variance * (n - 1) / (share * (1 - share)))
    return _wilson(share, n / design)


def _wilson(share: float, n: float, z: float = 1.959964) -> list[float]:
    centre = (share * n + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * np.sqrt(n * share * (1 - share) + z * z / 4)
    return [max(0.0, float(centre - half)), min(1.0, float(centre + half))]


@dataclass(frozen=True, eq=False)
class PatientResampling:
    """Means of edits with their intervals: patients are resampled.

    Attributes:
        units: The patient of each edit, from `groups` [E].
        resampling: Number and seed of the resamples.
    """

    units: np.ndarray
    resampling: Resampling

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.units))

    def take(self, places: np.ndarray) -> PatientResampling:
        """Select edits by their positions, or by a mask bool [E]."""
        return PatientResampling(self.units[places], self.resampling)

    def mean(self, values: np.ndarray) -> EditMean:
        """Mean over edits with its 95 % interval over patients.

        Args:
            values: [E]; NaN is skipped.

        Returns:
            The mean; its value and interval are None without values.
        """
        is_known = np.isfinite(values)
        known = values[is_known]
        if not len(known):
            return EditMean(value=None, ci=None, n=0)
        source = self.resampling.rng("card")
        ci = mean_interval(known, self.units[is_known], self.resampling.n, source)
        return EditMean(value=float(known.mean()), ci=ci, n=len(known))

    def share(self, hits: np.ndarray) -> list[float] | None:
        """95 % interval of the share of edits that are True in bool [E]; None as in
        `clustered_interval`."""
        return clustered_interval(hits, self.units)
