"""Randomness is an argument: one generator per image, from (seed, index).

Batch size, number of processes and resuming then do not change a picture.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, *path: int | str) -> int:
    """A 63-bit seed for a named place under `seed`; the same on every machine and Python
    version."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A CPU generator for a named place under `seed`, e.g. `generator(7, "image", index)`."""
    import torch

    return torch.Generator("cpu").manual_seed(derive(seed, *path))
