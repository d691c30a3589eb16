"""Cache of a cohort's values under the frozen parts of the base: latent moments of images,
embeddings of prompts.

A cache is a folder of memory-mapped `.npy` files whose name is a hash of all that shaped them, so a
stale one is never read. Moments, not samples: one cached sample fixes its noise into the data (a
quarter of the latents' variance in some autoencoders).
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from latentdrift.model.conditioning import Conditioning
from latentdrift.storage import key, write_text

if TYPE_CHECKING:
    from latentdrift.data.cohort.cohort import Cohort
    from latentdrift.model.base import Base

VERSION = 1  # of the files' meaning; a new number makes old caches stale
# rows worked out at a time: at Stable Diffusion's size an autoencoder takes more memory for them
# than a step does
BATCH = 4

ENCODED = {"context": "embeddings", "pooled": "pooled", "mask": "mask", "size_ids": "size_ids"}
"""Array of the cache of prompts -> field of the conditioning."""

Compute = Callable[[int, int], Mapping[str, Tensor]]
"""(first, last) -> arrays for the rows [first, last)."""


def cached(
    root: Path,
    kind: str,
    name: str,
    rows: int,
    compute: Compute,
    *,
    progress: Callable[[int, int], None] | None = None,
    shared: bool = False,
) -> dict[str, np.ndarray]:
    """Memory-mapped float32 arrays of `rows` rows under `root/kind-name`; missing rows are
    computed.

    An interrupted cache is continued. Caches of this kind under other names are deleted, unless
    they are shared.

    Args:
        root: Folder of all caches of a run.
        kind: First part of the folder's name, as "latents" or "prompts".
        name: A `storage.key` of everything that the arrays depend on.
        rows: Length of every array.
        compute: Computes the arrays of a range of rows.
        progress: Called with (rows done, rows) after each range; None: not called.
        shared: Whether several runs share `root`. One computes a cache, the others wait for it.

    Returns:
        Name -> array [rows, ...].
    """
    folder = root / f"{kind}-{name}"
    if shared:
        from filelock import FileLock

        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{folder.name}.lock"):
            return _completed(folder, rows, compute, progress)
    for stale in root.glob(f"{kind}-*"):
        if stale != folder:
            shutil.rmtree(stale)
    return _completed(folder, rows, compute, progress)


def _completed(
    folder: Path, rows: int, compute: Compute, progress: Callable[[int, int], None] | None
) -> dict[str, np.ndarray]:
    """The arrays of a folder, gone on with from where they end."""
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "done.json"
    done = _rows_done(state)
    arrays = (
        {path.stem: np.load(path, mmap_mode="r+") for path in folder.glob("*.npy")} if done else {}
    )
    if not arrays:
        done = 0
    while done < rows:
        last = min(done + BATCH, rows)
        for label, values in compute(done, last).items():
            if label not in arrays:
                arrays[label] = _new_array(folder / f"{label}.npy", (rows, *values.shape[1:]))
            arrays[label][done:last] = values.detach().float().cpu().numpy()
            arrays[label].flush()
        done = last
        write_text(state, json.dumps({"rows": done}))
        if progress:
            progress(done, rows)
    return arrays


def _rows_done(state: Path) -> int:
    """Rows that a cache holds by its done.json; 0 where it is missing or damaged."""
    try:
        content = json.loads(state.read_text())
    except (OSError, ValueError):
        return 0
    rows = content.get("rows") if isinstance(content, dict) else None
    return rows if isinstance(rows, int) and rows >= 0 else 0


def _new_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array on disk that has all of its room: of a full disk below a mapped file, the
    kernel tells by SIGBUS alone."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:  # some file systems cannot
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
    return array


@dataclass(frozen=True)
class Moments:
    """Scaled latents of images as the autoencoder's mean and standard deviation, [N, C, h, w]
    float32 on disk."""

    mean: np.ndarray
    std: np.ndarray

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
    root: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Moments:
    """Latent moments of every image of a cohort, in the order of its metadata.csv.

    Args:
        base: The base; its autoencoder encodes.
        cohort: The cohort.
        resolution: Pixels on a side.
        root: Folder of all caches of a run.
        progress: Called with (images done, images); None: not called.
    """
    table = cohort.rows()

    def encode(first: int, last: int) -> Mapping[str, Tensor]:
        pixels = torch.from_numpy(cohort.batch(table.iloc[first:last], resolution))
        mean, std = base.moments(pixels)
        return {"mean": mean, "std": std}

    images = list(table["sha256"])
    name = key(VERSION, base.hash, cohort.fingerprint, images, resolution, str(base.vae.dtype))
    arrays = cached(root, "latents", name, len(table), encode, progress=progress)
    return Moments(arrays["mean"], arrays["std"])


def contexts(
    base: Base, prompts: Sequence[str], root: Path
) -> Callable[[Sequence[str]], Conditioning]:
    """Function from prompts to their encoding by the frozen text encoder; each is computed once.

    Args:
        base: The base; its text encoder encodes.
        prompts: Every prompt that the function will receive, each once.
        root: Folder of all caches of a run.
    """
    name = key(VERSION, base.hash, str(base.text_dtype), prompts)

    def encode(first: int, last: int) -> dict[str, Tensor]:
        encoded = base.embed(prompts[first:last])
        tensors = {label: getattr(encoded, field) for label, field in ENCODED.items()}
        return {label: tensor for label, tensor in tensors.items() if tensor is not None}

    arrays = cached(root, "prompts", name, len(prompts), encode)
    place = {prompt: row for row, prompt in enumerate(prompts)}

    def look_up(prompts: Sequence[str]) -> Conditioning:
        rows = [place[prompt] for prompt in prompts]
        fields: dict[str, Any] = {}
        for label, array in arrays.items():
            fields[ENCODED[label]] = torch.from_numpy(array[rows])
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
