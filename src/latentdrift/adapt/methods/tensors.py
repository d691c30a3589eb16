"""Tensors on disk with the same bytes each time they are saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

PREFIX = 8  # bytes of the header's length at the start of a file (safetensors format)
METADATA = "__metadata__"


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Save a safetensors file whose metadata are in alphabetical order, so equal content is equal
    bytes.

    safetensors alone writes metadata in a random order.

    Args:
        tensors: Tensors by name.
        path: File to write.
        metadata: Metadata of the file.
    """
    save_file(dict(tensors), path, metadata=dict(metadata))
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(PREFIX), "little")
        header = json.loads(file.read(size))
        header[METADATA] = dict(sorted(header[METADATA].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        file.seek(PREFIX)
        file.write(text.ljust(size))  # the header's own padding is of blanks, too
