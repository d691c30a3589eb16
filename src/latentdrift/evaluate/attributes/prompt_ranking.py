"""Ranks of prompts: an image's own prompt among the prompts of both sets, by a row of SCORERS.

A picture's own prompt is ranked among the prompts of both sets. Beside each number stand its
ceiling, the same of held-out real pictures and the sentences of their rows; its floor, the
synthetic pictures with their prompts shuffled; and what prompts score when the pictures are
withheld: each scores as the mean of all, so what is left is prompts that go with anything (a
    control for scores that come from the text alone: Buckley et al. 2023).

Of each attribute: how often a picture goes better with its own prompt than with the same one that
contradicts it there, or that withholds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.stats import hypergeom, rankdata

from latentdrift import prompts
from latentdrift.attributes.specification import Spec
from latentdrift.evaluate.attributes.image_text_scores import Prompts, Scorer
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import groups, mean_interval, part_of, rng
from latentdrift.evaluate.statistics.results import Interval, ResultModel
from latentdrift.resampling import Resampling

MAX_IMAGES = 1000  # pictures of each set; of more, a random part
# prompts, the own one and others at random, that a picture chooses from; fewer where there are not
# so many
AMONG = 10
MIN_IMAGES = 5  # pictures of each set, and different prompts, below which nothing is said (ours)
APART = 1.0  # standard deviations between a number and one that contradicts it (ours)
POINTS = 21  # of the curve
WORST = 6  # pictures that are farthest from their prompts

Look = Callable[[np.ndarray], np.ndarray]
"""Function from the prompt assigned to each image, int [N], to a number for each image [N]."""


@dataclass(frozen=True)
class Side:
    """The pictures of one set against all prompts.

    Attributes:
        patients: Patient of each picture; None: unknown.
        own: int [N], the place of each picture's prompt.
        scores: float [N, P], how well each prompt goes with each picture.
        ranked: The first M of the prompts are those of the pictures, which are ranked.
    """

    patients: list[str] | None
    own: np.ndarray
    scores: np.ndarray
    ranked: int

    def take(self, places: np.ndarray) -> Side:
        """Select images by their positions."""
        patients = None if self.patients is None else [self.patients[place] for place in places]
        return Side(patients, self.own[places], self.scores[places], self.ranked)

    @cached_property
    def ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """For each image and prompt, int [N, M], how many prompts score higher, and how many others
        as high."""
        best, last = (
            rankdata(-self.scores[:, : self.ranked], method, axis=1).astype(int)
            for method in ("min", "max")
        )
        return best - 1, last - best

    def ranking(self, statistic: RankStatistic, among: int) -> Look:
        """Function of positions [n] -> the statistic of each image's own prompt, [n].

        Args:
            statistic: Row of METRICS.
            among: Number of prompts of which an image chooses one.
        """

        def look(order: np.ndarray) -> np.ndarray:
            better, ties = (counts[np.arange(len(order)), self.own[order]] for counts in self.ranks)
            return statistic.of(better, ties, self.ranked - 1, among)

        return look

    def preferring(self, other: np.ndarray) -> Look:
        """Function of positions [n] -> whether each image scores higher with its own prompt, [n].

        It gives 1 for higher, 0.5 for equal and 0 for lower.

        Args:
            other: Position of the opposing prompt for each image, int [N].
        """

        def look(order: np.ndarray) -> np.ndarray:
            here = np.arange(len(order))
            result: np.ndarray = (
                1 + np.sign(self.scores[here, self.own[order]] - self.scores[here, other[order]])
            ) / 2
            return result

        return look


def _rank(better: np.ndarray, ties: np.ndarray, others: int, among: int) -> np.ndarray:
    return (better + ties / 2) / others


def _within(best: int, better: np.ndarray, ties: np.ndarray, others: int, among: int) -> np.ndarray:
    """Probability that the own prompt is one of the `best` of `among`, of which the rest is sampled
    from the others.

    Of `others` prompts so many go better, and so many as well, of which each is as likely to come
    before as after.
    """
    sure = hypergeom.cdf(best - 1, others, np.arange(others + 1), among - 1)
    sums = np.concatenate([[0.0], np.cumsum(sure)])
    result: np.ndarray = (sums[better + ties + 1] - sums[better]) / (ties + 1)
    return result


@dataclass(frozen=True)
class RankStatistic:
    """A number that is given of ranks: (better [N], ties [N], others, among) -> [N]."""

    title: str
    of: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]


METRICS: dict[str, RankStatistic] = {
    "first": RankStatistic("own prompt is the best", partial(_within, 1)),
    "third": RankStatistic("own prompt is among the best three", partial(_within, 3)),
    "rank": RankStatistic("share of the other prompts that fit better (0 is best)", _rank),
}


def _known(cells: list[Any]) -> np.ndarray:
    return np.array(
        [place for place, cell in enumerate(cells) if not prompts.is_missing(cell)], int
    )


def _withhold(
    cells: list[Any], number: bool, source: np.random.Generator
) -> tuple[np.ndarray, list[Any]]:
    places = _known(cells)
    return places, [None] * len(places)


def _contradict(
    cells: list[Any], number: bool, source: np.random.Generator
) -> tuple[np.ndarray, list[Any]]:
    """A value of another picture, drawn from those that differ; a number by APART standard
    deviations at least."""
    places = _known(cells)
    known = [
        float(cells[place]) if number else frozenset(prompts.split_findings(cells[place]))
        for place in places
    ]
    if number:
        value = np.array(known)
        differ = (
            np.abs(value[:, None] - value) >= max(APART * value.std(), 1e-9)
            if len(value)
            else np.zeros((0, 0), bool)
        )
    else:
        differ = np.array([[one != other for other in known] for one in known], bool).reshape(
            len(known), len(known)
        )
    able = differ.any(1)
    sampled = [source.choice(np.flatnonzero(row)) for row in differ[able]]
    return places[able], [cells[places[place]] for place in sampled]


@dataclass(frozen=True)
class Opposition:
    """A way to change a prompt in one attribute: (cells of all, whether numbers, generator) ->
    (places of rows, new cells)."""

    title: str
    of: Callable[[list[Any], bool, np.random.Generator], tuple[np.ndarray, list[Any]]]


OPPOSED: dict[str, Opposition] = {
    "contradicted": Opposition("that says something else of it", _contradict),
    "withheld": Opposition("that says nothing of it", _withhold),
}


@dataclass(frozen=True, eq=False)
class Candidates:
    """Images whose prompts are ranked, and the prompts.

    Attributes:
        sets: Real and synthetic images.
        tables: Their attributes.
        prompts: Prompts of the images, and then those with one attribute changed.
        own: Place of each image's prompt, int [N] for each set.
        ranked: Number of prompts that are ranked: those of the images.
    """

    sets: list[EvaluationImages]
    tables: list[pd.DataFrame]
    prompts: Prompts
    own: list[np.ndarray]
    ranked: int

    @property
    def among(self) -> int:
        """Number of prompts of which an image chooses one: AMONG, or all if there are fewer."""
        return min(AMONG, self.ranked)


class RankMetric(ResultModel):
    """Rank of the own prompt."""

    ceiling: float
    """Value of held-out real images with their own prompts."""
    ceiling_ci: Interval | None
    value: float
    ci: Interval | None
    floor: float
    """Mean with shuffled prompts."""
    floor_range: Interval
    blind: float | None = None
    """Value with every image replaced by the mean of all."""
    n: dict[str, int] | None = None


class RankCurve(ResultModel):
    """Share of the images whose own prompt is among the best `x` of all prompts."""

    x: list[float]
    real: list[float]
    synthetic: list[float]


class WorstImage(ResultModel):
    """An image that fits its prompt badly."""

    name: str
    prompt: str = Field(alias="asked")
    """Its own prompt."""
    best: str
    """The prompt that fits best."""
    rank: float
    """Share of the other prompts that fit better."""


class Retrieval(ResultModel):
    """Ranks of the own prompts."""

    scorer: str
    among: int
    """Number of prompts of which one is chosen."""
    prompts: int
    """Number of prompts that are ranked."""
    n: dict[str, int]
    metrics: dict[str, RankMetric]
    attributes: dict[str, dict[str, RankMetric]]
    """By attribute: share of images that fit their prompt better than a changed one."""
    curve: RankCurve
    worst: list[WorstImage]


def retrieve(
    scorer: Scorer,
    real: EvaluationImages,
    synthetic: EvaluationImages,
    describe: str,
    spec: Spec,
    resampling: Resampling = Resampling(),
    *,
    scorer_name: str,
) -> Retrieval | None:
    """Rank prompts against images.

    Args:
        scorer: Scores of images and prompts, from `image_text_scores`.
        real, synthetic: Images with their tables.
        describe: Words for the kind of image.
        spec: Attributes that a prompt may name.
        resampling: Resamples behind each interval, and the seed of subsets and changed prompts.
        scorer_name: Name of the scorer in the report.

    Returns:
        The ranks; None where images or prompts are too few.
    """
    candidates = _candidates(real, synthetic, describe, spec, resampling.seed)
    if candidates is None:
        return None
    changes = _changed_prompts(candidates, spec, resampling.seed)
    scores = scorer(candidates.sets[0], candidates.sets[1], candidates.prompts)
    sides = [
        Side(images.patients, place, score, candidates.ranked)
        for images, place, score in zip(candidates.sets, candidates.own, scores, strict=True)
    ]
    among = candidates.among
    ranks = [side.ranking(METRICS["rank"], among)(np.arange(len(side.own))) for side in sides]
    return Retrieval(
        scorer=scorer_name,
        among=among,
        prompts=candidates.ranked,
        n={"synthetic": len(candidates.own[1]), "real": len(candidates.own[0])},
        metrics=_metrics(sides, among, resampling),
        attributes=_attribute_metrics(sides, changes, resampling),
        curve=_curve(*ranks),
        worst=_worst(candidates.sets[1], sides[1], ranks[1], candidates.prompts.texts),
    )


def _candidates(
    real: EvaluationImages,
    synthetic: EvaluationImages,
    describe: str,
    spec: Spec,
    seed: int,
) -> Candidates | None:
    """Images whose rows have attributes, and their prompts; None for fewer than MIN_IMAGES."""
    usable = [_telling(images, spec) for images in (real, synthetic)]
    if min(map(len, usable)) < MIN_IMAGES:
        return None
    sets = [
        images.take(part_of(places, MAX_IMAGES, rng(seed, "retrieval", i)))
        for i, (images, places) in enumerate(zip((real, synthetic), usable, strict=True))
    ]
    tables = [pd.DataFrame(images.attributes) for images in sets]
    prompts_of_images = Prompts(describe, spec)
    own = [prompts_of_images.add(rows) for rows in tables]
    ranked = len(prompts_of_images)
    if ranked < MIN_IMAGES:
        return None
    return Candidates(sets, tables, prompts_of_images, own, ranked)


Changes = dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]]
"""(attribute, row of OPPOSED) -> for each set the images and their changed prompts, by place."""


def _changed_prompts(candidates: Candidates, spec: Spec, seed: int) -> Changes:
    """Prompts with one attribute contradicted or withheld."""
    changes: Changes = {}
    for name in spec:
        for way in OPPOSED:
            changes[name, way] = [
                _opposed(candidates.prompts, rows, name, way, rng(seed, "retrieval", way, name, i))
                for i, rows in enumerate(candidates.tables)
            ]
    return changes


def _metrics(sides: Sequence[Side], among: int, resampling: Resampling) -> dict[str, RankMetric]:
    """Every row of METRICS, and its value where images are withheld."""
    scores = sides[1].scores
    blind = replace(sides[1], scores=np.broadcast_to(scores.mean(0), scores.shape))
    metrics = {}
    for name, statistic in METRICS.items():
        looks = [side.ranking(statistic, among) for side in sides]
        metric = _measure(looks, sides, name, resampling)
        values = blind.ranking(statistic, among)(np.arange(len(blind.own)))
        metrics[name] = metric.model_copy(update={"blind": float(values.mean())})
    return metrics


def _attribute_metrics(
    sides: Sequence[Side], changes: Changes, resampling: Resampling
) -> dict[str, dict[str, RankMetric]]:
    """Share of images that fit their prompt better than the changed one, by attribute.

    An attribute that has one value in nearly all images is left out.
    """
    metrics: dict[str, dict[str, RankMetric]] = {}
    for (name, way), parts in changes.items():
        if min(len(places) for places, _ in changes[name, "contradicted"]) < MIN_IMAGES:
            continue
        some = [side.take(places) for side, (places, _) in zip(sides, parts, strict=True)]
        looks = [side.preferring(other) for side, (_, other) in zip(some, parts, strict=True)]
        metric = _measure(looks, some, f"{name} {way}", resampling)
        n = {"synthetic": len(some[1].own), "real": len(some[0].own)}
        metrics.setdefault(name, {})[way] = metric.model_copy(update={"n": n})
    return metrics


def _opposed(
    all_prompts: Prompts, rows: pd.DataFrame, name: str, way: str, source: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(places of the pictures whose prompt can be so changed, places of the changed prompts)."""
    number = all_prompts.spec[name].is_number
    places, cells = OPPOSED[way].of(list(rows[name]) if name in rows else [], number, source)
    return places, all_prompts.add(rows.iloc[places].assign(**{name: cells}))


