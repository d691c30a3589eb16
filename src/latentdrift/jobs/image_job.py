"""ImageJob: all that draws the images of `generate`, in this process or in workers.

START READING AT `draw_missing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from latentdrift.adapt.training.batches.hint_batches import Pictures, pictures
from latentdrift.config import GenerateOptions
from latentdrift.engines.schedule import run_items
from latentdrift.engines.work import Work
from latentdrift.jobs import agreement
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.sample.generate import Prompts, SamplingOptions, batches, generate
from latentdrift.sample.medical_objects import bits
from latentdrift.sample.start_override import restart
from latentdrift.sample.synthetic_cohort import ImageStore, Request


@dataclass(frozen=True, eq=False)
class ImageJob:
    """A model and the settings of its images."""

    options: GenerateOptions
    model: Model
    """With the drift of sampling."""
    sampling: SamplingOptions
    depth: int
    """Bits per pixel."""
    rows: tuple[int | None, ...]
    """Of each image, the position of the cohort's row that it follows."""
    hints: Pictures | None
    """Hints of the images; None without ControlNets."""

    @classmethod
    def of(cls, options: GenerateOptions, model: Model, rows: Sequence[int | None]) -> ImageJob:
        """Prepare the images of `generate`.

        Args:
            options: Options of `generate`, with `slots`.
            model: The model that they name.
            rows: Of each image, the position of the cohort's row that it follows.

        Raises:
            OptionError, InputError, CohortError: An option, a drift or a hint does not fit.
        """
        model = replace(model, drift=restart(model, options))
        resolution = options.resolution or model.info.side
        sampling = SamplingOptions.of(options, resolution)
        is_paired = options.same_noise or bool(options.interpolate)
        return cls(
            options,
            model,
            replace(sampling, same_noise=is_paired),
            bits(options.depth, model.info),
            tuple(rows),
            pictures(options, model, rows, resolution),
        )

    def settings(self, prompts: Sequence[str]) -> dict[str, Any]:
        """All settings that decide the pixels of images; their hash names the run.

        Args:
            prompts: Prompts of the images.
        """
        return {
            **self.sampling.shaping(),
            "depth": self.depth,
            "base": self.model.base.hash,
            "drift": self.model.drift,
            "prompts": list(prompts),
            "info": self.model.identity,
            "hints": self.hints and self.hints.key,
        }

    @property
    def facts(self) -> dict[str, str]:
        """Facts in which workers agree."""
        return agreement.facts(ImageStore.key(self.settings([])))


def draw_missing(
    job: ImageJob, requests: Sequence[Request], store: ImageStore, report: ProgressCallback
) -> None:
    """Draw the images that an interrupted run has not stored yet.

    An item is a batch: whole groups of slots, so that an image is the same whoever draws it.

    Args:
        job: The images.
        requests: All images of the run.
        store: Where they are stored.
        report: Called with (images drawn, all that were missing).
    """
    missing = store.missing(requests)
    workers = agreement.workers_of(job.options, job.model.base)
    if workers.is_this_process:
        work = Work.on((job, store), _draw)
    else:
        options = agreement.pinned(job.options, job.model.base)
        rows = job.rows if job.hints else ()
        work = Work(partial(_reopened, options, rows, job.facts, store), _draw)
    done = 0
    for drawn in run_items(work, _items(missing, job), workers):
        done += drawn
        report(done, len(missing))


def _items(missing: Prompts, job: ImageJob) -> Iterator[Prompts]:
    """Prompts of each batch that has a missing image."""
    slots = job.options.slots
    assert slots is not None
    for batch in batches(missing, slots, job.options.batch_size):
        yield {index: missing[index] for index in batch if index in missing}


def _reopened(
    options: GenerateOptions,
    rows: tuple[int | None, ...],
    facts: Mapping[str, str],
    store: ImageStore,
) -> tuple[ImageJob, ImageStore]:
    """State of a worker: the job, with a model that the worker loads.

    Raises:
        ResourceError: It is not the model of the main process.
    """
    model = Model.load(
        options.adapter,
        also=options.also,
        base=options.base,
        device=options.device,
        precision=options.precision,
    )
    job = ImageJob.of(options, model, rows)
    agreement.check(facts, job.facts)
    return job, store


def _draw(opened: tuple[ImageJob, ImageStore], prompts: Prompts) -> int:
    """Draw and store a batch; returns its number of images."""
    job, store = opened
    model = job.model
    images = generate(model.base, model.drift, prompts, job.sampling, model.statistics, job.hints)
    for index, image in images:
        store.keep(index, image, colour=bool(model.info.colour), depth=job.depth)
    return len(prompts)
