"""Precision, recall, density and coverage: fidelity and variety from nearest neighbours.

Round each picture lies a ball that reaches to its k-th nearest neighbour in its own set; the balls
of a set together are what the set is taken to cover. Precision and density: how far synthetic
pictures lie within the real balls. Recall and coverage: how much of the real set the synthetic one
reaches. A set of copies has a precision of 1, and so has one good picture that is repeated; recall
and coverage fall then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate.features.features import checked

K = 5  # neighbours (Naeem et al. 2020, sec. 4; CheXGenBench. Kynkäänniemi et al. 2019 take 3)
LISTED = 64  # neighbours that are sorted once; a resample's k-th is nearly always among them


def neighbours(n: int, m: int) -> int:
    """Number k of neighbours: K, or fewer where the smaller set has at most K other images.

    Args:
        n: Images in the first set, at least 2.
        m: Images in the second set, at least 2.
    """
    return min(K, n - 1, m - 1)


@dataclass(frozen=True)
class Neighbourhoods:
    """Images of two sets, real [N] and synthetic [M], that lie in balls of the other set.

    Attributes:
        real_balls: Whether synthetic image j lies in the ball of real image i, bool [N, M].
        synthetic_balls: Whether real image i lies in the ball of synthetic image j, bool [N, M].
        real: Weights of the real images [N]. An image of weight 0 has no ball and lies in none.
        synthetic: Weights of the synthetic images [M].
        k: Neighbour to which a ball reaches.
    """

    real_balls: np.ndarray
    synthetic_balls: np.ndarray
    real: np.ndarray
    synthetic: np.ndarray
    k: int


def neighbourhoods(
    a: np.ndarray, b: np.ndarray
) -> Callable[[np.ndarray, np.ndarray], Neighbourhoods]:
    """Distances within and between two sets: what the four scores of this module share.

    With weights, neighbours are looked for among the different pictures that are there: a picture's
    own repetition in a resample is no neighbour, or every ball would shrink to nothing.

    Args:
        a: Features of real images [N, D].
        b: Features of synthetic images [M, D]; the array `a` itself for real against real.

    Returns:
        Function of a weight for each image, [N] and [M], -> neighbourhoods.

    Raises:
        InputError: Fewer than two images, or values that are not finite.
    """
    from sklearn.metrics.pairwise import euclidean_distances

    real = checked(a)
    synthetic = real if b is a else checked(b)
    within_real = euclidean_distances(real)
    across = within_real if b is a else euclidean_distances(real, synthetic)
    real_list = _SortedNeighbours.of(within_real)
    synthetic_list = real_list if b is a else _SortedNeighbours.of(euclidean_distances(synthetic))

    def at(weight_a: np.ndarray, weight_b: np.ndarray) -> Neighbourhoods:
        k = neighbours(int(np.count_nonzero(weight_a)), int(np.count_nonzero(weight_b)))
        radius_a = real_list.radii(weight_a > 0, k)[:, None]
        radius_b = synthetic_list.radii(weight_b > 0, k)
        both = (weight_a > 0)[:, None] & (weight_b > 0)
        return Neighbourhoods(
            (across < radius_a) & both, (across < radius_b) & both, weight_a, weight_b, k
        )

    return at


@dataclass(frozen=True)
class _SortedNeighbours:
    """Nearest neighbours of each of N images within their set.

    Attributes:
        distances: Distances of all pairs [N, N].
        nearest: Positions of the nearest other images, in rising order of distance [N, L].
    """

    distances: np.ndarray
    nearest: np.ndarray

    @classmethod
    def of(cls, distances: np.ndarray) -> _SortedNeighbours:
        """Sort the LISTED nearest neighbours of each image.

        Args:
            distances: Distances of all pairs [N, N].
        """
        others = distances.copy()
        np.fill_diagonal(others, np.inf)
        listed = min(LISTED, len(distances) - 1)
        nearest = np.argpartition(others, listed - 1, axis=1)[:, :listed]
        order = np.argsort(np.take_along_axis(others, nearest, 1), axis=1)
        return cls(distances, np.take_along_axis(nearest, order, 1))

    def radii(self, present: np.ndarray, k: int) -> np.ndarray:
        """Distance of each image to its k-th nearest neighbour among those present [N].

        Args:
            present: Whether an image is there [N].
            k: Rank of the neighbour.
        """
        counts = present[self.nearest].cumsum(1)
        place = (counts >= k).argmax(1)
        rows = np.arange(len(present))
        result: np.ndarray = self.distances[rows, self.nearest[rows, place]]
        short = np.flatnonzero(present & (counts[:, -1] < k))
        if len(short):
            all_present = self.distances[np.ix_(short, np.flatnonzero(present))]
            result[short] = np.partition(all_present, k, axis=1)[:, k]  # place 0: the image itself
        return result


def precision(at: Neighbourhoods) -> float:
    """Share of synthetic images inside any real ball (Kynkäänniemi et al. 2019, eq. 2)."""
    return float(np.average(at.real_balls.any(0), weights=at.synthetic))


def recall(at: Neighbourhoods) -> float:
    """Share of real images inside any synthetic ball (Kynkäänniemi et al. 2019, eq. 2)."""
    return float(np.average(at.synthetic_balls.any(1), weights=at.real))


def coverage(at: Neighbourhoods) -> float:
    """Share of real balls that contain a synthetic image (Naeem et al. 2020, eq. 6)."""
    return float(np.average(at.real_balls.any(1), weights=at.real))


def density(at: Neighbourhoods) -> float:
    """Mean number of real balls around a synthetic image, over k (Naeem et al. 2020, eq. 4).

    With weights the sum over real balls is their number times a weighted mean. The density may
    exceed 1.
    """
    balls = np.count_nonzero(at.real)
    real, synthetic = np.nonzero(at.real_balls)
    weight = (at.real[real] * at.synthetic[synthetic]).sum()
    return float(balls * weight / (at.real.sum() * at.synthetic.sum()) / at.k)
