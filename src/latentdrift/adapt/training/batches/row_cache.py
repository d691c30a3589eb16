"""Cache of arrays whose rows are computed when they are first read.

A cache is a folder of memory-mapped `.npy` files, which take room only for the rows that they
hold. Its name is a hash of all that shaped them, so a stale one is never read.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from latentdrift.progress import ProgressCallback
from latentdrift.storage import write_text

# rows worked out at a time: at Stable Diffusion's size an autoencoder takes more memory for them
# than a step does
BLOCK = 4
SHAPES = "shapes.json"
"""File of a cache: name of each array -> its shape, without the number of rows."""
DONE = "done.npy"
"""File of a cache: 1 for each block that is computed, else 0."""

Compute = Callable[[int, int], Mapping[str, Tensor]]
"""(first, last) -> arrays for the rows [first, last)."""


@dataclass(frozen=True)
class CacheRoot:
    """Folder of all caches of a run."""

    folder: Path
    whole: bool = False
    """Whether caches are computed before they are read, because several processes read them."""


@dataclass(frozen=True, eq=False)
class RowCache:
    """Float32 arrays of equally many rows on disk, computed in blocks of BLOCK rows."""

    folder: Path
    rows: int
    compute: Compute
    arrays: dict[str, np.ndarray]
    """Name -> array [rows, ...]; empty until the first block is computed."""

    @classmethod
    def open(cls, root: CacheRoot, kind: str, name: str, rows: int, compute: Compute) -> RowCache:
        """Open a cache, with what an earlier process has computed of it.

        Caches of this kind under other names are deleted.

        Args:
            root: Folder of all caches of a run.
            kind: First part of the folder's name, as "latents" or "prompts".
            name: A `storage.key` of everything that the arrays depend on.
            rows: Length of every array.
            compute: Computes the arrays of a range of rows.
        """
        folder = root.folder / f"{kind}-{name}"
        for stale in root.folder.glob(f"{kind}-*"):
            if stale != folder:
                shutil.rmtree(stale)
        cache = cls(folder, rows, compute, _stored(folder, rows))
        if root.whole:
            cache.fill(range(rows))
        return cache

    @classmethod
    def shared(
        cls,
        root: Path,
        kind: str,
        name: str,
        rows: int,
        compute: Compute,
        report: ProgressCallback | None = None,
    ) -> RowCache:
        """Compute a cache that several runs share, or wait until another run has computed it.

        Args:
            root: Folder of the shared caches.
            kind, name, rows, compute: As in `open`.
            report: Called with (rows done, rows); None: not called.
        """
        from filelock import FileLock

        folder = root / f"{kind}-{name}"
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{folder.name}.lock"):
            cache = cls(folder, rows, compute, _stored(folder, rows))
            cache.fill(range(rows), report)
        return cache

    def fill(self, rows: Iterable[int], report: ProgressCallback | None = None) -> None:
        """Compute the rows that are missing.

        Args:
            rows: Positions of the rows.
            report: Called with (rows done, rows) after each block; None: not called.
        """
        wanted = blocks(rows)
        done = 0
        for block in sorted(wanted):
            if not self._has(block):
                self._compute(block)
            done += wanted[block]
            if report:
                report(done, wanted.total())

    def __getitem__(self, label: str) -> CachedArray:
        """An array by its name."""
        return CachedArray(self, label)

    @property
    def labels(self) -> list[str]:
        """Names of the arrays."""
        if not self.arrays:
            self._compute(0)
        return [label for label in self.arrays if label != DONE]

    def _has(self, block: int) -> bool:
        """Whether a block is computed."""
        return bool(self.arrays) and bool(self.arrays[DONE][block])

    def _compute(self, block: int) -> None:
        """Compute a block. It counts as done once its rows are on disk."""
        first = block * BLOCK
        last = min(first + BLOCK, self.rows)
        values = {
            label: tensor.detach().float().cpu().numpy()
            for label, tensor in self.compute(first, last).items()
        }
        if not self.arrays:
            self.arrays.update(_created(self.folder, self.rows, values))
        for label, part in values.items():
            array = self.arrays[label]
            _reserve(self.folder / f"{label}.npy", array, first, last)
            array[first:last] = part
            _flush(array)
        self.arrays[DONE][block] = 1
        _flush(self.arrays[DONE])


@dataclass(frozen=True, eq=False)
class CachedArray:
    """An array [rows, ...] of a cache; rows are computed when they are first read."""

    cache: RowCache
    label: str

    def __len__(self) -> int:
        return self.cache.rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape with the number of rows."""
        assert self.label in self.cache.labels
        return self.cache.arrays[self.label].shape

    def __getitem__(self, rows: int | Sequence[int]) -> np.ndarray:
        """Read a row [...], or rows [len(rows), ...].

        Args:
            rows: Positions, 0 or more each.
        """
        self.cache.fill([rows] if isinstance(rows, int) else rows)
        values: np.ndarray = self.cache.arrays[self.label][rows]
        return values


Rows = np.ndarray | CachedArray
"""Array [rows, ...] in memory or in a cache."""


def blocks(rows: Iterable[int]) -> Counter[int]:
    """Blocks that are computed for some rows, and the number of these rows in each.

    Args:
        rows: Positions of the rows.
    """
    return Counter(row // BLOCK for row in rows)


def _stored(folder: Path, rows: int) -> dict[str, np.ndarray]:
    """Arrays of a cache folder by name, with DONE; empty where one is missing or damaged."""
    try:
        shapes = json.loads((folder / SHAPES).read_text())
        arrays = {
            label: np.load(folder / f"{label}.npy", mmap_mode="r+", allow_pickle=False)
            for label in shapes
        }
        arrays[DONE] = np.load(folder / DONE, mmap_mode="r+", allow_pickle=False)
        is_sound = all(
            (arrays[label].shape, arrays[label].dtype) == ((rows, *shape), np.float32)
            for label, shape in shapes.items()
        ) and (arrays[DONE].shape, arrays[DONE].dtype) == ((_count(rows),), np.uint8)
    except (OSError, ValueError, EOFError, TypeError, AttributeError):
        return {}
    return arrays if is_sound else {}


def _created(folder: Path, rows: int, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays without content for rows like these, and DONE, as files."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    arrays: dict[str, np.ndarray] = {}
    for label, part in values.items():
        shape = (rows, *part.shape[1:])
        path = folder / f"{label}.npy"
        arrays[label] = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    done = np.lib.format.open_memmap(folder / DONE, "w+", np.uint8, (_count(rows),))
    _reserve(folder / DONE, done, 0, len(done))
    arrays[DONE] = done
    shapes = {label: part.shape[1:] for label, part in values.items()}
    write_text(folder / SHAPES, json.dumps(shapes))
    return arrays


def _count(rows: int) -> int:
    """Number of blocks in so many rows."""
    return -(-rows // BLOCK)


def _reserve(path: Path, array: np.ndarray, first: int, last: int) -> None:
    """Give the rows [first, last) of a mapped file their room on disk: of a full disk below a
    mapped file, the kernel tells by SIGBUS alone."""
    if not hasattr(os, "posix_fallocate"):
        return
    assert isinstance(array, np.memmap)
    row = array[:1].nbytes
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), array.offset + first * row, (last - first) * row)
        except OSError as error:  # some file systems cannot
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise


def _flush(array: np.ndarray) -> None:
    """Write a mapped array to disk."""
    assert isinstance(array, np.memmap)
    array.flush()
