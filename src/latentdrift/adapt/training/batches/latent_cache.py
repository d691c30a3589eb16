"""Cache of a cohort's values under the frozen parts of the base: latent moments of images,
embeddings of prompts.

Moments, not samples: one cached sample fixes its noise into the data (a quarter of the latents'
variance in some autoencoders).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentdrift.adapt.training.batches.row_cache import CacheRoot, RowCache, Rows
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.number_features import PERIODS
from latentdrift.progress import ProgressCallback
from latentdrift.storage import key

if TYPE_CHECKING:
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.model.base import Base

VERSION = 2  # of the files' meaning; a new number makes old caches stale

ENCODED = {
    "context": "embeddings",
    "pooled": "pooled",
    "mask": "mask",
    "size_ids": "size_ids",
    "numbers": "numbers",
}
"""Array of the cache of prompts -> field of the conditioning."""


@dataclass(frozen=True)
class Moments:
    """Scaled latents of images as the autoencoder's mean and standard deviation, [N, C, h, w]
    float32."""

    mean: Rows
    std: Rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape [C, h, w] of a latent."""
        return self.mean.shape[1:]

    def means(self, rows: Sequence[int]) -> Tensor:
        """Posterior means [len(rows), C, h, w] of the rows at these positions."""
        return torch.from_numpy(self.mean[list(rows)])

    def each(self, rows: Sequence[int]) -> Iterator[Tensor]:
        """Iterate over the posterior means [C, h, w] of the rows at these positions."""
        return (torch.from_numpy(self.mean[row]) for row in rows)

    def sample(self, rows: Sequence[int], noise: Tensor) -> Tensor:
        """Sample each row's posterior: mean + std * noise.

        Args:
            rows: Positions of the rows.
            noise: Standard normal noise [len(rows), C, h, w].

        Returns:
            Scaled latents [len(rows), C, h, w].
        """
        return self.means(rows) + torch.from_numpy(self.std[list(rows)]) * noise


def latents(
    base: Base,
    cohort: Cohort,
    resolution: int,
    root: CacheRoot,
    *,
    now: Iterable[int] | None = None,
    progress: ProgressCallback | None = None,
) -> Moments:
    """Latent moments of every image of a cohort, in the order of its metadata.csv.

    Args:
        base: The base; its autoencoder encodes.
        cohort: The cohort.
        resolution: Pixels on a side.
        root: Folder of all caches of a run.
        now: Positions of the images that are encoded now; others are when they are first read.
            None: all.
        progress: Called with (images done, images) for those; None: not called.
    """
    table = cohort.rows()

    def encode(first: int, last: int) -> Mapping[str, Tensor]:
        pixels = torch.from_numpy(cohort.batch(table.iloc[first:last], resolution))
        mean, std = base.moments(pixels)
        return {"mean": mean, "std": std}

    order = hashlib.sha256("\n".join(table["sha256"]).encode()).hexdigest()
    name = key(VERSION, base.hash, cohort.fingerprint, order, resolution, str(base.vae.dtype))
    cache = RowCache.open(CacheRoot(root.folder), "latents", name, len(table), encode)
    cache.fill(range(len(table)) if now is None else now, progress)
    return Moments(cache["mean"], cache["std"])


def contexts(
    base: Base, prompts: Sequence[str], root: CacheRoot
) -> Callable[[Sequence[str]], Conditioning]:
    """Function from prompts to their encoding by the frozen text encoder; each is computed once.

    Args:
        base: The base; its text encoder encodes.
        prompts: Every prompt that the function will receive, each once.
        root: Folder of all caches of a run.
    """
    numbers = [PERIODS] if base.reads_numbers else []
    name = key(VERSION, base.hash, str(base.text_dtype), prompts, *numbers)

    def encode(first: int, last: int) -> dict[str, Tensor]:
        encoded = base.embed(prompts[first:last])
        tensors = {label: getattr(encoded, field) for label, field in ENCODED.items()}
        return {label: tensor for label, tensor in tensors.items() if tensor is not None}

    cache = RowCache.open(root, "prompts", name, len(prompts), encode)
    place = {prompt: row for row, prompt in enumerate(prompts)}

    def look_up(prompts: Sequence[str]) -> Conditioning:
        rows = [place[prompt] for prompt in prompts]
        fields: dict[str, Any] = {}
        for label in cache.labels:
            fields[ENCODED[label]] = torch.from_numpy(cache[label][rows])
        return Conditioning(**fields)

    return look_up


def live_contexts(base: Base, prompts: Sequence[str]) -> Callable[[Sequence[str]], Conditioning]:
    """Function from prompts to their encoding by a text encoder in training.

    Each call encodes again, with a gradient; only the token ids are cached.

    Args:
        base: The base; its text encoder is trained.
        prompts: Every prompt that the function will receive.
    """
    tokens = [ids.to(base.device) for ids in base.tokenize(prompts)]
    place = {prompt: row for row, prompt in enumerate(prompts)}

    def encode(prompts: Sequence[str]) -> Conditioning:
        rows = [place[prompt] for prompt in prompts]
        return base.encode(tuple(ids[rows] for ids in tokens))

    return encode
