"""Prompts -> images, one picture per (seed, index), whatever else is generated beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NotRequired, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics, begin, check
from latentdrift.model.schedule import Denoiser
from latentdrift.prompts import composition
from latentdrift.sample.guidance import compose, guide
from latentdrift.sample.samplers import first_time, rows, run
from latentdrift.seeds import generator

SLOTS = 4
"""Images per call of the network.

Processors and GPUs choose their kernels by batch size, and those round differently (1e-6 in fp32 on
x86: enough to flip an 8-bit value). So the network always gets exactly this many images, image i in
    slot i modulo SLOTS, and slots that nobody asked for are
computed and thrown away: at most three at the end of a run. With guidance that is a batch of 8,
past which an 8 M U-Net gained nothing on a processor (0.016 s per image at 8 and at 16, 0.029 at
2).
"""


class How(TypedDict):
    """How images are drawn."""

    seed: int
    """Together with an index it decides all that is random about an image."""
    steps: int
    """Of the sampler."""
    guidance: float
    """Weight w against the empty prompt; 1 is none."""
    sampler: str
    """A row of SAMPLERS."""
    resolution: NotRequired[int | None]
    """Pixels R on a side; default the base's own."""
    image_guidance: NotRequired[float]
    """Weight of the source image, where the network is shown one (Brooks et al. 2023, eq. 3);
    default 1.5, their example's."""
    same_noise: NotRequired[bool]
    """Every image has the noise of image 0, so that pictures differ by their prompts alone; default
    no."""
    rescale: NotRequired[float]
    """Share of guidance rescale, see `guide`; default none."""
    batch_size: NotRequired[int]
    """Images drawn together, in fours: fewer passes through the sampler, more memory, the same
    pictures."""
    callback: NotRequired[Callable[[int, int], None] | None]
    """Told (steps done, steps in all) of the images at hand."""
    watch: NotRequired[Callable[[Tensor, int], None] | None]
    """Shown (xt [B, C, h, w] in the scheduler's units, steps done) after each step; of the images
    at hand, four by four."""


Prompts = Mapping[int, str | Sequence[composition.Part]]
"""Image index -> its prompt, or several with weights. Text is never searched for several: reports
have ANDs of their own."""

Shown = Mapping[int, Sequence[Tensor]]
"""Image index -> what the network is shown beside its noise, see `Base.denoiser`: [C, h, w] of a
source, [3, H, W] of a hint."""


def generate(
    base: Base,
    drift: Drift,
    prompts: Prompts,
    statistics: Statistics | None = None,
    shown: Shown | None = None,
    **how: Unpack[How],
) -> Iterator[tuple[int, np.ndarray]]:
    """Images in the order of their index, [R, R, 3] float32 in [-1, 1], a few at a time; arguments
    and errors of `latents`."""
    drawn = latents(base, drift, prompts, statistics, shown, **how)
    return (
        (index, base.decode(x0[None])[0].permute(1, 2, 0).cpu().numpy()) for index, _, x0 in drawn
    )


