"""Pictures that are read when they are asked for, so that a set of any size takes the memory of a
batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.errors import InputError

READERS = min(8, os.cpu_count() or 1)  # pictures that are read at a time


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures on disk. A slice or an array of places gives float32 [n, H, W, 3] in [0, 1];
    `np.asarray` reads them all.

    Attributes:
        read: Source of a picture -> [H, W, 3].
        size: (H, W).
        keys: Key of each picture, from its contents and size.
        names: Name of each picture.
        sources: Values from which `read` reads the pictures; default: their places.
    """

    read: Callable[[Any], np.ndarray]
    size: tuple[int, int]
    keys: Sequence[str]
    names: Sequence[str]
    sources: Sequence[Any] = ()

    ndim = 4

    def __post_init__(self) -> None:
        if not self.sources:
            object.__setattr__(self, "sources", range(len(self.keys)))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape (N, H, W, 3), as that of an array."""
        return (len(self.keys), *self.size, 3)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, at: Any) -> np.ndarray:
        places = np.arange(len(self))[at]
        if np.ndim(places) == 0:
            return self._one(int(places))
        out = np.empty((len(places), *self.size, 3), dtype=np.float32)
        with ThreadPoolExecutor(
            min(READERS, max(len(places), 1))
        ) as readers:  # decoding and resizing leave Python's lock
            for row, image in enumerate(readers.map(self._one, map(int, places))):
                out[row] = image
        return out

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._one(place) for place in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def take(self, places: np.ndarray) -> Pictures:
        """Select pictures by their positions [n]; none is read."""
        keys, names, sources = (
            [values[place] for place in places] for values in (self.keys, self.names, self.sources)
        )
        return Pictures(self.read, self.size, keys, names, sources)

    def _one(self, place: int) -> np.ndarray:
        image = self.read(self.sources[place])
        if not fit(image):
            raise InputError(
                f"{self.names[place]} holds values outside [0, 1] or that are not numbers; scale it"
            )
        return image


def batches(images: np.ndarray | Pictures, size: int) -> Iterator[np.ndarray | Pictures]:
    """Parts of `size` images, the last one perhaps smaller; pictures on disk are not read.

    Args:
        images: [N, H, W, 3] in [0, 1].
        size: Images of a part.
    """
    for start in range(0, len(images), size):
        if isinstance(images, Pictures):
            yield images.take(np.arange(start, min(start + size, len(images))))
        else:
            yield images[start : start + size]


def fit(image: np.ndarray) -> bool:
    """Whether every value of an image is finite and in [0, 1], within 1e-6."""
    return bool(np.isfinite(image).all() and image.min() >= -1e-6 and image.max() <= 1 + 1e-6)
