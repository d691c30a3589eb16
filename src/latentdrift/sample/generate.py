"""Prompts -> images: one image per (seed, index), whatever else is generated beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentdrift.config import EditOptions, GenerateOptions
from latentdrift.config.base import Options
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.conditioning import Conditioning
from latentdrift.model.drift import Drift
from latentdrift.model.initial_noise import Statistics, begin, check
from latentdrift.model.schedule import Denoiser, GuidedDenoiser
from latentdrift.prompts import composition
from latentdrift.sample.guidance import branches, compose, condition_alone, guide, within
from latentdrift.sample.samplers import first_time, rows, run
from latentdrift.sample.step_cache import StepCache, deep_layers
from latentdrift.seeds import generator

SLOTS = 4
"""Images per call of a small network, or of any network on a GPU.

Processors and GPUs choose their kernels by batch size, and those round differently (1e-6 in fp32 on
x86: enough to flip an 8-bit value). So the network always gets the same number of images, image i
in slot i modulo that number. Slots without a wanted image are computed and discarded: at most three
at the end of a run. With guidance that is a batch of 8, past which an 8 M U-Net gained nothing on a
processor (0.016 s per image at 8 and at 16, 0.029 at 2).
"""

LARGE_NETWORK = 100_000_000
"""Parameters from which one image fills a processor, so that further slots save no time."""

MAX_CACHED_PROMPTS = 64

_GENERATE = GenerateOptions.model_fields
_EDIT = EditOptions.model_fields


@dataclass(frozen=True)
class SamplingOptions:
    """Options of sampling; the defaults are those of `generate` and `edit`."""

    seed: int = _GENERATE["seed"].default
    """Decides, together with an index, all that is random about an image."""
    steps: int = _GENERATE["steps"].default
    """Steps of the sampler."""
    guidance: float = _GENERATE["guidance"].default
    """Weight w against the empty prompt; 1 is none."""
    sampler: str = _GENERATE["sampler"].default
    """A row of SAMPLERS."""
    resolution: int | None = None
    """Pixels R on a side; None: the base's own."""
    guidance_interval: tuple[float, float] | None = _GENERATE["guidance_interval"].default
    """Noise levels s / a between which guidance acts; None: all."""
    step_cache: int = _GENERATE["step_cache"].default
    """Steps for which the deep layers of the U-Net are computed once; 1: each step does."""
    rescale: float = _GENERATE["rescale"].default
    """Share of guidance rescale in [0, 1], see `guide`."""
    image_guidance: float = _EDIT["image_guidance"].default
    """Weight of the source image, for a network that reads one (Brooks et al. 2023, eq. 3)."""
    same_noise: bool = False
    """Every image has the noise of image 0, so that images differ by their prompts alone."""
    batch_size: int = _GENERATE["batch_size"].default
    """Images sampled together, in multiples of the slots: fewer passes through the sampler, more
    memory, the same images."""
    slots: int | None = _GENERATE["slots"].default
    """Images per call of the network; None: those of the base, see `slots_of`."""

    def shaping(self) -> dict[str, Any]:
        """Options, by name, that determine the images of a network without a source image."""
        left_out = {"image_guidance", "batch_size"}
        # A set that an earlier version began keeps its key, where its images stay the same.
        newer = {"guidance_interval": None, "step_cache": 1, "slots": SLOTS}
        left_out |= {name for name, before in newer.items() if getattr(self, name) == before}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

    @classmethod
    def of(cls, options: Options, resolution: int | None) -> SamplingOptions:
        """The sampling options among those of a verb; the rest are at their defaults.

        Args:
            options: Options of any verb that samples.
            resolution: Pixels on a side; None: the base's own.
        """
        names = {each.name for each in fields(cls)} & type(options).model_fields.keys()
        values = {name: getattr(options, name) for name in names}
        return cls(**{**values, "resolution": resolution})


def slots_of(base: Base) -> int:
    """Images per call of a base's network: 1 for a large network on a processor, else SLOTS."""
    parameters = sum(weight.numel() for weight in base.network.parameters())
    return 1 if base.device.type == "cpu" and parameters >= LARGE_NETWORK else SLOTS


Prompts = Mapping[int, str | Sequence[composition.Part]]
"""Image index -> its prompt, or several prompts with weights. A plain string is never split at AND:
the text of reports may hold the word."""

ImageInputs = Mapping[int, Sequence[Tensor]]
"""Image index -> the images that the network reads beside its noise, see `Base.with_images`:
a source [C, h, w], hints [3, H, W]."""

Progress = Callable[[int, int], None]
"""Takes (steps done, steps in all) of the images at hand."""

Watch = Callable[[Tensor, int], None]
"""Takes (xt [B, C, h, w] in the scheduler's units, steps done) after each step."""


