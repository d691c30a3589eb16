"""Prior preservation: pictures that the base draws of the class stand beside those of the cohort,
so that it keeps what it knew.

Ruiz et al. 2023 (DreamBooth), section 3.3: the loss is that of the images plus `weight` times that
of the class. The pictures are kept as the latents that they were drawn as.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.batches import Batch, Batches
from latentdrift.adapt.training.batches.latent_cache import VERSION, Moments
from latentdrift.adapt.training.batches.row_cache import CacheRoot, RowCache
from latentdrift.adapt.training.setup.training_setup import Job
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import Schedule
from latentdrift.progress import ProgressCallback
from latentdrift.sample.generate import SamplingOptions, latents, slots_of
from latentdrift.seeds import derive
from latentdrift.storage import key

# the defaults of `generate`
SAMPLING = SamplingOptions(seed=0, steps=50, guidance=2.5, sampler="ddim")
KEY = ("guidance", "resolution", "sampler", "seed", "steps")
"""Sampling options that name the cache of class images."""


def class_latents(
    base: Base,
    own: Schedule,
    todo: Job,
    root: Path,
    *,
    progress: ProgressCallback | None = None,
    shared: bool = False,
) -> Moments:
    """Latents of the class images, from a cache below `root`.

    Args:
        base: The network before training.
        own: Schedule that the network was trained with so far; the fit may use another.
        todo: The fit.
        root: Folder of the cache.
        progress: Called with (images done, images); None: not called.
        shared: Whether several fits share `root`.

    Returns:
        Moments whose mean is the sampled latent and whose standard deviation is 0.
    """
    sampling = replace(SAMPLING, seed=todo.options.seed, resolution=todo.resolution)
    untrained = replace(base, schedule=own)

    def draw(first: int, last: int) -> dict[str, Tensor]:
        wanted = {index: todo.class_prompt for index in range(first, last)}
        x0 = torch.stack([x0 for _, _, x0 in latents(untrained, Drift(), wanted, sampling)])
        return {"mean": x0}

    name = key(
        VERSION,
        base.hash,
        str(base.dtype),
        own.prediction_type,
        own.zero_snr,
        todo.settings["start"],
        todo.class_prompt,
        {name: getattr(sampling, name) for name in KEY},
    )
    images = todo.options.prior_images or 0
    if shared:
        cache = RowCache.shared(root, "class", name, images, draw, progress)
    else:
        cache = RowCache.open(CacheRoot(root), "class", name, images, draw)
        cache.fill(range(images), progress)
    mean = cache["mean"][range(images)]
    return Moments(mean, np.zeros_like(mean[:1]).repeat(len(mean), 0))


def seconds(base: Base, todo: Job) -> float:
    """Estimate the seconds that sampling the class images takes, from two real steps.

    Args:
        base: The network before training.
        todo: The fit.

    Returns:
        Seconds; 0 without class images.
    """
    pictures = todo.options.prior_images or 0
    if not pictures:
        return 0.0
    few = replace(SAMPLING, resolution=todo.resolution, steps=2)
    began = time.perf_counter()
    list(latents(base, Drift(), {0: todo.class_prompt}, few))
    seconds = time.perf_counter() - began
    return seconds * SAMPLING.steps / few.steps * math.ceil(pictures / slots_of(base))


@dataclass(frozen=True)
class Preserving:
    """Batches of twice the size: after each image of the cohort one of the class."""

    own: Batches
    prior: Batches
    weight: float

    @classmethod
    def of(cls, own: Batches, moments: Moments, todo: Job) -> Preserving:
        """Pair the batches of the cohort with batches of class images.

        Args:
            own: Batches of the cohort. The class batches have their size, noise and schedule
                length.
            moments: Latents of the class images, from `class_latents`.
            todo: The fit; gives the class prompt and the weight.
        """
        examples = tuple(Example(index, todo.class_prompt) for index in range(len(moments.mean)))
        prior = Batches(
            moments, examples, own.size, 0.0, own.length, derive(own.seed, "prior"), own.noise
        )
        return cls(own, prior, todo.options.prior_weight)

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        mine = self.own(step)
        theirs = self.prior(step)
        # the loss is a mean over all of them: twice a half each
        counts = torch.tensor([2.0, 2.0 * self.weight]).repeat(len(mine))
        names = [each.name for each in fields(mine)]
        joined: dict[str, Any] = {
            name: _interleave(getattr(mine, name), getattr(theirs, name)) for name in names
        }
        return Batch(**{**joined, "counts": counts})


def _interleave(mine: Any, theirs: Any) -> Any:
    """One after the other in turn; where there is nothing of the class, as much as counts for
    nothing or 1."""
    if mine is None:
        return None
    if isinstance(mine, tuple):
        return tuple(part for pair in zip(mine, theirs, strict=True) for part in pair)
    other = torch.ones_like(mine) if theirs is None else theirs
    return torch.stack([mine, other], dim=1).flatten(0, 1)
