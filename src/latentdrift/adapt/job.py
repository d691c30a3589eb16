"""Job = everything about a fit that is decided before any work: who is in it, what is said of each image, at which rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentdrift import prompts
from latentdrift.adapt import masks
from latentdrift.adapt.cache import Moments, key
from latentdrift.adapt.methods import Method, method
from latentdrift.adapt.optimizers import Optimizer, optimizer
from latentdrift.adapt.rates import Rates
from latentdrift.adapt.trackers import tracker
from latentdrift.config import FitOptions
from latentdrift.data.cohort import Cohort
from latentdrift.errors import CohortError, OptionError, unknown
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift, Group
from latentdrift.model.leak import estimate
from latentdrift.model.noise import Noise
from latentdrift.model.start import FEWEST

SAMPLING_STEPS = 50  # of the sampler whose start `auto` is made for
# These do not change what comes out, or are compared by hash.
FREE = {"cohort", "base", "out", "checkpoint_every", "preview_every", "gradient_checkpointing", "tracker"}
CRAFT = (
    "accumulate", "rate_schedule", "optimizer", "min_snr", "ema", "patience", "mask", "mask_outside", "gradient_checkpointing",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A fit, resolved and checked."""

    options: FitOptions
    row: Method
    rates: Rates
    optimizer: Optimizer
    resolution: int
    describe: str
    """What stands for the pictures in a prompt: the cohort's words, or the token that is learned."""
    train: tuple[int, ...]
    """Positions in metadata.csv."""
    validation: tuple[int, ...]
    captions: tuple[str, ...]
    """One per row of metadata.csv."""
    noise: Noise
    """What is trained on; held-out losses are of plain noise."""
    settings: Mapping[str, Any]
    """All that shapes the result; a run continues only under the same."""

    @property
    def rate(self) -> float:
        """The learning rate in full."""
        return self.rates.full

    @property
    def images_per_step(self) -> int:
        """Images that an optimiser step has seen."""
        return self.options.batch_size * self.options.accumulate

    @property
    def craft(self) -> dict[str, Any]:
        """How the steps were made, for adapter.json."""
        return {name: getattr(self.options, name) for name in CRAFT} | {"warm_up": self.rates.warm_up}

    @property
    def dropout(self) -> float:
        """Share of empty prompts; none where only a word is learned, which the empty prompt does not hold."""
        return 0.0 if self.row.trains_text else self.options.caption_dropout

    @property
    def prompts(self) -> list[str]:
        """Every prompt that a step may see."""
        return sorted({"", *(self.captions[row] for row in (*self.train, *self.validation))})

    def weights(self, base: Base, cohort: Cohort, root: Path) -> np.ndarray | None:
        """What each latent of each image counts in the loss, from a cache below `root`; None where all count the same."""
        if self.options.mask is None:
            return None
        size = base.latent_size(self.resolution)
        return masks.weights(cohort, self.options.mask, self.options.mask_outside, self.train, self.resolution, size, root)

    def check_prompts(self, base: Base) -> str:
        """The longest prompt, read by the base that is trained, whose words may be several tokens.

        Raises:
            OptionError: It is past the text encoder's limit.
        """
        counts = {prompt: base.count(prompt) for prompt in self.prompts}
        longest = max(counts, key=counts.__getitem__)
        try:
            base.embed([longest])
        except OptionError as error:
            word = f", give {self.options.token} fewer --vectors than {self.options.vectors}," if self.row.trains_text else ""
            less = f"--caption {self.options.caption} out" if self.options.caption else "the patient out with --no-patient-info"
            long = sum(count > base.token_limit for count in counts.values())
            raise OptionError(f"{error}{word} or leave {less}; {long} of {len(counts)} prompts are too long") from error
        return longest


def scheduled(base: Base, options: FitOptions) -> Base:
    """The base with the schedule that it is to be trained for; its hash stays that of its files.

    Raises:
        OptionError: A network that stays as it is would have to predict something else.
        BaseModelError: Zero terminal SNR for a network that predicts eps.
    """
    if options.prediction not in (None, base.schedule.prediction_type) and method(options.method).trains_text:
        raise OptionError(
            f"--prediction {options.prediction} needs a network that learns it, and --method {options.method} leaves the network "
            f"as it is, which predicts {base.schedule.prediction_type}; take --method full"
        )
    return replace(base, schedule=base.schedule.altered(options.prediction, options.zero_snr))


