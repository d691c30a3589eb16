"""`drift search`: pictures for every delta of a grid against real ones; the least L1 distance
decides (Yeganeh et al. 2025).

Two searches. `infer` leaves the model as it is and varies the start. `train` gives every delta a
short fit of its own, at equal budgets, with delta in training and sampling alike, and then varies
the start around the best one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from latentdrift.adapt.training.train import fit
from latentdrift.config import DriftSearchOptions, FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.engines.schedule import Workers
from latentdrift.errors import OptionError
from latentdrift.model.adapter_info import BaseInfo
from latentdrift.model.base import Base, takes_gpu
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.sample.generate import SamplingOptions
from latentdrift.storage import Results, key
from latentdrift.study.drift.delta_selection import Flag, Reading, choose, flags, lowest
from latentdrift.study.drift.image_statistics import DECIDES, ImageStatistics, Numbers, Target
from latentdrift.study.drift.search_cache import CurvePoints, Draw, SearchPoint
from latentdrift.study.model_images import (
    LoadModel,
    check_method,
    check_text_alone,
    draw_images,
    prompts_of_split,
    with_start,
)

FINE = (
    -1.0,
    -0.5,
    0.0,
    0.5,
    1.0,
)  # of the grid's smallest step: the starts tried around the best trained delta


@dataclass(frozen=True)
class Question:
    """Everything about a search that is decided before anything is drawn."""

    options: DriftSearchOptions
    cohort: Cohort
    target: Target
    grid: tuple[float, ...]
    sampling: SamplingOptions
    """Sampling options, the same for every delta, as are the prompts."""
    resolution: int
    """Pixels on a side."""
    base: BaseInfo
    """Name and hash."""
    arithmetic: str
    """Number format and kind of device, which shape a picture, too."""
    identity: Mapping[str, Any]
    """`Model.identity` of the model that is searched for."""
    channels: int
    latent_size: int

    @classmethod
    def of(cls, model: Model, cohort: Cohort, options: DriftSearchOptions) -> Question:
        """Resolve and check the options of a search.

        Args:
            model: The model.
            cohort: The cohort.
            options: Options of `drift search`.

        Raises:
            OptionError: A grid that cannot be parsed, stage `train` with an adapter, or a network
                that reads more than text.
        """
        if options.stage == "train" and not model.is_base:
            raise OptionError(
                "`stage=train` fits an adapter per delta, and so starts from a base; give `base` "
                "instead of `adapter`"
            )
        if options.stage == "train":
            check_method(options.method)
        check_text_alone(model)
        resolution = options.resolution or model.info.side
        size = model.base.latent_size(resolution)
        grid = parse_grid(options.grid, size)
        target = Target.of(cohort, options.seed)
        named = BaseInfo(name=model.base.name, hash=model.base.hash)
        arithmetic = f"{model.base.dtype} on {model.base.device.type}"
        return cls(
            options,
            cohort,
            target,
            grid,
            SamplingOptions.of(options, resolution),
            resolution,
            named,
            arithmetic,
            model.identity,
            model.base.latent_channels,
            size,
        )

    @property
    def facts(self) -> dict[str, int | float | str | None]:
        """Options of sampling that determine an image, by name."""
        names = ("seed", "steps", "guidance", "sampler", "resolution")
        return {name: getattr(self.sampling, name) for name in names}

    def fitting(self, delta: float) -> FitOptions:
        """Options of `fit` for one delta; all others are equal for every delta."""
        options = self.options
        shared = ("cohort", "method", "learning_rate", "rank", "precision", "device", "seed")
        same = {name: getattr(options, name) for name in shared}
        return FitOptions(
            **same,
            base=options.adapter,
            steps=options.fit_steps,
            resolution=self.sampling.resolution,
            preview_every=0,
            drift=f"{delta:.6f}",
            drift_mode="both",
            out=options.out / "fits" / f"{delta:+.6f}",
        )

    def prompts(self, model: Model) -> dict[int, str]:
        """Prompts of the images to sample, by index; they follow the target's rows."""
        return prompts_of_split(model, self.cohort, self.target.split, self.options.n)


@dataclass(frozen=True)
class Stage:
    """One curve and what was chosen from it."""

    name: str
    """infer, train, or fine: the start around the best trained delta."""
    points: list[SearchPoint]
    chosen: float
    lowest: float
    flags: list[Flag]
    strip: list[tuple[float, np.ndarray]]
    """(delta, a synthetic picture)."""

    def to_dict(self) -> dict[str, Any]:
        """Content for search.json."""
        points = [point.to_dict() for point in self.points]
        return {
            "stage": self.name,
            "chosen": self.chosen,
            "lowest": self.lowest,
            "flags": [flag.to_dict() for flag in self.flags],
            "curve": [{"delta": point["delta"], **point["distances"]} for point in points],
        }


