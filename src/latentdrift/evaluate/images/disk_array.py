"""Numbers of many pictures, read when they are needed: kept in memory while they are few, and else
in a temporary file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile, SpooledTemporaryFile
from typing import IO, Any
from weakref import finalize

import numpy as np
import torch
from torch import Tensor

from latentdrift.errors import ResourceError

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

    The file is gone with the spool: what it holds may be of patients. Without a `folder` it has no
    name where the system allows that. With one it has a name, and a spool that travels to another
    process reads it there.

    Attributes:
        shape: Shape of a row.
        folder: Folder of the file, which other processes can read; None: only this process reads.
    """

    shape: tuple[int, ...]
    folder: Path | None = None
    n: int = field(default=0, init=False)
    file: IO[bytes] = field(init=False)

    def __post_init__(self) -> None:
        if self.folder is None:
            self.file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        else:
            self.file = NamedTemporaryFile(dir=self.folder, delete=False)  # noqa: SIM115
            finalize(self, Path.unlink, Path(self.file.name), missing_ok=True)

    def __len__(self) -> int:
        return self.n

    def __getstate__(self) -> dict[str, Any]:
        """Place and shape of the rows, for a process that reads them."""
        if self.folder is None:
            raise TypeError("a spool without a folder is its own process's")
        self.file.flush()
        os.fsync(self.file.fileno())  # other machines see the rows, too
        path = Path(self.file.name)
        return {"shape": self.shape, "folder": self.folder, "n": self.n, "path": path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        path = state.pop("path")
        self.__dict__.update(state)
        try:
            self.file = path.open("rb")
        except OSError as error:
            raise ResourceError(
                f"a worker cannot read {path} ({error.strerror or error}); share the folder `out` "
                "among all machines under the same path"
            ) from error

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
