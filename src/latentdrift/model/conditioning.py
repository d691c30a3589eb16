"""Conditioning = everything that the denoiser reads beside the noisy latent and the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Encoded prompts of B images, and the images that some networks read beside the noise.

    A field that a family of bases does not use is None.
    """

    embeddings: Tensor
    """One vector per token, [B, L, D]."""
    pooled: Tensor | None = None
    """One vector per prompt, [B, P]."""
    mask: Tensor | None = None
    """1 where `embeddings` holds a token and 0 where it is padding, [B, L]."""
    size_ids: Tensor | None = None
    """Original size, crop and target size in pixels, [B, 6]."""
    source: Tensor | None = None
    """Latent of the image to be edited as the network reads it (`Base.source`), [B, C, h, w]."""
    hints: tuple[Tensor, ...] = ()
    """One image per ControlNet, [B, 3, H, W] in [0, 1]."""
    numbers: Tensor | None = None
    """Features of the numbers in the prompts, for a network that reads them, [B, F]."""

    @classmethod
    def cat(cls, parts: Sequence[Conditioning]) -> Conditioning:
        """The images of several conditionings in one batch.

        Args:
            parts: Conditionings with the same fields set and the same number of hints.

        Raises:
            ValueError: The numbers of hints differ.
        """
        joined: dict[str, Any] = {}
        for name in _TENSORS:
            tensors = [getattr(part, name) for part in parts]
            joined[name] = None if tensors[0] is None else torch.cat(tensors)
        hints = tuple(torch.cat(each) for each in zip(*(p.hints for p in parts), strict=True))
        return cls(**joined, hints=hints)

    def __len__(self) -> int:
        """Number of images B."""
        return len(self.embeddings)

    def __getitem__(self, rows: slice | list[int]) -> Conditioning:
        """The conditioning of some of the images."""
        return self._map(lambda tensor: tensor[rows])

    def expand(self, n: int) -> Conditioning:
        """Repeat the conditioning of one image for n images, without a copy."""
        return self._map(lambda tensor: tensor.expand(n, *tensor.shape[1:]))

    def to(self, device: torch.device, dtype: torch.dtype | None = None) -> Conditioning:
        """Move the conditioning to a device and, except the mask, to a number format.

        Args:
            device: The device.
            dtype: The number format; None: unchanged.
        """
        moved = self._map(lambda tensor: tensor.to(device, dtype))
        return moved if self.mask is None else replace(moved, mask=self.mask.to(device))

    def equals(self, other: Conditioning) -> bool:
        """Whether both encode the same text, bit for bit."""
        return all(
            _equal(getattr(self, name), getattr(other, name))
            for name in ("embeddings", "pooled", "numbers")
        )

    def map_text(self, change: Callable[..., Tensor], *others: Conditioning) -> Conditioning:
        """Change embeddings and pooled vectors by a function.

        Args:
            change: Receives the tensor of this conditioning and those of `others`; returns the new
                one.
            others: Further arguments of `change`.
        """
        embeddings = change(self.embeddings, *(other.embeddings for other in others))
        if self.pooled is None:
            return replace(self, embeddings=embeddings)
        pooled = change(self.pooled, *(other.pooled for other in others))
        return replace(self, embeddings=embeddings, pooled=pooled)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Conditioning:
        """Every tensor changed in the same way."""
        values: dict[str, Any] = {}
        for name in _TENSORS:
            tensor = getattr(self, name)
            values[name] = None if tensor is None else change(tensor)
        return Conditioning(**values, hints=tuple(change(hint) for hint in self.hints))


_TENSORS = tuple(each.name for each in fields(Conditioning) if each.name != "hints")


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and torch.equal(one, other)
