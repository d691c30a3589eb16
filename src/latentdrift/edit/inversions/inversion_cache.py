"""Inversions on disk: computed once per image and setting, and found again by every editor that
starts from the same one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from latentdrift.edit.core.task import Inverted
from latentdrift.errors import InputError

FORMAT = 2
"""Changes when inversions of the same settings become other ones."""


@dataclass(frozen=True)
class Shelf:
    """A folder of inversions of one model. From an inversion the image can be made again: it is as
    private as the image."""

    folder: Path
    model: Mapping[str, Any]
    """Base, adapters and drift: what the network is."""

    def get(self, x0: Tensor, make: Callable[[], Inverted], **shaped: Any) -> Inverted:
        """The inversion of a latent, from its file or made and put there.

        Args:
            x0: scaled latent of the source image.
            make: computes it.
            shaped: all else that decides it, as JSON can say it.

        Raises:
            InputError: The file is damaged.
        """
        path = self.folder / f"{self._key(x0, shaped)}.safetensors"
        if path.is_file():
            try:
                return Inverted(
                    **{name: tensor.to(x0.device) for name, tensor in load_file(path).items()}
                )
            except (SafetensorError, TypeError) as error:
                raise InputError(
                    f"the inversion {path} is damaged ({error}); delete it, and it is made again"
                ) from error
        found = make()
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".writing")
        save_file(found.tensors(), aside)
        aside.replace(path)
        return found

    def _key(self, x0: Tensor, shaped: Mapping[str, Any]) -> str:
        said = {
            "format": FORMAT,
            "model": dict(self.model),
            "shape": list(x0.shape),
            "device": x0.device.type,
            **shaped,
        }
        text = json.dumps(said, sort_keys=True, default=str).encode()
        return hashlib.sha256(text + x0.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
