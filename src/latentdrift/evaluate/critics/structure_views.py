"""Images as anatomy critics see them: edges, layers of a network and seams, in whitened components.

Critics look at coarse structure that keeps its place (edges by cell, and a network's layers by
cell). Fine texture differs between any two ways of making images and hides whether there is a
heart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.evaluate.images.controls import CONTROLS, ruined
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import part_by_unit, rng, units_of

SIDE = 64  # pixels on a side at which images are ruined
SEEN = 32  # pixels on a side at which critics see them: finer detail is texture (ours)
CELL = 8  # pixels of a cell of edge directions (Dalal and Triggs 2005, sec. 6.4)
DIRECTIONS = 8  # of edges in each cell
COMPONENTS = 100  # principal components that critics see (ours)
PENALTY = 1.0  # C of the support vector machines (the default of scikit-learn)
FOLDS = 4  # of patients, where there are no other images to learn from

Features = Callable[[np.ndarray], np.ndarray]


def shrunk(images: Any, side: int) -> np.ndarray:
    """Resize images [N, H, W, 3] in [0, 1] by averaging to float32 [N, side, side, 3]."""
    from PIL import Image

    small = np.empty((len(images), side, side, 3), dtype=np.float32)
    for place, image in enumerate(images):
        for channel in range(3):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel], dtype=np.float32))
            small[place, ..., channel] = np.asarray(
                plane.resize((side, side), Image.Resampling.BOX)
            )
    return small.clip(0, 1)


def structure(images: np.ndarray, space: Features) -> list[np.ndarray]:
    """Three views of images, [N, D] each.

    They are edge directions in each cell, a network's layers in each cell, and mean brightness
    steps between neighbouring columns and rows. The steps show seams.

    Args:
        images: [N, SIDE, SIDE, 3] in [0, 1].
        space: Feature space with a map of features.
    """
    from skimage.feature import hog

    seen = shrunk(images, SEEN)
    settings: dict[str, Any] = {
        "orientations": DIRECTIONS,
        "pixels_per_cell": (CELL, CELL),
        "cells_per_block": (2, 2),
    }
    edges = np.stack([hog(image.mean(-1), **settings) for image in seen])
    grey = images.mean(-1)
    columns = np.abs(np.diff(grey, axis=2)).mean(1)
    rows = np.abs(np.diff(grey, axis=1)).mean(2)
    return [
        edges,
        np.asarray(space(seen), dtype=np.float64),
        np.concatenate([columns, rows], axis=1),
    ]


def views_of(images: Any, space: Features) -> list[np.ndarray]:
    """Three views, see `structure`, of images [N, H, W, 3] in [0, 1] of any size."""
    return structure(shrunk(images, SIDE), space)


class Eye:
    """Some views of images as whitened principal components of real and ruined images."""

    def __init__(self, real: Sequence[np.ndarray], both: Sequence[np.ndarray]) -> None:
        from sklearn.decomposition import PCA

        self.means = [view.mean(0) for view in real]
        # A feature that hardly varies between real images would otherwise outweigh all others.
        self.scales = [
            (view.std(0) + 0.01 * view.std() + 1e-12) * np.sqrt(view.shape[1]) for view in real
        ]
        joined = self.joined(both)
        count = min(COMPONENTS, len(joined) // 3, joined.shape[1])
        self.components = PCA(count, whiten=True, svd_solver="randomized", random_state=0).fit(
            joined
        )

    def joined(self, views: Sequence[np.ndarray]) -> np.ndarray:
        """Join views [N, D] along D, each in units of the real images' spread."""
        parts = zip(views, self.means, self.scales, strict=True)
        return np.concatenate([(view - mean) / scale for view, mean, scale in parts], axis=1)

    def __call__(self, views: Sequence[np.ndarray]) -> np.ndarray:
        result: np.ndarray = self.components.transform(self.joined(views))
        return result


Critic = Callable[[np.ndarray], np.ndarray]
"""Components [N, K] -> scores [N]; higher for ruined images."""


def critic(real: np.ndarray, others: np.ndarray) -> Critic:
    """Train a support vector machine on two sets of equal weight.

    Args:
        real: Components of real images [N, D].
        others: Components of other images [M, D].

    Returns:
        Function of components [n, D] -> scores [n], higher for `others`.
    """
    from sklearn.svm import SVC

    x = np.concatenate([real, others])
    y = np.repeat([0, 1], [len(real), len(others)])
    result: Critic = SVC(C=PENALTY, class_weight="balanced").fit(x, y).decision_function
    return result


@dataclass(frozen=True)
class Views:
    """Real images as critics see them: as they are, and ruined by every control."""

    real: list[np.ndarray]
    ruined: dict[str, list[np.ndarray]]
    units: np.ndarray
    """The patient of each image, as an integer."""

    @classmethod
    def of(
        cls,
        images: EvaluationImages,
        space: Features,
        limit: int,
        seed: int,
        *path: str,
        on_control: Callable[[], None] = lambda: None,
    ) -> Views:
        """Views of random images, from as many patients as possible, and of their ruined copies.

        Args:
            images: Real images.
            space: Feature space.
            limit: Number of images at most.
            seed: Seed of choice and ruin.
            path: Names under which the random numbers are derived.
            on_control: Called after each control.
        """
        chosen = images.take(part_by_unit(units_of(images), limit, rng(seed, "realism", *path)))
        small = shrunk(chosen.images, SIDE)
        controls = {}
        for name in CONTROLS:
            generator = rng(seed, "realism", *path, name)
            controls[name] = structure(ruined(name, small, chosen.patients, generator), space)
            on_control()
        return cls(structure(small, space), controls, units_of(chosen))

    def take(self, places: np.ndarray) -> Views:
        """Select images by their positions."""
        part = {name: [view[places] for view in views] for name, views in self.ruined.items()}
        units = np.unique(self.units[places], return_inverse=True)[1]
        return Views([view[places] for view in self.real], part, units)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.units))


def patient_folds(units: np.ndarray, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Split images into FOLDS sets of positions; the images of a patient stay together.

    Args:
        units: Patient of each image, integers [N].
        generator: Generator of the split.
    """
    shuffled = generator.permutation(np.unique(units))
    return (np.flatnonzero(np.isin(units, shuffled[turn::FOLDS])) for turn in range(FOLDS))


def pairwise_wins(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compare scores of all pairs, [N, M]: 1 where the second is larger, 0.5 for ties, else 0.

    Args:
        first: Scores [N].
        second: Scores [M].
    """
    result: np.ndarray = (second[None] > first[:, None]) + 0.5 * (second[None] == first[:, None])
    return result


def distinct_units(views: Sequence[np.ndarray]) -> np.ndarray:
    """Unit of resampling of each synthetic image, integers [N]; images with equal edges and steps
    are one.

    The layers of a network are not compared, because they may differ in the last digit.

    Args:
        views: From `views_of`.
    """
    known: dict[bytes, int] = {}
    keys = (row.tobytes() for row in np.concatenate([views[0], views[-1]], axis=1))
    return np.array([known.setdefault(key, len(known)) for key in keys])
