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
        read: Place of a picture -> [H, W, 3].
        size: (H, W).
        keys: Key of each picture, from its contents and size.
        names: Name of each picture.
    """

    read: Callable[[int], np.ndarray]
    size: tuple[int, int]
    keys: Sequence[str]
    names: Sequence[str]

    ndim = 4

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
        keys, names = ([values[place] for place in places] for values in (self.keys, self.names))
        return Pictures(lambda place: self.read(int(places[place])), self.size, keys, names)

    def _one(self, place: int) -> np.ndarray:
        image = self.read(place)
        if not fit(image):
            raise InputError(
                f"{self.names[place]} holds values outside [0, 1] or that are not numbers; scale it"
            )
        return image


def fit(image: np.ndarray) -> bool:
    """Whether every value of an image is finite and in [0, 1], within 1e-6."""
    return bool(np.isfinite(image).all() and image.min() >= -1e-6 and image.max() <= 1 + 1e-6)
