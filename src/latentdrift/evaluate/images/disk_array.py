"""Numbers of many pictures, read when they are needed: kept in memory while they are few, and else
in a temporary file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO

import numpy as np
import torch
from torch import Tensor

IN_MEMORY = 2**26  # bytes, beyond which a spool lies on disk

Pairs = Callable[[slice, slice], np.ndarray]
"""Places in two sets of n and m pictures -> which pairs are meant, [n, m] of bool: never the whole
of a large table."""


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover 0 to n, each at most `size` long."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


@dataclass(eq=False)
class Spool:
    """float32 [N, *shape], to which rows are added, and which a slice or a tensor of places reads.

    The file has no name where the system allows that, and is gone with the spool: what it holds may
    be of patients.
    """

    shape: tuple[int, ...]
    n: int = 0
    file: IO[bytes] = field(default_factory=lambda: SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115

    def __len__(self) -> int:
        return self.n

    def add(self, rows: Tensor) -> None:
        """Append rows [n, *shape]."""
        self.file.seek(0, 2)
        self.file.write(np.ascontiguousarray(rows.numpy(), dtype=np.float32).tobytes())
        self.n += len(rows)

    def __getitem__(self, at: slice | Tensor) -> Tensor:
        if isinstance(at, slice):
            start, stop, _ = at.indices(self.n)
            return self._read(start, max(stop - start, 0))
        wanted, back = at.unique(return_inverse=True)
        return torch.cat([self._read(int(place), 1) for place in wanted])[back]

    def _read(self, start: int, n: int) -> Tensor:
        wide = 4 * int(np.prod(self.shape))
        self.file.seek(start * wide)
        return torch.frombuffer(bytearray(self.file.read(n * wide)), dtype=torch.float32).reshape(
            n, *self.shape
        )


def mean(spools: Sequence[Spool], size: int = 1024) -> Tensor:
    """Mean of all rows of several arrays, float32 [1, *shape].

    Args:
        spools: Arrays with rows of one shape.
        size: Rows in memory at a time; it changes the last digit at most.
    """
    total = sum(
        spool[block].double().sum(0, keepdim=True)
        for spool in spools
        for block in blocks(len(spool), size)
    )
    return (torch.as_tensor(total) / sum(map(len, spools))).float()