def latents(
    base: Base,
    drift: Drift,
    prompts: Prompts,
    statistics: Statistics | None = None,
    shown: Shown | None = None,
    **how: Unpack[How],
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(index, start yT [C, h, w], scaled latent x0 [C, h, w]) in the order of the index, a few at a
    time.

    Args:
        base: the model, with an adapter applied or not.
        drift: of the adapter; its start is applied here.
        prompts: see `Prompts`. To resume, leave out the indices that are there.
        statistics: of the adapter's cohort, for the starts that are drawn from them.
        shown: for networks that are shown more than noise and text, one entry per prompt.
        how: see `How`.

    Raises:
        OptionError: before any work: unknown sampler, too many steps, resolution that does not fit,
            prompt past the token limit, a start that cannot be drawn, or nothing to show a network
            that is shown something.
    """
    sampler = how["sampler"]
    steps = how["steps"]
    seed = how["seed"]
    guidance = how["guidance"]
    rescale = how.get("rescale", 0.0)
    together = max(1, how.get("batch_size", SLOTS) // SLOTS)
    side = base.latent_size(how.get("resolution"))
    schedule = base.schedule
    channels = base.latent_channels
    size = (channels, side, side)
    t0 = first_time(sampler, schedule, steps)
    check(drift.start, statistics, size)
    composed = {
        index: [(asked, 1.0)] if isinstance(asked, str) else list(asked)
        for index, asked in prompts.items()
    }
    base.tokens([*{text for found in composed.values() for text, _ in found}, ""])
    if base.sees_source and any(len(found) > 1 for found in composed.values()):
        raise OptionError(
            "a network that is shown a source is guided by two weights already; give it prompts "
            "without AND"
        )
    if (base.sees_source or base.controls) and not shown:
        raise OptionError(
            f"this network is shown {base.shows} beside noise and text, and nothing was given to "
            "show it"
        )
    weights = (
        (how.get("image_guidance", 1.5) - guidance, guidance) if base.sees_source else (guidance,)
    )
    added = drift.after_step(steps)
    watch = how.get("watch")
    guesses = rows(schedule)[sampler].guesses

    def after(xt: Tensor, done: int, calls: int, *_: Any) -> Tensor:
        moved = xt if added is None or guesses(done, calls) else xt + added.to(xt)
        if watch:
            watch(moved, done)
        return moved

    @lru_cache(maxsize=64)
    def context(prompt: str) -> torch.Tensor:
        with torch.no_grad():
            return base.embed([prompt])

    def guided(four: list[str], shares: Tensor) -> Denoiser:
        wrapped = drift.wrap(base.denoiser(), schedule, four)
        if shares.shape[1] == 1:
            return guide(wrapped, *weights, rescale=rescale)
        return compose(wrapped, guidance * shares, rescale)

    def images() -> Iterator[tuple[int, Tensor, Tensor]]:
        fours = sorted({index - index % SLOTS for index in prompts})
        for at in range(0, len(fours), together):
            slots = [
                index
                for first in fours[at : at + together]
                for index in range(first, first + SLOTS)
            ]
            texts = [
                composition.compose(composed[index]) if index in composed else "" for index in slots
            ]
            generators = [
                generator(seed, "image", 0 if how.get("same_noise") else index) for index in slots
            ]
            starts = [
                begin(drift.of_prompt(text), statistics, schedule, t0, size, noise)
                for text, noise in zip(texts, generators, strict=True)
            ]
            columns, shares = _columns([composed.get(index, [("", 1.0)]) for index in slots])
            spans = [slice(i, i + SLOTS) for i in range(0, len(texts), SLOTS)]
            denoiser = in_fours([guided(texts[span], shares[span]) for span in spans])
            silent = context("").expand(len(slots), -1, -1)
            beside = _stacked(shown, slots) if shown else ()
            said = [torch.cat([context(text) for text in column]) for column in columns]
            contexts = branches(base, silent, said[0], beside)
            contexts += tuple(branches(base, silent, more, beside)[-1] for more in said[1:])
            xT = torch.stack(starts).to(base.device)
            x0 = run(
                denoiser,
                schedule,
                sampler,
                steps,
                xT,
                contexts,
                generators,
                after=after,
                callback=how.get("callback"),
            )
            yield from (
                (index, starts[i], x0[i]) for i, index in enumerate(slots) if index in prompts
            )

    return images()


def _columns(composed: Sequence[Sequence[composition.Part]]) -> tuple[list[list[str]], Tensor]:
    """The first, second, ... prompt of every image, and their weights [B, K]; nothing of weight 0
    where an image has fewer."""
    most = max(map(len, composed))
    full = [[*found, *[("", 0.0)] * (most - len(found))] for found in composed]
    return [[found[k][0] for found in full] for k in range(most)], torch.tensor(
        [[w for _, w in found] for found in full]
    )


def branches(base: Base, silent: Tensor, said: Tensor, shown: Sequence[Tensor]) -> tuple[Any, ...]:
    """The contexts that `guide` takes, reference first.

    A source image has a weight of its own: eps_0 without text and source, then with the source,
    then with both (Brooks et al. 2023, eq. 3). A hint is shown in every branch, as in diffusers.

    Args:
        base: whose denoiser reads them.
        silent: embeddings of the empty prompt, [B, L, D].
        said: of the prompts.
        shown: a batch of each thing that the network is shown.
    """
    if not shown:
        return silent, said
    if not base.sees_source:
        return (silent, *shown), (said, *shown)
    source, *hints = shown
    return (
        (silent, torch.zeros_like(source), *hints),
        (silent, source, *hints),
        (said, source, *hints),
    )


def _stacked(shown: Shown, slots: Sequence[int]) -> list[Tensor]:
    """What the images in `slots` are shown, a batch of each; nothing where nobody asked for the
    image."""
    blank = [torch.zeros_like(part) for part in next(iter(shown.values()))]
    return [
        torch.stack(parts)
        for parts in zip(*(shown.get(index, blank) for index in slots), strict=True)
    ]


def in_fours(denoisers: Sequence[Denoiser]) -> Denoiser:
    """One guided denoiser for every SLOTS images of a batch: the network is called for that many at
    a time."""

    def denoise(xt: Tensor, t: float | Tensor, contexts: tuple[Any, ...]) -> Tensor:
        spans = [slice(i * SLOTS, (i + 1) * SLOTS) for i in range(len(denoisers))]
        calls = zip(denoisers, spans, strict=True)
        return torch.cat(
            [
                call(xt[span], t, tuple(_part(context, span) for context in contexts))
                for call, span in calls
            ]
        )

    return denoise


def _part(context: Any, span: slice) -> Any:
    """Some images of a context, which may be a tuple of batches."""
    return context[span] if isinstance(context, Tensor) else tuple(part[span] for part in context)
