"""Inversions on disk: computed once per image and setting, and found again by every editor that
starts from the same one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from latentdrift.edit.core.task import Inverted
from latentdrift.errors import InputError
from latentdrift.storage import Cache, key

FORMAT = 3
"""Changes when inversions of the same settings become other ones."""


@dataclass(frozen=True)
class InversionCache:
    """A folder of inversions of one model. From an inversion the image can be made again: it is as
    private as the image."""

    folder: Path
    model: Mapping[str, Any]
    """Base, adapters and drift: what the network is."""

    def get(self, x0: Tensor, make: Callable[[], Inverted], **shaped: Any) -> Inverted:
        """Read the inversion of a latent from its file, or compute and store it.

        Args:
            x0: Scaled latent of the source image.
            make: Computes the inversion.
            shaped: Further JSON values that determine it.

        Raises:
            InputError: The file is damaged.
        """
        name = f"{self._key(x0, shaped)}.safetensors"
        path = Cache(self.folder).entry(name, lambda aside: save_file(make().tensors(), aside))
        try:
            tensors = load_file(path)
            moved = {name: tensor.to(x0.device) for name, tensor in tensors.items()}
            return Inverted.from_tensors(moved)
        except (SafetensorError, KeyError, TypeError) as error:
            raise InputError(
                f"the inversion {path} is damaged ({error}); delete it, and it is made again"
            ) from error

    def _key(self, x0: Tensor, shaped: Mapping[str, Any]) -> str:
        return key(FORMAT, self.model, x0.device.type, shaped, x0.detach().cpu().numpy())
