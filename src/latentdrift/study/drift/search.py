"""`drift search`: pictures for every delta of a grid against real ones; the least L1 distance
decides (Yeganeh et al. 2025).

Two searches. `infer` leaves the model as it is and varies the start. `train` gives every delta a
short fit of its own, at equal budgets, with delta in training and sampling alike, and then varies
the start around the best one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from latentdrift.adapt.training.train import fit
from latentdrift.config import DriftSearchOptions, FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.model.model import Model
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling
from latentdrift.sample.generate import SamplingOptions
from latentdrift.storage import Results, key
from latentdrift.study.drift.delta_selection import Reading, choose, flags, lowest
from latentdrift.study.drift.image_statistics import DECIDES, ImageStatistics, Numbers, Target
from latentdrift.study.drift.search_cache import CurvePoints, Draw
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
    base: tuple[str, str]
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
        named = (model.base.name, model.base.hash)
        arithmetic = f"{model.base.dtype} on {model.base.device.type}"
        return cls(
            options,
            cohort,
            target,
            grid,
            SamplingOptions.of(options, resolution),
            named,
            arithmetic,
            model.identity,
            model.base.latent_channels,
            size,
        )

    @property
    def facts(self) -> dict[str, Any]:
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
    points: list[dict[str, Any]]
    chosen: float
    lowest: float
    flags: list[dict[str, str]]
    strip: list[tuple[float, np.ndarray]]
    """(delta, a synthetic picture)."""

    def to_dict(self) -> dict[str, Any]:
        """Content for search.json."""
        curve = [{"delta": point["delta"], **point["distances"]} for point in self.points]
        return {
            "stage": self.name,
            "chosen": self.chosen,
            "lowest": self.lowest,
            "flags": self.flags,
            "curve": curve,
        }


def search(
    load: LoadModel, cohort: Cohort, options: DriftSearchOptions, report: ProgressCallback
) -> tuple[dict[str, Any], list[Stage]]:
    """Search the drift of a model by the L1 distance of its images to real ones.

    Args:
        load: Loads the model; for stage `train` the base that every fit starts from.
        cohort: Cohort whose validation split is the target, or its train split without one.
        options: Options of `drift search`.
        report: Called with (deltas done, all) of the current curve.

    Returns:
        Content of search.json, and the curves.
    """
    model = load().about(cohort)
    question = Question.of(model, cohort, options)
    real = ImageStatistics.open(model.base).all(
        question.target.pictures(cohort, question.facts["resolution"])
    )
    del model  # every process opens its own
    stages, delta = SEARCHES[options.stage](question, load, partial(curve, question, real, report))
    results = {
        "delta": [delta] * question.channels,
        "sd": [delta * question.latent_size] * question.channels,
        "mode": "infer" if options.stage == "infer" else "both",
        "start": stages[-1].chosen,
        "decided_by": DECIDES,
        **stages[0].to_dict(),
        "floor": {
            name: judged["floor"] for name, judged in stages[0].points[0]["distances"].items()
        },
        "fine": stages[1].to_dict() if len(stages) > 1 else None,
        "target": question.target.to_dict(),
        "settings": options.model_dump(mode="json", exclude={"out", "workers"})
        | {"latent_size": question.latent_size, **question.facts, "batch_size": options.batch_size},
        "base": dict(zip(("name", "hash"), question.base, strict=True)),
        "cohort": cohort.fingerprint,
    }
    return results, stages


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
        "base": question.base[1],
        "cohort": question.cohort.fingerprint,
        "target": target.to_dict(),
        "n": options.n,
    }
    settings = key(model, question.arithmetic, options.bootstrap, facts)
    results = Results(options.out / "points" / name, settings)
    resampling = Resampling(options.bootstrap, options.seed)
    points = CurvePoints(results, open, real, target.patients, resampling)
    measured = points.all(grid, options.workers, report)
    readings = [reading(point) for point in measured]
    strip = [(delta, points.picture(delta)) for delta in sorted(grid)]
    chosen = choose(readings, anchor).delta
    best = lowest(readings).delta
    return Stage(name, measured, chosen, best, [flag.to_dict() for flag in flags(readings)], strip)


def reading(point: Mapping[str, Any]) -> Reading:
    """Deciding distance of a stored point, with its interval."""
    judged = point["distances"][DECIDES]
    low, high = judged["ci"] or (judged["value"], judged["value"])
    return Reading(point["delta"], judged["value"], low, high)


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