@dataclass(frozen=True)
class SearchResult:
    """Chosen drift of a search, with its curves."""

    question: Question
    stages: list[Stage]
    """The curve over the grid; after stage `train` also the curve `fine`."""
    chosen: float
    """Chosen delta, the same in every latent channel."""

    @property
    def delta(self) -> list[float]:
        """Chosen delta of each latent channel, in standard deviations of unit noise."""
        return [self.chosen] * self.question.channels

    @property
    def sd(self) -> list[float]:
        """Chosen delta in standard deviations of a noise channel's mean."""
        return [self.chosen * self.question.latent_size] * self.question.channels

    @property
    def mode(self) -> str:
        """Mode of the chosen drift."""
        return "infer" if self.question.options.stage == "infer" else "both"

    @property
    def start(self) -> float:
        """Delta of the start that the last curve chose."""
        return self.stages[-1].chosen

    def to_dict(self) -> dict[str, Any]:
        """Content of search.json."""
        question = self.question
        first = self.stages[0]
        settings = question.options.model_dump(mode="json", exclude={"out", "workers", "ray"}) | {
            "latent_size": question.latent_size,
            **question.facts,
            "batch_size": question.options.batch_size,
        }
        return {
            "delta": self.delta,
            "sd": self.sd,
            "mode": self.mode,
            "start": self.start,
            "decided_by": DECIDES,
            **first.to_dict(),
            "floor": {name: metric.floor for name, metric in first.points[0].distances.items()},
            "fine": self.stages[1].to_dict() if len(self.stages) > 1 else None,
            "target": asdict(question.target.summary),
            "settings": settings,
            "base": question.base.to_dict(),
            "cohort": question.cohort.fingerprint,
        }


def search(
    load: LoadModel, cohort: Cohort, options: DriftSearchOptions, report: ProgressCallback
) -> SearchResult:
    """Search the drift of a model by the L1 distance of its images to real ones.

    Args:
        load: Loads the model; for stage `train` the base that every fit starts from.
        cohort: Cohort whose validation split is the target, or its train split without one.
        options: Options of `drift search`.
        report: Called with (deltas done, all) of the current curve.

    Returns:
        Chosen drift, and the curves.
    """
    model = load().about(cohort)
    question = Question.of(model, cohort, options)
    real = ImageStatistics.open(model.base).all(
        question.target.pictures(cohort, question.resolution)
    )
    del model  # every process opens its own
    stages, delta = SEARCHES[options.stage](question, load, partial(curve, question, real, report))
    return SearchResult(question, stages, delta)


def search_infer(
    question: Question, load: LoadModel, trace: Callable[..., Stage]
) -> tuple[list[Stage], float]:
    """Search the start of a fixed model.

    Args:
        question: The resolved search.
        load: Loads the model, once for each process.
        trace: `curve` with its first arguments bound.

    Returns:
        The curve in a list, and the chosen delta.
    """
    stage = trace(
        "infer", question.grid, partial(draw_from_starts, load, question), question.identity
    )
    return [stage], stage.chosen


def search_train(
    question: Question, load: LoadModel, trace: Callable[..., Stage]
) -> tuple[list[Stage], float]:
    """Search a delta by a fit at each delta, then the start near the best fit's delta.

    Args:
        question: The resolved search.
        load: Not used; every fit loads its own base.
        trace: `curve` with its first arguments bound.

    Returns:
        Both curves, and the delta of the best fit.
    """
    budget = question.fitting(0.0).model_dump(mode="json", exclude={"out", "cohort", "base"})
    trained = trace("train", question.grid, partial(draw_from_fits, question), budget)
    best = trained.chosen
    step = min(b - a for a, b in pairwise(question.grid))
    starts = [round(best + part * step, 6) + 0.0 for part in FINE]
    again = partial(draw_from_starts, partial(load_fit, question.fitting(best)), question)
    return [trained, trace("fine", starts, again, budget | {"trained": best}, anchor=best)], best


SEARCHES: dict[
    str, Callable[[Question, LoadModel, Callable[..., Stage]], tuple[list[Stage], float]]
] = {
    "infer": search_infer,
    "train": search_train,
}


