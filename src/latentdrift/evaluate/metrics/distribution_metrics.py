"""Two sets of feature vectors -> how far apart their distributions are.

A row of DISTANCES takes the features of two sets, [Na, D] and [Nb, D], and gives back a function of
two arrays of weights, [Na] and [Nb] (how often each picture counts). The costly part is done once;
a bootstrap resample, a subset and a half of a set are then only other weights. Rows with the same
`prepare` share all that it computes, also for each resample. Everything is in double precision: in
single precision the matrix root alone can be wrong by whole units (Project-MONAI/GenerativeModels
issue 231).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate.features.features import checked
from latentdrift.evaluate.metrics.prdc import (
    coverage,
    density,
    neighbourhoods,
    neighbours,
    precision,
    recall,
)
from latentdrift.evaluate.statistics.bootstrap import (
    FEWEST,
    Weighted,
    choose,
    draws,
    groups,
    halves,
    interval,
)
from latentdrift.evaluate.statistics.results import Metric, Subsets
from latentdrift.resampling import Resampling

KID_SUBSETS = 100  # (Binkowski et al. 2018, sec. 4; the default of clean-fid and torchmetrics)
KID_SUBSET_SIZE = 1000  # pictures at most; always fewer than the set has
# pictures below which a Fréchet distance is mostly bias (Heusel et al. 2017: use at least 2,048)
FRECHET_N = 2048
# pictures of each set at most (ours): the bias is gone, and 240 covariances have to be taken
MAX_FRECHET_IMAGES = 10_000
MAX_MANIFOLD_IMAGES = (
    2000  # the same for what looks at neighbours, whose time and memory grow with the square (ours)
)
# dimensions from which a Gram matrix replaces QR and SVD: there they take seconds
LARGE = 1024
BLOCK = 1024  # training pictures at a time
MEMORISED = 0.1  # cosine distance from which nothing counts as memorised (default of torchmetrics)
FLOOR_REPEATS = 20  # random splits of the real patients into two halves


def frechet(a: np.ndarray, b: np.ndarray) -> Weighted:
    """Fréchet distance of two Gaussians fitted to features (Dowson & Landau 1982; Heusel et al.
    2017, eq. 6).

    |mu_a - mu_b|^2 + tr(Sa) + tr(Sb) - 2 tr((Sa Sb)^(1/2)). With S = F^T F and F = (x - mu) /
    sqrt(n - 1), the eigenvalues of Sa Sb are the squared singular values of Fa Fb^T. So the last
    trace is the sum of these singular values, and no matrix root is taken. Fewer images than
    dimensions are allowed.

    Args:
        a: Features [N, D].
        b: Features [M, D].

    Returns:
        Function of a weight for each image, [N] and [M], -> distance.

    Raises:
        InputError: Fewer than two images, or values that are not finite.
    """
    a = checked(a)
    b = checked(b)

    def distance(weight_a: np.ndarray, weight_b: np.ndarray) -> float:
        (mean_a, factor_a), (mean_b, factor_b) = _gaussian(a, weight_a), _gaussian(b, weight_b)
        return float(
            np.square(mean_a - mean_b).sum()
            + np.square(factor_a).sum()
            + np.square(factor_b).sum()
            - 2 * _sum_of_singular_values(factor_a @ factor_b.T)
        )

    return distance


def _gaussian(x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean [D] and a factor F [min(N, D), D] of the unbiased covariance, F^T F."""
    x = x[weights > 0]
    weights = weights[weights > 0]
    mean = np.average(x, axis=0, weights=weights)
    factor = np.sqrt(weights / (weights.sum() - 1))[:, None] * (x - mean)
    return mean, factor if len(factor) <= x.shape[1] else _square_factor(factor)


def _square_factor(factor: np.ndarray) -> np.ndarray:
    """R [D, D] with R^T R = F^T F, of a factor F [N, D] with N > D.

    In LARGE dimensions it is the Cholesky factor of F^T F, which takes a third of the time of a QR
    decomposition. A singular matrix has none.
    """
    if factor.shape[1] >= LARGE:
        with suppress(np.linalg.LinAlgError):
            return np.asarray(np.linalg.cholesky(factor.T @ factor)).T
    return np.asarray(np.linalg.qr(factor, mode="r"))


def _sum_of_singular_values(x: np.ndarray) -> float:
    """Sum of the singular values of a matrix [N, M].

    A LARGE matrix is decomposed as x x^T, whose eigenvalues are their squares, in half the time.
    Singular values below 1e-8 of the largest one are then lost, which the sum does not show.
    """
    if min(x.shape) < LARGE:
        return float(np.linalg.svd(x, compute_uv=False).sum())
    gram = x @ x.T if len(x) <= x.shape[1] else x.T @ x
    return float(np.sqrt(np.linalg.eigvalsh(gram).clip(min=0)).sum())


