"""Randomness is an argument: one generator per image, from (seed, index).

Batch size, number of processes and resuming then do not change a picture.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive(seed: int, *path: int | str) -> int:
    """Derive a 63-bit seed for a named place; it is equal on every machine and Python version.

    Args:
        seed: Seed of the whole.
        path: Names that distinguish places.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: int | str) -> torch.Generator:
    """Torch generator on the CPU for a named place, as `generator(7, "image", index)`.

    Args:
        seed: Seed of the whole.
        path: Names that distinguish places.
    """
    import torch

    return torch.Generator("cpu").manual_seed(derive(seed, *path))
