"""Prompts -> images, one picture per (seed, index), whatever else is generated beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.schedule import Denoiser
from latentdrift.sample.guidance import guide
from latentdrift.sample.samplers import first_time, run
from latentdrift.seeds import generator

SLOTS = 4
"""Images per call of the network.

Processors and GPUs choose their kernels by batch size, and those round differently (1e-6 in fp32 on x86: enough to flip an 8-bit
value). So the network always gets exactly this many images, image i in slot i modulo SLOTS, and slots that nobody asked for are
computed and thrown away: at most three at the end of a run. With guidance that is a batch of 8, past which an 8 M U-Net gained
nothing on a processor (0.016 s per image at 8 and at 16, 0.029 at 2).
"""


def generate(
    base: Base,
    drift: Drift,
    prompts: Mapping[int, str],
    *,
    seed: int,
    steps: int,
    guidance: float,
    sampler: str,
    resolution: int | None = None,
    batch_size: int = SLOTS,
    callback: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Images in the order of their index, [R, R, 3] float32 in [-1, 1], a few at a time.

    Args:
        base: the model, with an adapter applied or not.
        drift: of the adapter; its start is applied here.
        prompts: image index -> prompt. To resume, leave out the indices that are there.
        seed: together with an index it decides all that is random about an image.
        steps: of the sampler.
        guidance: weight w against the empty prompt; 1 is none.
        sampler: a row of SAMPLERS.
        resolution: pixels R on a side; default the base's own.
        batch_size: images drawn together, in fours: fewer passes through the sampler, more memory, the same pictures.
        callback: told (steps done, steps in all) of the images at hand.

    Raises:
        OptionError: before any work: unknown sampler, too many steps, resolution that does not fit, prompt past the token limit.
    """
    size = base.latent_size(resolution)
    shift = drift.start(base.schedule.s(first_time(sampler, base.schedule, steps))).float().reshape(-1, 1, 1)
    base.tokens([*set(prompts.values()), ""])
    denoiser = in_fours(guide(drift.wrap(base.denoiser(), base.schedule), guidance))
    together = max(1, batch_size // SLOTS)

    @lru_cache(maxsize=64)
    def context(prompt: str) -> torch.Tensor:
        with torch.no_grad():
            return base.embed([prompt])

    def images() -> Iterator[tuple[int, np.ndarray]]:
        fours = sorted({index - index % SLOTS for index in prompts})
        for at in range(0, len(fours), together):
            slots = [index for first in fours[at : at + together] for index in range(first, first + SLOTS)]
            generators = [generator(seed, "image", index) for index in slots]
            starts = [torch.randn(base.latent_channels, size, size, generator=noise) + shift for noise in generators]
            contexts = (
                context("").expand(len(slots), -1, -1),
                torch.cat([context(prompts.get(index, "")) for index in slots]),
            )
            xT = torch.stack(starts).to(base.device)
            x0 = run(denoiser, base.schedule, sampler, steps, xT, contexts, generators, callback=callback)
            for slot, index in enumerate(slots):
                if index in prompts:
                    yield index, base.decode(x0[slot : slot + 1])[0].permute(1, 2, 0).cpu().numpy()

    return images()


def in_fours(denoiser: Denoiser) -> Denoiser:
    """A guided denoiser that calls the network for SLOTS images at a time, however many it is given."""

    def denoise(xt: Tensor, t: float | Tensor, contexts: tuple[Tensor, ...]) -> Tensor:
        parts = range(0, len(xt), SLOTS)
        each = [(xt[i : i + SLOTS], tuple(context[i : i + SLOTS] for context in contexts)) for i in parts]
        return torch.cat([denoiser(part, t, own) for part, own in each])

    return denoise