@dataclass(frozen=True)
class Nearness:
    """How near synthetic images come to real and to training images.

    Attributes:
        frechet: Fréchet distance to the real images.
        to_training: Mean cosine distance to the nearest training image; None: not measured.
    """

    frechet: float
    to_training: float | None


def gaussians(
    a: np.ndarray, b: np.ndarray, train: np.ndarray | None = None
) -> Callable[[np.ndarray, np.ndarray], Nearness]:
    """Fréchet distance, and distance to the training images: what two scores share.

    Args:
        a: Features of real images [N, D].
        b: Features of synthetic images [M, D].
        train: Features of training images [T, D].

    Returns:
        Function of a weight for each image, [N] and [M], -> both.

    Raises:
        InputError: Fewer than two images, or values that are not finite.
    """
    distance = frechet(a, b)
    apart = None if train is None else cosine_distances(checked(b), train)

    def at(weight_a: np.ndarray, weight_b: np.ndarray) -> Nearness:
        return Nearness(
            distance(weight_a, weight_b),
            None if apart is None else float(np.average(apart, weights=weight_b)),
        )

    return at


def informed(at: Nearness) -> float:
    """Fréchet distance over the distance of b from the training images (MiFID: Bai et al. 2021,
    sec. 3).

    The divisor is the mean over b of the cosine distance to the nearest training image. It is 1
    where that mean is MEMORISED or more. torchmetrics averages over training images and their
    nearest in b, which also falls with the variety of a set. There, the training set is also the
    reference; here a holds images of other patients.
    """
    assert at.to_training is not None
    if at.frechet <= 1e-8:
        return 0.0
    return at.frechet / (at.to_training + 1e-14 if at.to_training < MEMORISED else 1.0)
    # (both limits: torchmetrics)


