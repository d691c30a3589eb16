"""Precision, recall, density and coverage: fidelity and variety from nearest neighbours.

Round each picture lies a ball that reaches to its k-th nearest neighbour in its own set; the balls
of a set together are what the set is taken to cover. Precision and density: how far synthetic
pictures lie within the real balls. Recall and coverage: how much of the real set the synthetic one
reaches. A set of copies has a precision of 1, and so has one good picture that is repeated; recall
and coverage fall then.
"""

from __future__ import annotations

import numpy as np

from latentdrift.evaluate.features.features import checked
from latentdrift.evaluate.statistics.bootstrap import Weighted

K = 5  # neighbours (Naeem et al. 2020, sec. 4; CheXGenBench. Kynkäänniemi et al. 2019 take 3)


def neighbours(n: int, m: int) -> int:
    """Number k of neighbours: K, or fewer where the smaller set has at most K other images.

    Args:
        n: Images in the first set, at least 2.
        m: Images in the second set, at least 2.
    """
    return min(K, n - 1, m - 1)


class Balls:
    """The distances within and between two sets of features, a [N, D] (real) and b [M, D]
    (synthetic).

    With weights, neighbours are looked for among the different pictures that are there: a picture's
    own repetition in a resample is no neighbour, or every ball would shrink to nothing.
    """

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        from sklearn.metrics.pairwise import euclidean_distances

        a = checked(a)
        b = checked(b)
        self.aa = euclidean_distances(a)
        self.ab = euclidean_distances(a, b)
        self.bb = euclidean_distances(b)

    def inside(
        self, weight_a: np.ndarray, weight_b: np.ndarray, of_a: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Membership of images in the balls of the other set, bool [n, m], for the n and m with
        weight; their weights; and k.

        Args:
            weight_a: Weights of the images of a [N]; 0 leaves an image out.
            weight_b: Weights of the images of b [M].
            of_a: The balls of a, else those of b.
        """
        i = np.flatnonzero(weight_a)
        j = np.flatnonzero(weight_b)
        k = neighbours(len(i), len(j))
        own, index = (self.aa, i) if of_a else (self.bb, j)
        radius = np.partition(own[np.ix_(index, index)], k, axis=1)[
            :, k
        ]  # place 0 is the picture itself
        within = self.ab[np.ix_(i, j)] < (radius[:, None] if of_a else radius[None])
        return within, weight_a[i], weight_b[j], k


def precision(a: np.ndarray, b: np.ndarray) -> Weighted:
    """Share of synthetic images inside any real ball (Kynkäänniemi et al. 2019, eq. 2).

    Args:
        a: Features of real images [N, D].
        b: Features of synthetic images [M, D].

    Returns:
        Function of a weight for each image, [N] and [M], -> share in [0, 1].
    """
    return _share(a, b, of_a=True, axis=0)


def recall(a: np.ndarray, b: np.ndarray) -> Weighted:
    """Share of real images inside any synthetic ball (Kynkäänniemi et al. 2019, eq. 2).

    Args:
        a: Features of real images [N, D].
        b: Features of synthetic images [M, D].

    Returns:
        Function of a weight for each image, [N] and [M], -> share in [0, 1].
    """
    return _share(a, b, of_a=False, axis=1)


def coverage(a: np.ndarray, b: np.ndarray) -> Weighted:
    """Share of real balls that contain a synthetic image (Naeem et al. 2020, eq. 6).

    Args:
        a: Features of real images [N, D].
        b: Features of synthetic images [M, D].

    Returns:
        Function of a weight for each image, [N] and [M], -> share in [0, 1].
    """
    return _share(a, b, of_a=True, axis=1)


def _share(a: np.ndarray, b: np.ndarray, *, of_a: bool, axis: int) -> Weighted:
    """Share of the synthetic (axis 0) or real (axis 1) pictures that meet any of the other set, by
    the balls of one of them."""
    balls = Balls(a, b)

    def share(weight_a: np.ndarray, weight_b: np.ndarray) -> float:
        within, real, synthetic, _ = balls.inside(weight_a, weight_b, of_a)
        return float(np.average(within.any(axis), weights=(synthetic, real)[axis]))

    return share


def density(a: np.ndarray, b: np.ndarray) -> Weighted:
    """Mean number of real balls around a synthetic image, over k (Naeem et al. 2020, eq. 4).

    With weights the sum over real balls is their number times a weighted mean.

    Args:
        a: Features of real images [N, D].
        b: Features of synthetic images [M, D].

    Returns:
        Function of a weight for each image, [N] and [M], -> density, from 0 on; it may exceed 1.
    """
    balls = Balls(a, b)

    def mean(weight_a: np.ndarray, weight_b: np.ndarray) -> float:
        within, wa, wb, k = balls.inside(weight_a, weight_b, True)
        return float(len(wa) * (wa @ within @ wb) / (wa.sum() * wb.sum()) / k)

    return mean