def _telling(images: EvaluationImages, spec: Spec) -> np.ndarray:
    """Places of the pictures whose rows say something."""
    rows = [] if images.attributes is None else images.attributes.to_dict("records")
    return np.array(
        [place for place, row in enumerate(rows) if prompts.attributes_of(row, spec)], int
    )


def _measure(
    looks: Sequence[Look], sides: Sequence[Side], name: str, resampling: Resampling
) -> RankMetric:
    """The mean of the synthetic side, with its interval, its floor (prompts shuffled) and its
    ceiling (the real side)."""
    source = resampling.rng("retrieval", name)
    (ceiling, ceiling_ci), (value, ci) = (
        _mean(look, side, resampling.n, source) for look, side in zip(looks, sides, strict=True)
    )
    shuffled = [
        float(looks[1](source.permutation(len(sides[1].own))).mean()) for _ in range(resampling.n)
    ]
    return RankMetric(
        ceiling=ceiling,
        ceiling_ci=ceiling_ci,
        value=value,
        ci=ci,
        floor=float(np.mean(shuffled)),
        floor_range=np.quantile(shuffled, [0.025, 0.975]).tolist(),
    )


def _mean(
    look: Look, side: Side, count: int, source: np.random.Generator
) -> tuple[float, Interval | None]:
    """Mean of a side with its own prompts, and its 95 % interval from `count` resamples."""
    n = len(side.own)
    each = look(np.arange(n))
    return float(each.mean()), mean_interval(each, groups(n, side.patients), count, source)


def _curve(real: np.ndarray, synthetic: np.ndarray) -> RankCurve:
    """Share of the pictures whose own prompt is among the best `x` of all."""
    x = np.linspace(0, 1, POINTS)
    shares = [(ranks[:, None] <= x).mean(0).tolist() for ranks in (real, synthetic)]
    return RankCurve(x=x.tolist(), real=shares[0], synthetic=shares[1])


def _worst(
    images: EvaluationImages, side: Side, ranks: np.ndarray, texts: list[str]
) -> list[WorstImage]:
    """The images that are farthest from their prompts."""
    best = side.scores[:, : side.ranked].argmax(1)
    return [
        WorstImage(
            name=images.names[i],
            asked=texts[side.own[i]],
            best=texts[best[i]],
            rank=float(ranks[i]),
        )
        for i in np.argsort(-ranks, kind="stable")[:WORST]
    ]