def cosine_distances(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """1 - |cosine| between each row and its nearest training row, [N] in [0, 1].

    Args:
        x: Features [N, D].
        train: Features [T, D], read in blocks.
    """
    alike = np.zeros(len(x))
    for start in range(0, len(train), BLOCK):
        part = _directions(np.asarray(train[start : start + BLOCK], dtype=np.float64))
        alike = np.maximum(alike, np.abs(_directions(x) @ part.T).max(1))
    return 1 - alike


def _directions(x: np.ndarray) -> np.ndarray:
    result: np.ndarray = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    return result


def kernel(a: np.ndarray, b: np.ndarray) -> Weighted:
    """Squared MMD with the kernel (x.y / D + 1)^3, unbiased (Gretton et al. 2012, eq. 3; Binkowski
    et al. 2018, sec. 3).

    Pairs of an image with itself do not count, nor pairs with its own repetition in a resample. So
    the bootstrap has the mean of the estimate.

    Args:
        a: Features [N, D].
        b: Features [M, D].

    Returns:
        Function of a weight for each image, [N] and [M], -> squared MMD, which may be below 0.

    Raises:
        InputError: Fewer than two images, or values that are not finite.
    """
    a = checked(a)
    b = checked(b)
    k_aa = _polynomial(a, a)
    k_ab = _polynomial(a, b)
    k_bb = _polynomial(b, b)

    def distance(weight_a: np.ndarray, weight_b: np.ndarray) -> float:
        i = np.flatnonzero(weight_a)
        j = np.flatnonzero(weight_b)
        wa = weight_a[i]
        wb = weight_b[j]
        cross = wa @ k_ab[np.ix_(i, j)] @ wb / (wa.sum() * wb.sum())
        return float(_within(k_aa[np.ix_(i, i)], wa) + _within(k_bb[np.ix_(j, j)], wb) - 2 * cross)

    return distance


def _polynomial(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    result: np.ndarray = (a @ b.T / a.shape[1] + 1.0) ** 3
    return result


def _within(k: np.ndarray, weights: np.ndarray) -> float:
    """Mean of the kernel over the pairs of two different pictures."""
    squares = np.square(weights)
    return float(
        (weights @ k @ weights - squares @ np.diag(k)) / (weights.sum() ** 2 - squares.sum())
    )


Scores = Callable[[np.ndarray, np.ndarray], list[float]]
"""Weights of the images of two sets, [N] and [M] -> the distance by each row."""


@dataclass(frozen=True)
class Distance:
    """A row of DISTANCES."""

    prepare: Callable[..., Callable[[np.ndarray, np.ndarray], Any]]
    """Features of two sets, and of the training set where the row is informed -> function of the
    weights of their images. Rows with the same one are judged together."""
    title: str
    score: Callable[[Any], float] = float
    """What that function gives -> the distance."""
    subsets: bool = False
    """The value is the mean over real subsets (each smaller than the set), and their spread is
    shown."""
    informed: bool = False
    """Needs the features of the training pictures."""
    neighbours: bool = False
    """Looks at the k nearest pictures; the k of these sets is told."""
    possible: tuple[float, float] = (0.0, float("inf"))
    """Lowest and highest value, where intervals end."""
    min_images: int = 2
    """Fewest pictures in each set."""
    max_images: int | None = None
    """Most pictures of each set that are used (memory grows with the square); more are sampled
    down."""


_SHARE = (0.0, 1.0)
_ANY = (float("-inf"), float("inf"))
DISTANCES: dict[str, Distance] = {  # in the order in which they are best read
    "kid": Distance(
        kernel, "Kernel distance (KID)", subsets=True, possible=_ANY, min_images=4, max_images=4000
    ),
    "precision": Distance(
        neighbourhoods,
        "Precision",
        precision,
        neighbours=True,
        possible=_SHARE,
        min_images=4,
        max_images=MAX_MANIFOLD_IMAGES,
    ),
    "recall": Distance(
        neighbourhoods,
        "Recall",
        recall,
        neighbours=True,
        possible=_SHARE,
        min_images=4,
        max_images=MAX_MANIFOLD_IMAGES,
    ),
    "density": Distance(
        neighbourhoods,
        "Density",
        density,
        neighbours=True,
        min_images=4,
        max_images=MAX_MANIFOLD_IMAGES,
    ),
    "coverage": Distance(
        neighbourhoods,
        "Coverage",
        coverage,
        neighbours=True,
        possible=_SHARE,
        min_images=4,
        max_images=MAX_MANIFOLD_IMAGES,
    ),
    "mifid": Distance(gaussians, "MiFID", informed, informed=True, max_images=MAX_FRECHET_IMAGES),
    "frechet": Distance(
        gaussians, "Fréchet distance", attrgetter("frechet"), max_images=MAX_FRECHET_IMAGES
    ),
}


class DistanceMetric(Metric):
    """Distance between real and synthetic images, with its interval and floor."""

    value: int | float


def judge(
    row: Distance,
    real: np.ndarray,
    synthetic: np.ndarray,
    patients: list[str] | None = None,
    *,
    whose: list[str] | None = None,
    train: np.ndarray | None = None,
    resampling: Resampling = Resampling(),
) -> DistanceMetric:
    """Compute one distance; see `judge_together`."""
    [metric] = judge_together(
        [row], real, synthetic, patients, whose=whose, train=train, resampling=resampling
    )
    return metric


def judge_together(
    rows: Sequence[Distance],
    real: np.ndarray,
    synthetic: np.ndarray,
    patients: list[str] | None = None,
    *,
    whose: list[str] | None = None,
    train: np.ndarray | None = None,
    resampling: Resampling = Resampling(),
) -> list[DistanceMetric]:
    """Compute distances with their intervals, floors and subsets.

    Args:
        rows: Rows of DISTANCES with the same `prepare`, `max_images`, `min_images` and `subsets`.
        real: Features [N, D] of the real images.
        synthetic: Features [M, D] of the synthetic images.
        patients: Patient of each real image; None: each image is its own.
        whose: Patient of each synthetic image, for edits or real images in that place; None: each
            image is its own.
        train: Features [T, D] of the training images, for a row that is `informed`.
        resampling: Resamples of the patients of both sets, and the seed of subsets and halves.

    Returns:
        The distances. `k` and `subsets` are set for rows that have them; `floor_ci`, `matched` and
        `floor_n` are set where there are enough real patients for two halves.

    Raises:
        InputError: A distance is not a number.
    """
    limit = rows[0].max_images
    real, units = _sample(
        np.asarray(real), groups(len(real), patients), limit, resampling.rng("real")
    )
    synthetic, synthetic_units = _sample(
        np.asarray(synthetic),
        groups(len(synthetic), whose),
        limit,
        resampling.rng("synthetic"),
    )
    between = _scores(rows, real, synthetic, train)
    subsets: list[Subsets | None] = [None] * len(rows)
    if rows[0].subsets:
        source = resampling.rng("subsets")
        values, subsets = _over_subsets(between, len(real), len(synthetic), source)
    else:
        values = between(np.ones(len(real)), np.ones(len(synthetic)))
    intervals = _intervals(rows, values, between, (units, synthetic_units), resampling)
    floors: list[Floor | None] = [None] * len(rows)
    if units.max() > 0:
        source = resampling.rng("floor")
        within = _scores(rows, real, real, train)
        floors = _floors(rows, within, between, len(synthetic), units, source)
    n = {"real": len(real), "synthetic": len(synthetic)}
    parts = zip(rows, values, intervals, floors, subsets, strict=True)
    return [_metric(row, value, ci, floor, part, n) for row, value, ci, floor, part in parts]


def _scores(
    rows: Sequence[Distance], a: np.ndarray, b: np.ndarray, train: np.ndarray | None
) -> Scores:
    """Distances of two sets by several rows, whose common part is computed once."""
    prepare = rows[0].prepare
    at = prepare(a, b, train) if any(row.informed for row in rows) else prepare(a, b)

    def scores(weight_a: np.ndarray, weight_b: np.ndarray) -> list[float]:
        common = at(weight_a, weight_b)
        return [row.score(common) for row in rows]

    return scores


def _metric(
    row: Distance,
    value: float,
    ci: list[float] | None,
    floor: Floor | None,
    subsets: Subsets | None,
    n: dict[str, int],
) -> DistanceMetric:
    """Put the parts of a distance together.

    Raises:
        InputError: The distance is not a number.
    """
    details: dict[str, Any] = {}
    if row.neighbours:
        details["k"] = neighbours(n["real"], n["synthetic"])
    if subsets is not None:
        details["subsets"] = subsets
    details |= {"floor": None} if floor is None else asdict(floor)
    metric = DistanceMetric(value=value, ci=ci, n=n, **details)
    _require_finite(row, metric)
    return metric


def _intervals(
    rows: Sequence[Distance],
    values: Sequence[float],
    between: Scores,
    units: tuple[np.ndarray, np.ndarray],
    resampling: Resampling,
) -> list[list[float] | None]:
    """95 % intervals over patients of both sets; None for fewer than FEWEST in one of them."""
    if min(part.max() for part in units) + 1 < FEWEST:
        return [None] * len(rows)
    pairs = zip(
        draws(units[0], resampling.n, resampling.rng("a"), 2),
        draws(units[1], resampling.n, resampling.rng("b"), 2),
        strict=True,
    )
    replicates = zip(*(between(a, b) for a, b in pairs), strict=True)
    return [
        [float(end) for end in np.clip(interval(value, again), *row.possible)]
        for row, value, again in zip(rows, values, replicates, strict=True)
    ]


def _require_finite(row: Distance, metric: DistanceMetric) -> None:
    """Raises InputError: The distance is not a number."""
    numbers = [metric.value, *(metric.ci or []), metric.floor or 0.0]
    if not np.isfinite(numbers).all():
        raise InputError(
            f"the {row.title} is not a number ({numbers}); look for constant or broken images in "
            "either set"
        )


def _sample(
    x: np.ndarray, units: np.ndarray, limit: int | None, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    if limit is None or len(x) <= limit:
        return x, units
    keep = np.sort(generator.choice(len(x), size=limit, replace=False))
    return x[keep], np.unique(units[keep], return_inverse=True)[1]


def _over_subsets(
    between: Scores, n: int, m: int, generator: np.random.Generator
) -> tuple[list[float], list[Subsets | None]]:
    """Mean distances over random subsets of both sets, and their spread."""
    size = max(
        2, min(KID_SUBSET_SIZE, min(n, m) // 2)
    )  # strictly smaller than either set, else there is no spread to show
    everything = np.ones(n, bool), np.ones(m, bool)
    drawn = [
        between(*(choose(every, size, generator) for every in everything))
        for _ in range(KID_SUBSETS)
    ]
    by_row = list(zip(*drawn, strict=True))
    spreads = [Subsets(sd=float(np.std(row)), size=size, count=KID_SUBSETS) for row in by_row]
    return [float(np.mean(row)) for row in by_row], [*spreads]


@dataclass(frozen=True)
class Floor:
    """Distance between random halves of the real patients; fields as of `Metric`."""

    floor: float
    floor_ci: list[float]
    matched: float
    floor_n: int


def _floors(
    rows: Sequence[Distance],
    within: Scores,
    between: Scores,
    synthetic_count: int,
    units: np.ndarray,
    generator: np.random.Generator,
) -> list[Floor | None]:
    """Distances of real from real images, and of synthetic from as many real images; None for too
    few images of a half."""
    splits = list(halves(units, FLOOR_REPEATS, generator))
    size = min(int(min(first.sum() for first, _ in splits)), synthetic_count)
    if size < rows[0].min_images // 2 or size < 2:
        return [None] * len(rows)
    floors = []
    matched = []
    for first, second in splits:
        first = choose(first > 0, size, generator)
        second = choose(second > 0, size, generator)
        floors.append(within(first, second))
        matched.append(between(first, choose(np.ones(synthetic_count, bool), size, generator)))
    return [
        Floor(
            floor=float(np.mean(floor)),
            floor_ci=[float(q) for q in np.quantile(floor, [0.025, 0.975])],
            matched=float(np.mean(match)),
            floor_n=size,
        )
        for floor, match in zip(zip(*floors, strict=True), zip(*matched, strict=True), strict=True)
    ]