def curve(
    question: Question,
    real: Numbers,
    report: ProgressCallback,
    name: str,
    grid: Sequence[float],
    open: Callable[[], Draw],
    model: Mapping[str, Any],
    anchor: float = 0.0,
) -> Stage:
    """Sample and compare images at every delta of a grid, and choose a delta.

    Args:
        question: The resolved search.
        real: Values of real images, from `ImageStatistics`.
        report: Called with (points done, all).
        name: Name of the curve and of its folder.
        grid: Values of delta.
        open: Opens the function that samples at a delta, once for each process.
        model: JSON values that identify the model, for the key of stored points.
        anchor: Delta to stay near to, see `choose`.
    """
    options = question.options
    target = question.target
    facts = {
        **question.facts,
        "base": question.base.hash,
        "cohort": question.cohort.fingerprint,
        "target": asdict(target.summary),
        "n": options.n,
    }
    settings = key(model, question.arithmetic, options.bootstrap, facts)
    results = Results(options.out / "points" / name, settings)
    resampling = Resampling(options.bootstrap, options.seed)
    points = CurvePoints(results, open, real, target.patients, resampling)
    workers = Workers(options.workers, options.ray, uses_gpu=takes_gpu(options.device))
    measured = points.all(grid, workers, report)
    readings = [reading(point) for point in measured]
    strip = [(delta, points.picture(delta)) for delta in sorted(grid)]
    chosen = choose(readings, anchor).delta
    best = lowest(readings).delta
    return Stage(name, measured, chosen, best, flags(readings), strip)


def reading(point: SearchPoint) -> Reading:
    """Deciding distance of a point, with its interval."""
    metric = point.distances[DECIDES]
    low, high = metric.ci or (metric.value, metric.value)
    return Reading(point.delta, metric.value, low, high)


def parse_grid(text: str, latent_size: int) -> tuple[float, ...]:
    """Parse the option `grid`, `-0.2,0.1,3.2sd`.

    Args:
        text: Values; `sd` is the standard deviation of the mean of a start's unit noise.
        latent_size: Latents on a side, for `sd`.

    Returns:
        Rising values in standard deviations of unit noise, each once, with 0.

    Raises:
        OptionError: A value cannot be parsed, or there is none beside 0.
    """
    values = {0.0}
    for part in text.split(","):
        delta = Drift.parse(part, channels=1, latent_size=latent_size).train
        values.add(round(delta[0], 6) + 0.0 if delta else 0.0)
    if len(values) < 2:
        raise OptionError(
            f"`grid={text}` holds nothing beside 0; give values such as -0.1,0.1 or -3.2sd,3.2sd"
        )
    return tuple(sorted(values))


def draw_from_starts(load: LoadModel, question: Question) -> Draw:
    """Load a model, and return a function that samples it from a start of mean delta.

    Args:
        load: Loads the model.
        question: The resolved search.
    """
    model = load().about(question.cohort)
    measure = ImageStatistics.open(model.base)
    prompts = question.prompts(model)
    return lambda delta: _draw_and_measure(
        model,
        with_start(model.drift, delta, question.channels),
        prompts,
        question.sampling,
        measure,
    )


def draw_from_fits(question: Question) -> Draw:
    """Function that fits with a delta in training and sampling, and samples the result.

    Args:
        question: The resolved search.
    """

    def draw(delta: float) -> tuple[np.ndarray, Numbers]:
        options = question.fitting(delta)
        base = Base.load(options.base, device=options.device, precision=options.precision)
        fit(base, question.cohort, options, options.out, quiet=True)
        model = load_fit(options)
        return _draw_and_measure(
            model,
            model.drift,
            question.prompts(model),
            question.sampling,
            ImageStatistics.open(model.base),
        )

    return draw


def load_fit(options: FitOptions) -> Model:
    """Load the adapter that a fit with these options has written."""
    return Model.load(
        options.out, base=options.base, device=options.device, precision=options.precision
    )


def _draw_and_measure(
    model: Model,
    drift: Drift,
    prompts: Mapping[int, str],
    sampling: SamplingOptions,
    measure: ImageStatistics,
) -> tuple[np.ndarray, Numbers]:
    """The first picture, to show, and the numbers of all."""
    images: list[np.ndarray] = []

    def pictures() -> Iterator[np.ndarray]:
        for picture in draw_images(model, drift, prompts, sampling):
            images[:] = images or [picture]
            yield picture

    numbers = measure.all(pictures())
    return np.rint(images[0].clip(0, 1) * 255).astype(np.uint8), numbers