def generate(
    base: Base,
    drift: Drift,
    prompts: Prompts,
    options: SamplingOptions,
    statistics: Statistics | None = None,
    images: ImageInputs | None = None,
    *,
    callback: Progress | None = None,
    watch: Watch | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Sample images in the order of their index, a few at a time.

    Args and errors are those of `latents`.

    Returns:
        Pairs (index, pixels [R, R, 3] float32 in [-1, 1]).
    """
    sampled = latents(
        base, drift, prompts, options, statistics, images, callback=callback, watch=watch
    )
    return (
        (index, base.decode(x0[None])[0].permute(1, 2, 0).cpu().numpy()) for index, _, x0 in sampled
    )


def latents(
    base: Base,
    drift: Drift,
    prompts: Prompts,
    options: SamplingOptions,
    statistics: Statistics | None = None,
    images: ImageInputs | None = None,
    *,
    callback: Progress | None = None,
    watch: Watch | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Sample latents in the order of their index, a few at a time.

    Args:
        base: The model, with an adapter applied or not.
        drift: Drift of the adapter; its start is applied here.
        prompts: See `Prompts`. To resume, leave out the indices that are done.
        options: Options of sampling.
        statistics: Statistics of the adapter's cohort, for the starts that depend on them.
        images: For a network that reads images beside the noise: those of every prompt.
        callback: Called after each step.
        watch: Called after each step.

    Returns:
        Triples (index, start yT [C, h, w], scaled latent x0 [C, h, w]).

    Raises:
        OptionError: Before any work: an unknown sampler, too many steps, a resolution that does not
            fit, a prompt past the token limit, a start without its statistics, or no images for a
            network that reads them.
    """
    weighted = {index: _weighted(prompt) for index, prompt in prompts.items()}
    sampling = _Sampling(base, drift, weighted, options, statistics, images, callback, watch)
    sampling.check()
    return (each for slots in sampling.batches() for each in sampling.sample(slots))


def batches(indices: Iterable[int], slots: int, batch_size: int) -> Iterator[list[int]]:
    """Indices of the images that are sampled together, in whole groups of the slots.

    Args:
        indices: Images that are wanted.
        slots: Images per call of the network.
        batch_size: Images that are sampled together, at least a group.
    """
    groups = sorted({index - index % slots for index in indices})
    together = max(1, batch_size // slots)
    for at in range(0, len(groups), together):
        yield [
            index for first in groups[at : at + together] for index in range(first, first + slots)
        ]


def _weighted(prompt: str | Sequence[composition.Part]) -> list[composition.Part]:
    """The prompts of one image with their weights."""
    return [(prompt, 1.0)] if isinstance(prompt, str) else list(prompt)


class _Sampling:
    """One call of `latents`: its arguments, and the values that all batches share."""

    def __init__(
        self,
        base: Base,
        drift: Drift,
        weighted: Mapping[int, list[composition.Part]],
        options: SamplingOptions,
        statistics: Statistics | None,
        images: ImageInputs | None,
        callback: Progress | None,
        watch: Watch | None,
    ) -> None:
        side = base.latent_size(options.resolution)
        self.base = base
        self.drift = drift
        self.weighted = weighted
        self.options = options
        self.statistics = statistics
        self.images = images
        self.callback = callback
        self.watch = watch
        self.size = (base.latent_channels, side, side)
        self.slots = options.slots or slots_of(base)
        self.t0 = first_time(options.sampler, base.schedule, options.steps)
        self.step_shift = drift.after_step(options.steps)
        self.is_guess = rows(base.schedule)[options.sampler].guesses
        self.encode = lru_cache(MAX_CACHED_PROMPTS)(self._encode)

    def check(self) -> None:
        """Check that every image can be sampled.

        Raises:
            OptionError: See `latents`.
        """
        check(self.drift.start, self.statistics, self.size)
        self._deep_layers()
        self.base.tokens([*{text for parts in self.weighted.values() for text, _ in parts}, ""])
        if self.base.sees_source and any(len(parts) > 1 for parts in self.weighted.values()):
            raise OptionError(
                "a network that takes a source image has two guidance weights already; "
                "give it prompts without AND"
            )
        if (self.base.sees_source or self.base.controls) and not self.images:
            raise OptionError(
                f"this network needs {self.base.shows} beside noise and text, and none was "
                "given; give it with `like` or `hint_image`"
            )

    def batches(self) -> Iterator[list[int]]:
        """Indices of the images that are sampled together, in whole groups of the slots."""
        return batches(self.weighted, self.slots, self.options.batch_size)

    def sample(self, slots: Sequence[int]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Sample one batch; slots without a prompt are discarded."""
        texts = [
            composition.compose(self.weighted[index]) if index in self.weighted else ""
            for index in slots
        ]
        generators = [self._generator(index) for index in slots]
        starts = [self._start(text, noise) for text, noise in zip(texts, generators, strict=True)]
        columns, shares = _columns([self.weighted.get(index, [("", 1.0)]) for index in slots])
        cache = StepCache(self.options.step_cache)
        with cache.installed(self._deep_layers()):
            x0 = run(
                self._denoiser(texts, shares, cache),
                self.base.schedule,
                self.options.sampler,
                self.options.steps,
                torch.stack(starts).to(self.base.device),
                self._conditionings(columns, slots),
                generators,
                after=self._after,
                callback=self.callback,
            )
        for place, index in enumerate(slots):
            if index in self.weighted:
                yield index, starts[place], x0[place]

    def _generator(self, index: int) -> torch.Generator:
        return generator(self.options.seed, "image", 0 if self.options.same_noise else index)

    def _start(self, text: str, noise: torch.Generator) -> Tensor:
        """Start yT [C, h, w] of one image."""
        drift = self.drift.of_prompt(text)
        return begin(drift, self.statistics, self.base.schedule, self.t0, self.size, noise)

    def _deep_layers(self) -> list[nn.Module]:
        """Layers whose outputs are kept between steps; none without a cache."""
        if self.options.step_cache == 1:
            return []
        return deep_layers(self.base.network, self.base.name)

    def _denoiser(self, texts: Sequence[str], shares: Tensor, cache: StepCache) -> GuidedDenoiser:
        """The guided denoiser of a batch, called for one image in each slot at a time."""
        firsts = range(0, len(texts), self.slots)
        spans = [slice(first, first + self.slots) for first in firsts]
        guided = [self._guided(list(texts[span]), shares[span], cache) for span in spans]
        return in_groups(guided, self.slots)

    def _guided(self, texts: list[str], shares: Tensor, cache: StepCache) -> GuidedDenoiser:
        """The guided denoiser of one image in each slot, each with the drift of its prompt."""
        network = cache.wrap(self.base.denoiser())
        wrapped = self.drift.wrap(network, self.base.schedule, texts)
        guided = self._weighted_branches(wrapped, shares)
        if self.options.guidance_interval is None:
            return guided
        several = shares.shape[1] > 1
        unguided = compose(wrapped, shares) if several else condition_alone(wrapped)
        return within(self.options.guidance_interval, self.base.schedule, guided, unguided)

    def _weighted_branches(self, wrapped: Denoiser, shares: Tensor) -> GuidedDenoiser:
        """The denoiser with guidance at every noise level."""
        guidance = self.options.guidance
        rescale = self.options.rescale
        if shares.shape[1] > 1:
            return compose(wrapped, guidance * shares, rescale)
        if self.base.sees_source:
            weights = (self.options.image_guidance - guidance, guidance)
            return guide(wrapped, *weights, rescale=rescale)
        return guide(wrapped, guidance, rescale=rescale)

    def _conditionings(
        self, columns: Sequence[Sequence[str]], slots: Sequence[int]
    ) -> tuple[Conditioning, ...]:
        """Conditionings of the branches, the reference first."""
        images = _stacked(self.images, slots) if self.images else []
        empty = self.encode("").expand(len(slots))
        first, *others = (
            self.base.with_images(Conditioning.cat([self.encode(text) for text in column]), images)
            for column in columns
        )
        return (*branches(empty, first), *others)

    @torch.no_grad()
    def _encode(self, prompt: str) -> Conditioning:
        return self.base.embed([prompt])

    def _after(self, xt: Tensor, done: int, calls: int, *_: Any) -> Tensor:
        """xt with the drift that is added after a whole step."""
        if self.step_shift is not None and not self.is_guess(done, calls):
            xt = xt + self.step_shift.to(xt)
        if self.watch:
            self.watch(xt, done)
        return xt


def _columns(weighted: Sequence[Sequence[composition.Part]]) -> tuple[list[list[str]], Tensor]:
    """The first, second, ... prompt of every image, and their weights [B, K]; the empty prompt with
    weight 0 where an image has fewer."""
    count = max(map(len, weighted))
    padded = [[*parts, *[("", 0.0)] * (count - len(parts))] for parts in weighted]
    columns = [[parts[k][0] for parts in padded] for k in range(count)]
    return columns, torch.tensor([[weight for _, weight in parts] for parts in padded])


def _stacked(images: ImageInputs, slots: Sequence[int]) -> list[Tensor]:
    """One batch per image that the network reads; zeros for slots without a wanted image."""
    blank = [torch.zeros_like(part) for part in next(iter(images.values()))]
    return [
        torch.stack(parts)
        for parts in zip(*(images.get(index, blank) for index in slots), strict=True)
    ]


def in_groups(denoisers: Sequence[GuidedDenoiser], slots: int) -> GuidedDenoiser:
    """Combine denoisers into one for the whole batch.

    Args:
        denoisers: One for each group of images, in the order of the batch.
        slots: Number of images of a group.
    """

    def denoise(xt: Tensor, t: float | Tensor, branches: tuple[Conditioning, ...]) -> Tensor:
        predictions = []
        for place, denoiser in enumerate(denoisers):
            span = slice(place * slots, (place + 1) * slots)
            predictions.append(denoiser(xt[span], t, tuple(branch[span] for branch in branches)))
        return torch.cat(predictions)

    return denoise
