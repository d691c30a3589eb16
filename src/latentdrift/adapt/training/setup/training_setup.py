"""Job = everything about a fit that is decided before any work: its images, prompts and rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from latentdrift import prompts
from latentdrift.adapt.adapters.adapter_files import parse_reference, read, reference_to
from latentdrift.adapt.methods.examples import Example, concepts, name_by
from latentdrift.adapt.methods.methods import METHODS, Method, method
from latentdrift.adapt.training.batches import hint_batches, loss_masks
from latentdrift.adapt.training.batches.batches import HELD_OUT, Beside, LossWeights, draws
from latentdrift.adapt.training.batches.change_weights import change_weights
from latentdrift.adapt.training.batches.latent_cache import Moments
from latentdrift.adapt.training.batches.row_cache import BLOCK, CacheRoot, blocks
from latentdrift.adapt.training.optimization.lr_schedules import Rates
from latentdrift.adapt.training.optimization.optimizers import Optimizer, optimizer
from latentdrift.adapt.training.records.trackers import tracker
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.controlnet_hints import Hint
from latentdrift.data.cohort.row_selection import check_category
from latentdrift.errors import CohortError, OptionError
from latentdrift.model.adapter_info import DriftFile
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift, Group
from latentdrift.model.initial_noise import FEWEST
from latentdrift.model.noise import Noise
from latentdrift.model.schedule import Schedule
from latentdrift.model.signal_leak import estimate
from latentdrift.record import short_hash

MEASURED = 1024
"""Number of training images, at most, that the start of sampling is estimated from."""
SAMPLING_STEPS = 50  # of the sampler whose start `auto` is made for
ESTIMATED = ("auto", "calibrated")  # values of `drift` that are found, and not given
# These do not change what comes out, or are compared by hash.
FREE = {
    "cohort",
    "base",
    "out",
    "checkpoint_every",
    "preview_every",
    "gradient_checkpointing",
    "tracker",
}
MIN_IMAGES = {"pin-sample": 2, "leak-pixel": FEWEST, "leak-low": FEWEST}
"""Mode of drift -> number of training images that its start is estimated from, at least."""
STEP_OPTIONS = (
    "accumulate",
    "rate_schedule",
    "optimizer",
    "min_snr",
    "ema",
    "patience",
    "mask",
    "mask_outside",
    "gradient_checkpointing",
)


@dataclass(frozen=True)
class ImageInput:
    """A row of IMAGE_INPUTS: an image that the network reads beside a noisy latent."""

    make: Callable[[Job, Base, Cohort, Moments, CacheRoot], Beside]
    """(job, base, cohort, latents of its images, folder of all caches)."""
    shape: Callable[[Base, int], tuple[int, ...]]
    """(base, pixels on a side) -> shape of one such image."""


def _sources(todo: Job, base: Base, cohort: Cohort, moments: Moments, root: CacheRoot) -> Beside:
    """Latents of the images that examples start from."""
    return lambda examples: base.source(moments.means([example.shown or 0 for example in examples]))


def _hints(todo: Job, base: Base, cohort: Cohort, moments: Moments, root: CacheRoot) -> Beside:
    """Hints that a ControlNet reads."""
    assert todo.hint
    return hint_batches.beside(cohort, todo.hint, todo.sources, todo.resolution, root)


IMAGE_INPUTS: dict[str, ImageInput] = {
    "source": ImageInput(
        _sources,
        lambda base, pixels: (
            base.latent_channels,
            base.latent_size(pixels),
            base.latent_size(pixels),
        ),
    ),
    "hint": ImageInput(_hints, lambda base, pixels: (3, pixels, pixels)),
}


@dataclass(frozen=True)
class Job:
    """A fit, resolved and checked."""

    options: FitOptions
    row: Method
    rates: Rates
    optimizer: Optimizer
    resolution: int
    describe: str
    """Noun of the images in a prompt: the cohort's words, or a learned word."""
    pictures: str
    """Words of the cohort for its images."""
    words: Mapping[str, str]
    """New words, and the text that each starts as."""
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    noise: Noise
    """Noise of training; held-out losses use plain noise."""
    settings: Mapping[str, Any]
    """All that shapes the result; a run continues only under the same."""
    hint: Hint | None = None
    """Hint of a ControlNet."""

    @property
    def method(self) -> str:
        """Method, a row of METHODS."""
        return str(self.options.method)

    @property
    def rate(self) -> float:
        """Learning rate after the warm-up."""
        return self.rates.full

    @property
    def images_per_step(self) -> int:
        """Images in one optimiser step: batch size times accumulated batches."""
        return self.options.batch_size * self.options.accumulate

    @property
    def step_options(self) -> dict[str, Any]:
        """Options of the optimiser steps, for adapter.json."""
        return {name: getattr(self.options, name) for name in STEP_OPTIONS} | {
            "warm_up": self.rates.warm_up
        }

    @property
    def dropout(self) -> float:
        """Share of images that are trained with the empty prompt, in [0, 1].

        It is 0 for a method that learns only a word, because the empty prompt does not contain the
        word.
        """
        return self.options.caption_dropout if self.row.trains_network else 0.0

    @property
    def reads(self) -> bool:
        """Whether prompt embeddings change while training."""
        return self.row.learns_word or self.options.train_text_encoder

    @cached_property
    def positions(self) -> tuple[int, ...]:
        """Positions of the training images in metadata.csv, each once."""
        return tuple(sorted({example.row for example in self.train}))

    @cached_property
    def measured(self) -> tuple[int, ...]:
        """Positions of the training images whose latents say where sampling starts: all of them,
        or those in MEASURED / BLOCK blocks of the cache that are evenly spread."""
        if len(self.positions) <= MEASURED:
            return self.positions
        there = sorted(blocks(self.positions))
        places = np.linspace(0, len(there) - 1, MEASURED // BLOCK).round().astype(int)
        chosen = {there[place] for place in places}
        return tuple(position for position in self.positions if position // BLOCK in chosen)

    @cached_property
    def read(self) -> tuple[int, ...]:
        """Positions of the images whose latents the fit reads, each once."""
        count = min(len(self.train), self.options.steps * self.images_per_step)  # one epoch has all
        examples = [
            *draws(self.train, self.options.seed, 0, count),
            *self.validation[:HELD_OUT],
        ]
        rows = {example.row for example in examples}
        shown = {example.shown for example in examples if example.shown is not None}
        return tuple(sorted(rows | shown | {*self.measured}))

    @cached_property
    def sources(self) -> tuple[int, ...]:
        """Positions of the rows that the hints of all examples come from, each once."""
        return tuple(
            sorted(
                {
                    example.shown
                    for example in (*self.train, *self.validation)
                    if example.shown is not None
                }
            )
        )

    @property
    def class_prompt(self) -> str:
        """Prompt of the class images that the base draws."""
        return self.options.class_prompt or prompts.sentence(self.pictures, {})

    @property
    def prompts(self) -> list[str]:
        """Every prompt that a training step may use, sorted."""
        prior = {self.class_prompt} if self.options.prior_images else set()
        return sorted(
            {"", *prior, *(example.caption for example in (*self.train, *self.validation))}
        )

    def weights(
        self, base: Base, cohort: Cohort, moments: Moments, root: CacheRoot
    ) -> LossWeights | None:
        """Function from examples to the weight of each latent in the loss.

        Args:
            base: The base.
            cohort: Cohort with the masks.
            moments: Latent moments of its images.
            root: Folder of all caches of a run.

        Returns:
            The product of the masks' weights, from a cache below `root`, and of those that follow
            the difference of two visits; None where there is neither.

        Raises:
            CohortError: Masks cannot be used.
        """
        share = self.options.change_weight
        follows = partial(change_weights, moments, share=share) if share else None
        if self.options.mask is None:
            return follows
        inside = loss_masks.weights(
            cohort,
            self.options.mask,
            self.options.mask_outside,
            self.positions,
            self.resolution,
            base.latent_size(self.resolution),
            root,
        )

        def masked(examples: Sequence[Example]) -> torch.Tensor:
            weight = torch.from_numpy(inside[[example.row for example in examples]])
            return weight if follows is None else weight * follows(examples)

        return masked

    def beside(
        self, base: Base, cohort: Cohort, moments: Moments, root: CacheRoot
    ) -> Beside | None:
        """Function from examples to the inputs of the network beside the noisy latents.

        Args:
            base: The base.
            cohort: The cohort.
            moments: Latent moments of its images.
            root: Folder of all caches of a run.

        Returns:
            The function, with a cache below `root`; None where the method takes no such input.
        """
        return (
            IMAGE_INPUTS[self.row.image_input].make(self, base, cohort, moments, root)
            if self.row.image_input
            else None
        )

    def check_prompts(self, base: Base) -> str:
        """Check that the longest prompt fits the text encoder.

        Args:
            base: The base in training, whose learned words may be several tokens.

        Returns:
            The longest prompt.

        Raises:
            OptionError: It is longer than the text encoder's limit.
        """
        counts = {prompt: base.count(prompt) for prompt in self.prompts}
        longest = max(counts, key=counts.__getitem__)
        try:
            base.embed([longest])
        except OptionError as error:
            word = (
                f", give {self.options.token} fewer `vectors` than {self.options.vectors},"
                if self.words
                else ""
            )
            less = (
                f"`caption={self.options.caption}` out"
                if self.options.caption
                else "the patient out with `patient_info=False`"
            )
            if self.options.instruction and not self.options.caption:
                less = "attributes out: import the cohort again with a shorter `map`"
            long = sum(count > base.token_limit for count in counts.values())
            raise OptionError(
                f"{error}{word} or leave {less}; {long} of {len(counts)} prompts are too long"
            ) from error
        return longest


def scheduled(base: Base, options: FitOptions) -> Base:
    """Give a base the schedule that it is to be trained for; its hash stays that of its files.

    Args:
        base: The base.
        options: Options of `fit` with a method.

    Raises:
        OptionError: The method does not train the network, and `prediction` would change its
            target.
        BaseModelError: Zero terminal SNR for a network that predicts eps.
    """
    if (
        options.prediction not in (None, base.schedule.prediction_type)
        and not method(str(options.method)).trains_network
    ):
        raise OptionError(
            f"`prediction={options.prediction}` needs a network that learns it, and "
            f"`method={options.method}` leaves the network as it is, which predicts "
            f"{base.schedule.prediction_type}; take `method=full`"
        )
    return replace(base, schedule=base.schedule.altered(options.prediction, options.zero_snr))


def learned(base: Base, options: FitOptions) -> Schedule:
    """Schedule that the network was trained with so far.

    It is the base's own schedule, or that of the adapters that the fit starts from.

    Args:
        base: The base, before `scheduled`.
        options: Options of `fit`; `start` names the adapters.
    """
    schedule = base.schedule
    for folder, _ in map(parse_reference, options.start):
        changed = read(folder).schedule
        schedule = schedule.altered(changed.prediction_type, bool(changed.zero_snr))
    return schedule


def job(base: Base, cohort: Cohort, options: FitOptions) -> Job:
    """Resolve and check the options of a fit.

    Args:
        base: The base, with the schedule from `scheduled`.
        cohort: The cohort.
        options: Options of `fit` with a method, from `default_method.resolved`.

    Raises:
        OptionError: An unknown method or prompt style, a resolution that does not fit, a drift or
            noise that cannot be parsed.
        CohortError: There are no training images.
    """
    name = str(options.method)
    row = method(name)
    base.family.check_supported("method", name)
    options = row.completed(options)
    resolution = options.resolution or base.resolution
    base.latent_size(resolution)
    _check_drift(base, cohort, options, resolution)
    noise = Noise.parse(options.noise)
    words = _words(cohort, options, row)
    describe = row.called.format(
        token=name_by(options), rare_word=options.rare_word, images=cohort.describe
    )
    train = tuple(row.examples(cohort, "train", options, describe, resolution))
    validation = tuple(row.examples(cohort, "validation", options, describe, resolution))
    hint = Hint.of(options.hint, cohort) if row.image_input == "hint" else None
    if hint:
        train = hint_batches.examples(cohort, "train", train, hint)
        validation = hint_batches.examples(cohort, "validation", validation, hint)
    _check_examples(cohort, options, train, validation)
    rate = options.learning_rate or row.learning_rate(base)
    tracker(options.tracker)
    settings = _settings(base, cohort, options, train, validation) | {
        "learning_rate": rate,
        "noise": noise.to_dict(),
        "resolution": resolution,
    }
    todo = Job(
        options=options,
        row=row,
        rates=Rates.of(rate, options.rate_schedule, options.warm_up, options.steps),
        optimizer=optimizer(options.optimizer),
        resolution=resolution,
        describe=describe,
        pictures=cohort.describe,
        words=words,
        train=train,
        validation=validation,
        noise=noise,
        settings=settings,
        hint=hint,
    )
    if hint:
        settings["hints"] = short_hash(hint.labels, *hint.fingerprint(cohort, todo.sources))
    if options.mask:
        settings["masks"] = loss_masks.fingerprint(cohort, options.mask, todo.positions)
    return todo


def _check_drift(base: Base, cohort: Cohort, options: FitOptions, resolution: int) -> None:
    """Check that the drift can be parsed or estimated.

    Raises:
        OptionError: It cannot.
    """
    drift = options.drift.strip().lower()
    if drift not in ESTIMATED:
        _given(base, options, resolution)
    elif not base.schedule.a(base.schedule.timesteps(SAMPLING_STEPS)[0]) > 0:
        raise OptionError(
            f"`drift={drift}` has nothing to make up for where sampling starts from pure noise "
            "(zero terminal SNR); give `drift=none`"
        )
    if drift == "calibrated" and options.drift_form != "noise_mean":
        raise OptionError(
            "`drift=calibrated` goes with `drift_form=noise_mean` only, not with the ablation "
            f"'{options.drift_form}'; give `drift=auto` or a value"
        )
    if options.drift_by:
        _check_classes(cohort, options)


def _check_examples(
    cohort: Cohort, options: FitOptions, train: Sequence[Example], validation: Sequence[Example]
) -> None:
    """Check that there are enough images to learn from and to validate on.

    Raises:
        CohortError: There are not.
    """
    if not train:
        raise CohortError(
            f"cohort {cohort.folder} has no image in its train split; import it again with another "
            "`split`"
        )
    needed = MIN_IMAGES.get(options.drift_mode or "", 1)
    images = len({example.row for example in train})
    if images < needed:
        raise CohortError(
            f"`drift_mode={options.drift_mode}` needs {needed} training images, there are "
            f"{images}; take pin"
        )
    if options.patience and not validation:
        raise CohortError(
            f"`patience` watches the held-out loss, and cohort {cohort.folder} has none in its "
            "validation split; leave it out, or import the cohort again with another `split`"
        )


def _settings(
    base: Base,
    cohort: Cohort,
    options: FitOptions,
    train: Sequence[Example],
    validation: Sequence[Example],
) -> dict[str, Any]:
    """All that shapes the result, but for values that the method or the base completes."""
    left_out = FREE - {"checkpoint_every"} if options.patience else FREE
    return {
        **options.model_dump(mode="json", exclude=left_out),
        "precision": str(base.dtype).removeprefix("torch."),
        "device": base.device.type,
        "start": [
            reference_to(folder, str(read(folder).method), weight).to_dict()
            for folder, weight in map(parse_reference, options.start)
        ],
        "base": base.hash,
        "cohort": cohort.fingerprint,
        "examples": short_hash(train, validation, list(cohort.rows()["sha256"])),
    }


def _words(cohort: Cohort, options: FitOptions, row: Method) -> dict[str, str]:
    """New words, and the text that each starts as.

    Raises:
        OptionError: Words for a method that learns none.
    """
    if not row.learns_word:
        if options.concept_by:
            able = [name for name, other in METHODS.items() if other.learns_word]
            raise OptionError(
                f"`concept_by` gives values new words, and `method={options.method}` learns none; "
                f"take {' or '.join(able)}"
            )
        return {}
    words = {
        word: f"{cohort.describe} {value}" for value, word in concepts(cohort, options).items()
    }
    return words or {options.token: cohort.describe}


def resolve_drift(
    job: Job, base: Base, cohort: Cohort, moments: Moments
) -> tuple[Drift, DriftFile]:
    """Resolve the drift of a fit.

    `auto` is the closed form per channel. In mode `both` the trained shift and the signal that a
    plain start lacks add up in the start. `calibrated` begins with `auto`; where the mode leaves
    the start's mean open, `drift_calibration` sets it after training. Only then is the source
    "calibrated".

    Args:
        job: The resolved fit.
        base: The base, with the schedule of training.
        cohort: The cohort.
        moments: Latent moments of its images.

    Returns:
        The drift, and the entry `drift` of adapter.json.
    """
    text = job.options.drift.strip().lower()
    mode = job.options.drift_mode
    form = job.options.drift_form
    if text not in ESTIMATED:
        drift = _given(base, job.options, job.resolution)
        source = "given" if drift.train or drift.infer else "none"
        return drift, DriftFile.model_validate({**drift.to_dict(), "source": source})
    t0 = int(base.schedule.timesteps(SAMPLING_STEPS)[0])
    a_t0 = float(base.schedule.a(t0))

    patients = cohort.rows()["patient"]
    known = bool(patients.notna().all())

    def estimate_of(
        positions: Sequence[int],
    ) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
        means = torch.from_numpy(
            np.stack([mean.numpy().mean((1, 2)) for mean in moments.each(positions)])
        )
        return estimate(means, a_t0, groups=list(patients.iloc[list(positions)]) if known else None)

    delta, interval = estimate_of(job.measured)
    whole = _closed_form(delta, mode or "infer", form)
    groups = []
    for phrase, positions in drift_classes(job, cohort).items():
        part = _closed_form(estimate_of(positions)[0], mode or "infer", form)
        groups.append(Group(phrase, part.train, part.infer))
    drift = replace(whole, groups=tuple(groups))
    entry = {
        **drift.to_dict(),
        "source": "auto",
        "t0": t0,
        "estimate": list(delta),
        "interval": list(map(list, interval)),
    }
    return drift, DriftFile.model_validate(entry)


def _given(base: Base, options: FitOptions, resolution: int) -> Drift:
    size = {"channels": base.latent_channels, "latent_size": base.latent_size(resolution)}
    return Drift.parse(options.drift, **size, mode=options.drift_mode, form=options.drift_form)


def _closed_form(delta: Sequence[float], mode: str, form: str) -> Drift:
    """delta leaked into the start; trained in as well, the two add up: yT ~ N((delta_infer -
    delta_train) s, I)."""
    drift = Drift.of(delta, mode, form)
    return replace(drift, infer=tuple(2 * value for value in delta)) if mode == "both" else drift


def _check_classes(cohort: Cohort, options: FitOptions) -> None:
    """Check that `drift_by` can tell classes apart.

    Raises:
        OptionError: Drift is not estimated or an ablation, no such category, or the prompts do not
            say it.
    """
    if options.drift.strip().lower() not in ESTIMATED:
        raise OptionError(
            "`drift_by` estimates a drift per class, which needs `drift=auto` or `drift=calibrated`"
        )
    if options.drift_form != "noise_mean":
        raise OptionError(
            "`drift_by` goes with `drift_form=noise_mean` only, not with the ablation "
            f"'{options.drift_form}'"
        )
    check_category(cohort, str(options.drift_by), "drift_by")
    if options.caption or not options.patient_info:
        left_out = "`caption` replaces" if options.caption else "`patient_info=False` leaves out"
        raise OptionError(
            f"`drift_by` tells classes by their words in the prompt, which {left_out}; give one of "
            "them"
        )


def drift_classes(job: Job, cohort: Cohort) -> dict[str, list[int]]:
    """Classes with a drift of their own: those with at least two training images.

    Args:
        job: The resolved fit; `drift_by` names the attribute.
        cohort: The cohort.

    Returns:
        Phrase of a class in prompts -> positions of its images among `measured`. Empty without
        `drift_by`.
    """
    by = job.options.drift_by
    if by is None:
        return {}
    classes: dict[str, list[int]] = {}
    values = cohort.rows()[by]
    names = concepts(cohort, job.options) if by == job.options.concept_by else {}
    for position in job.measured:
        value = values.iloc[position]
        if not prompts.is_missing(value):
            classes.setdefault(names.get(value) or prompts.phrase(by, value), []).append(position)
    return {
        phrase: positions for phrase, positions in sorted(classes.items()) if len(positions) > 1
    }
