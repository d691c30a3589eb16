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
    """Images [N, H, W, 3] in [0, 1] averaged down (or enlarged) to side × side: float32."""
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
    """Three views of images [N, SIDE, SIDE, 3], [N, D] each.

    Edge directions by cell, and a network's layers by cell, both at SEEN pixels; and mean steps of
    brightness between neighbouring columns and rows, which show seams.
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
    """The three views of images [N, H, W, 3] of any size, shrunk to SIDE pixels."""
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
        """The views side by side, each in units of the real images' spread."""
        parts = zip(views, self.means, self.scales, strict=True)
        return np.concatenate([(view - mean) / scale for view, mean, scale in parts], axis=1)

    def __call__(self, views: Sequence[np.ndarray]) -> np.ndarray:
        result: np.ndarray = self.components.transform(self.joined(views))
        return result


Critic = Callable[[np.ndarray], np.ndarray]
"""Components [N, K] -> scores [N]; higher for ruined images."""


def critic(real: np.ndarray, others: np.ndarray) -> Critic:
    """A support vector machine of two sets of components, each set weighing the same."""
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
        cls, images: EvaluationImages, space: Features, limit: int, seed: int, *path: str
    ) -> Views:
        """Views of at most `limit` images at random, from as many patients as possible."""
        chosen = images.take(part_by_unit(units_of(images), limit, rng(seed, "realism", *path)))
        small = shrunk(chosen.images, SIDE)
        controls = {
            name: structure(
                ruined(name, small, chosen.patients, rng(seed, "realism", *path, name)), space
            )
            for name in CONTROLS
        }
        return cls(structure(small, space), controls, units_of(chosen))

    def take(self, places: np.ndarray) -> Views:
        """Some of them."""
        part = {name: [view[places] for view in views] for name, views in self.ruined.items()}
        units = np.unique(self.units[places], return_inverse=True)[1]
        return Views([view[places] for view in self.real], part, units)

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.units))


def patient_folds(units: np.ndarray, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """FOLDS sets of places; the images of a patient stay together."""
    shuffled = generator.permutation(np.unique(units))
    return (np.flatnonzero(np.isin(units, shuffled[turn::FOLDS])) for turn in range(FOLDS))


def pairwise_wins(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether each of the second scores above each of the first, [N, M]: 1, 0, and 0.5 for ties."""
    result: np.ndarray = (second[None] > first[:, None]) + 0.5 * (second[None] == first[:, None])
    return result


def distinct_units(views: Sequence[np.ndarray]) -> np.ndarray:
    """The unit of each synthetic image [N], in order: images with the same edges and steps of
    brightness are one.

    A network's layers of equal images may differ in the last digit between batches.
    """
    known: dict[bytes, int] = {}
    keys = (row.tobytes() for row in np.concatenate([views[0], views[-1]], axis=1))
    return np.array([known.setdefault(key, len(known)) for key in keys])
