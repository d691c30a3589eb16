"""Bytes of the tensors that are alive while code runs, by kind, and their peak.

Tensors without memory count as much as real ones: under torch's FakeTensorMode a training step is
counted without being computed. torch has a tracker of its own, `torch.distributed._tools`, which is
private and reports by module; the tests compare with it.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

UNNAMED = "temporaries"
"""Kind of a tensor that has been given none."""


class LiveMemory(TorchDispatchMode):
    """Context that counts the tensors which are made inside it on one device.

    Args:
        device: Device whose tensors count.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.live: Counter[str] = Counter()
        """Kind -> bytes that are alive now."""
        self.peak: Mapping[str, int] = {}
        """Kind -> bytes at the moment when most were alive."""
        self._kinds: dict[int, str] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count the storages that it makes."""
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and id(leaf.untyped_storage()) not in self._kinds:
                self.count([leaf], UNNAMED)
        return result

    def count(self, tensors: Iterable[Tensor], kind: str) -> None:
        """Count tensors as one kind; those that count already change theirs.

        Args:
            tensors: The tensors; views of one storage count once.
            kind: Name of the kind.
        """
        for tensor in tensors:
            storage = tensor.untyped_storage()
            size = storage.nbytes()
            if tensor.device.type != self.device.type:
                continue
            before = self._kinds.get(id(storage))
            self._kinds[id(storage)] = kind
            self.live[kind] += size
            if before is None:
                weakref.finalize(storage, self._free, id(storage), size).atexit = False
            else:
                self.live[before] -= size
        if sum(self.live.values()) > sum(self.peak.values()):
            self.peak = {kind: size for kind, size in self.live.items() if size}

    def save(self, tensor: Tensor) -> Tensor:
        """Count a tensor that autograd saves for the backward pass as an activation.

        Weights and other tensors that have a kind keep it.
        """
        if self._kinds.get(id(tensor.untyped_storage())) == UNNAMED:
            self.count([tensor], "activations")
        return tensor

    def _free(self, storage: int, size: int) -> None:
        self.live[self._kinds.pop(storage)] -= size