def job(base: Base, cohort: Cohort, options: FitOptions) -> Job:
    """Resolve the options for this base and cohort.

    Raises:
        OptionError: An unknown method or prompt style, a resolution that does not fit, a drift or noise that is not understood.
        CohortError: No training images.
    """
    row = method(options.method)
    resolution = options.resolution or base.resolution
    base.latent_size(resolution)
    if options.drift.strip().lower() != "auto":
        _given(base, options, resolution)
    elif not base.schedule.a(base.schedule.timesteps(SAMPLING_STEPS)[0]) > 0:
        raise OptionError(
            "--drift auto has nothing to make up for where sampling starts from pure noise (zero terminal SNR); give --drift none"
        )
    noise = Noise.parse(options.noise)
    if options.drift_by:
        _check_classes(cohort, options)
    describe = options.token if row.trains_text else cohort.describe
    train, validation = (tuple(map(int, cohort.rows(split).index)) for split in ("train", "validation"))
    if not train:
        raise CohortError(f"cohort {cohort.folder} has no image in its train split; import it again with another --split")
    fewest = {"pin-sample": 2, "leak-pixel": FEWEST, "leak-low": FEWEST}.get(options.drift_mode or "", 1)
    if len(train) < fewest:
        raise CohortError(f"--drift-mode {options.drift_mode} needs {fewest} training images, there are {len(train)}; take pin")
    captions = _captions(cohort, describe, prompts.Manner.asked(options))
    rate = options.learning_rate or row.learning_rate(base)
    rates = Rates.of(rate, options.rate_schedule, options.warm_up, options.steps)
    tracker(options.tracker)
    if options.patience and not validation:
        raise CohortError(
            f"--patience watches the held-out loss, and cohort {cohort.folder} has none in its validation split; leave it out, "
            "or import the cohort again with another --split"
        )
    free = FREE - {"checkpoint_every"} if options.patience else FREE
    settings = {
        **options.model_dump(mode="json", exclude=free),
        "learning_rate": rate,
        "noise": noise.to_dict(),
        "resolution": resolution,
        "precision": str(base.dtype).removeprefix("torch."),
        "device": base.device.type,
        "base": base.hash,
        "cohort": cohort.fingerprint,
        "images": key(train, validation, list(cohort.rows()["sha256"])),
        "prompts": key(*captions),
    }
    if options.mask:
        settings["masks"] = masks.fingerprint(cohort, options.mask, train)
    return Job(
        options, row, rates, optimizer(options.optimizer), resolution, describe, train, validation, captions, noise, settings
    )


def _captions(cohort: Cohort, describe: str, manner: prompts.Manner) -> tuple[str, ...]:
    """What is said of each image, in the order of metadata.csv.

    Raises:
        OptionError: The cohort lacks what the prompts are to be made of.
    """
    manner.check(cohort.attributes, cohort.texts)
    learned, spec = describe != cohort.describe, cohort.attributes
    rows = enumerate(cohort.rows().to_dict("records"))
    return tuple(manner.words(describe, row, spec, position, learned=learned) for position, row in rows)


def resolve_drift(job: Job, base: Base, cohort: Cohort, moments: Moments) -> tuple[Drift, dict[str, Any]]:
    """The drift of this fit, and what adapter.json says of it.

    `auto` is the closed form per channel; trained into the network as well, the two shifts of the start add up: the trained
    one and the signal that a plain start lacks.
    """
    text, mode, form = job.options.drift.strip().lower(), job.options.drift_mode, job.options.drift_form
    if text != "auto":
        drift = _given(base, job.options, job.resolution)
        return drift, {**drift.to_dict(), "source": "given"}
    t0 = int(base.schedule.timesteps(SAMPLING_STEPS)[0])
    a_t0 = float(base.schedule.a(t0))

    patients = cohort.rows()["patient"]
    known = bool(patients.notna().all())

    def found(positions: Sequence[int]) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
        means = torch.from_numpy(np.stack([moments.mean[position].mean((1, 2)) for position in positions]))
        return estimate(means, a_t0, groups=list(patients.iloc[list(positions)]) if known else None)

    delta, interval = found(job.train)
    whole = _closed_form(delta, mode or "infer", form)
    groups = []
    for phrase, positions in _classes(job, cohort).items():
        part = _closed_form(found(positions)[0], mode or "infer", form)
        groups.append(Group(phrase, part.train, part.infer))
    drift = replace(whole, groups=tuple(groups))
    return drift, {**drift.to_dict(), "source": "auto", "t0": t0, "estimate": list(delta), "interval": list(map(list, interval))}


def _given(base: Base, options: FitOptions, resolution: int) -> Drift:
    how = {"channels": base.latent_channels, "latent_size": base.latent_size(resolution)}
    return Drift.parse(options.drift, **how, mode=options.drift_mode, form=options.drift_form)


def _closed_form(delta: Sequence[float], mode: str, form: str) -> Drift:
    """delta leaked into the start; trained in as well, the two add up: yT ~ N((delta_infer - delta_train) s, I)."""
    drift = Drift.of(delta, mode, form)
    return replace(drift, infer=tuple(2 * value for value in delta)) if mode == "both" else drift


def _check_classes(cohort: Cohort, options: FitOptions) -> None:
    """See that `--drift-by` can tell classes apart.

    Raises:
        OptionError: Drift is not estimated or an ablation, no such category, or the prompts do not say it.
    """
    if options.drift.strip().lower() != "auto":
        raise OptionError("--drift-by estimates a drift per class, which needs --drift auto")
    if options.drift_form != "noise_mean":
        raise OptionError(f"--drift-by goes with --drift-form noise_mean only, not with the ablation '{options.drift_form}'")
    kinds = [name for name, spec in cohort.attributes.items() if spec["type"] == "category"]
    if options.drift_by not in kinds:
        raise unknown("category for --drift-by", str(options.drift_by), kinds)
    if options.caption or not options.patient_info:
        left_out = "--caption replaces" if options.caption else "--no-patient-info leaves out"
        raise OptionError(f"--drift-by tells classes by their words in the prompt, which {left_out}; give one of them")


def _classes(job: Job, cohort: Cohort) -> dict[str, list[int]]:
    """Phrase of a class -> positions of its training images, for the classes of at least two."""
    by = job.options.drift_by
    if by is None:
        return {}
    found: dict[str, list[int]] = {}
    values = cohort.rows()[by]
    for position in job.train:
        value = values.iloc[position]
        if not prompts.is_missing(value):
            found.setdefault(prompts.phrase(by, value), []).append(position)
    return {phrase: positions for phrase, positions in sorted(found.items()) if len(positions) > 1}
