"""Job = everything about a fit that is decided before any work: who is in it, what is said of each image, at which rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from latentdrift import prompts
from latentdrift.adapt.cache import Moments, key
from latentdrift.adapt.methods import Method, method
from latentdrift.config import FitOptions
from latentdrift.data.cohort import Cohort
from latentdrift.errors import CohortError, OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift, estimate

SAMPLING_STEPS = 50  # of the sampler whose start `auto` is made for
FREE = {"cohort", "base", "out", "checkpoint_every", "preview_every"}  # do not change what comes out, or are compared by hash


@dataclass(frozen=True)
class Job:
    """A fit, resolved and checked."""

    options: FitOptions
    row: Method
    rate: float
    resolution: int
    describe: str
    """What stands for the pictures in a prompt: the cohort's words, or the token that is learned."""
    train: tuple[int, ...]
    """Positions in metadata.csv."""
    validation: tuple[int, ...]
    captions: tuple[str, ...]
    """One per row of metadata.csv."""
    settings: Mapping[str, Any]
    """All that shapes the result; a run continues only under the same."""

    @property
    def dropout(self) -> float:
        """Share of empty prompts; none where only a word is learned, which the empty prompt does not hold."""
        return 0.0 if self.row.trains_text else self.options.caption_dropout

    @property
    def prompts(self) -> list[str]:
        """Every prompt that a step may see."""
        return sorted({"", *(self.captions[row] for row in (*self.train, *self.validation))})

    def check_prompts(self, base: Base) -> None:
        """Have the longest prompt read by the base that is trained, whose words may be several tokens.

        Raises:
            OptionError: It is past the text encoder's limit.
        """
        longest = max(self.prompts, key=lambda prompt: len(base.tokenizer(prompt).input_ids))
        try:
            base.embed([longest])
        except OptionError as error:
            word = f", give {self.options.token} fewer --vectors than {self.options.vectors}," if self.row.trains_text else ""
            raise OptionError(f"{error}{word} or leave the patient out with --no-patient-info") from error


def job(base: Base, cohort: Cohort, options: FitOptions) -> Job:
    """Resolve the options for this base and cohort.

    Raises:
        OptionError: An unknown method or prompt style, a resolution that does not fit, a drift that is not understood.
        CohortError: No training images.
    """
    row = method(options.method)
    resolution = options.resolution or base.resolution
    size = base.latent_size(resolution)
    if options.drift.strip().lower() != "auto":
        Drift.parse(options.drift, channels=base.latent_channels, latent_size=size, mode=options.drift_mode)
    describe = options.token if row.trains_text else cohort.describe
    train, validation = (tuple(map(int, cohort.rows(split).index)) for split in ("train", "validation"))
    if not train:
        raise CohortError(f"cohort {cohort.folder} has no image in its train split; import it again with another --split")
    captions = tuple(
        prompts.sentence(
            describe,
            prompts.attributes_of(record, cohort.attributes),
            style=options.prompt_style,
            index=position,
            patient_info=options.patient_info,
        )
        for position, record in enumerate(cohort.rows().to_dict("records"))
    )
    rate = options.learning_rate or row.learning_rate(base)
    settings = {
        **options.model_dump(mode="json", exclude=FREE),
        "learning_rate": rate,
        "resolution": resolution,
        "precision": str(base.dtype).removeprefix("torch."),
        "device": base.device.type,
        "base": base.hash,
        "cohort": cohort.fingerprint,
        "images": key(train, validation, list(cohort.rows()["sha256"])),
        "prompts": key(*captions),
    }
    return Job(options, row, rate, resolution, describe, train, validation, captions, settings)


def resolve_drift(job: Job, base: Base, moments: Moments) -> tuple[Drift, dict[str, Any]]:
    """The drift of this fit, and what adapter.json says of it.

    `auto` is the closed form per channel; trained into the network as well, the two shifts of the start add up: the trained
    one and the signal that a plain start lacks.
    """
    text, mode = job.options.drift.strip().lower(), job.options.drift_mode
    if text != "auto":
        size = base.latent_size(job.resolution)
        drift = Drift.parse(text, channels=base.latent_channels, latent_size=size, mode=mode)
        return drift, {**drift.to_dict(), "source": "given"}
    t0 = int(base.schedule.timesteps(SAMPLING_STEPS)[0])
    means = torch.from_numpy(np.stack([moments.mean[position].mean((1, 2)) for position in job.train]))
    delta, interval = estimate(means, float(base.schedule.a(t0)))
    drift = Drift(delta, tuple(2 * value for value in delta)) if mode == "both" else Drift.of(delta, mode or "infer")
    return drift, {**drift.to_dict(), "source": "auto", "t0": t0, "estimate": list(delta), "interval": list(map(list, interval))}
