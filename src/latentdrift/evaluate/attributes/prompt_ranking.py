"""Does a picture find its own prompt? Prompts are ranked against pictures, by a row of
`scorers.py`.

A picture's own prompt is ranked among the prompts of both sets. Beside each number stand its
ceiling, the same of held-out real pictures and the sentences of their rows; its floor, the
synthetic pictures with their prompts shuffled; and what prompts score when the pictures are
withheld: each scores as the mean of all, so what is left is prompts that go with anything (a
    control for scores that come from the text alone: Buckley et al. 2023).

Of each attribute: how often a picture goes better with its own prompt than with the same one that
contradicts it there, or that withholds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import hypergeom, rankdata

from latentdrift import prompts
from latentdrift.evaluate.attributes.image_text_scores import Prompts, Scorer
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.statistics.bootstrap import groups, mean_interval, part_of, rng

MOST = 1000  # pictures of each set; of more, a random part
# prompts, the own one and others at random, that a picture chooses from; fewer where there are not
# so many
AMONG = 10
LEAST = 5  # pictures of each set, and different prompts, below which nothing is said (ours)
APART = 1.0  # standard deviations between a number and one that contradicts it (ours)
POINTS = 21  # of the curve
WORST = 6  # pictures that are farthest from their prompts

Look = Callable[[np.ndarray], np.ndarray]
"""Whose prompt each picture is dealt, int [N] -> a number for each picture [N]."""


@dataclass(frozen=True)
class Side:
    """The pictures of one set against all prompts.

    Attributes:
        patients: whose pictures; None where nobody knows.
        own: int [N], the place of each picture's prompt.
        scores: float [N, P], how well each prompt goes with each picture.
        ranked: the first M of the prompts are those of the pictures, which are ranked.
    """

    patients: list[str] | None
    own: np.ndarray
    scores: np.ndarray
    ranked: int

    def take(self, places: np.ndarray) -> Side:
        """Some of the pictures."""
        patients = None if self.patients is None else [self.patients[place] for place in places]
        return Side(patients, self.own[places], self.scores[places], self.ranked)

    @cached_property
    def ranks(self) -> tuple[np.ndarray, np.ndarray]:
        """int [N, M], how many prompts go better with each picture than each, and how many others
        go as well."""
        best, last = (
            rankdata(-self.scores[:, : self.ranked], method, axis=1).astype(int)
            for method in ("min", "max")
        )
        return best - 1, last - best

    def ranking(self, metric: Metric, among: int) -> Look:
        """A row of METRICS."""

        def look(order: np.ndarray) -> np.ndarray:
            better, ties = (counts[np.arange(len(order)), self.own[order]] for counts in self.ranks)
            return metric.of(better, ties, self.ranked - 1, among)

        return look

    def preferring(self, other: np.ndarray) -> Look:
        """1 where a picture goes better with its prompt than with that in another place [N], 0.5
        where as well."""

        def look(order: np.ndarray) -> np.ndarray:
            here = np.arange(len(order))
            return (
                1 + np.sign(self.scores[here, self.own[order]] - self.scores[here, other[order]])
            ) / 2

        return look


def _rank(better: np.ndarray, ties: np.ndarray, others: int, among: int) -> np.ndarray:
    return (better + ties / 2) / others


def _within(best: int, better: np.ndarray, ties: np.ndarray, others: int, among: int) -> np.ndarray:
    """How likely the own prompt is one of the `best` of `among`, the rest of which are drawn from
    the others.

    Of `others` prompts so many go better, and so many as well, of which each is as likely to come
    before as after.
    """
    sure = hypergeom.cdf(best - 1, others, np.arange(others + 1), among - 1)
    sums = np.concatenate([[0.0], np.cumsum(sure)])
    return (sums[better + ties + 1] - sums[better]) / (ties + 1)


@dataclass(frozen=True)
class Metric:
    """A number that is given of ranks: (better [N], ties [N], others, among) -> [N]."""

    title: str
    of: Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]


METRICS: dict[str, Metric] = {
    "first": Metric("own prompt is the best", partial(_within, 1)),
    "third": Metric("own prompt is among the best three", partial(_within, 3)),
    "rank": Metric("share of the other prompts that fit better (0 is best)", _rank),
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
    drawn = [source.choice(np.flatnonzero(row)) for row in differ[able]]
    return places[able], [cells[places[place]] for place in drawn]


@dataclass(frozen=True)
class Opposition:
    """How a prompt is changed in one attribute: (cells of all, whether numbers, generator) ->
    (places of rows, new cells)."""

    title: str
    of: Callable[[list[Any], bool, np.random.Generator], tuple[np.ndarray, list[Any]]]


OPPOSED: dict[str, Opposition] = {
    "contradicted": Opposition("that says something else of it", _contradict),
    "withheld": Opposition("that says nothing of it", _withhold),
}


def retrieve(
    scorer: Scorer,
    real: ImageSet,
    synthetic: ImageSet,
    describe: str,
    spec: Mapping[str, Any],
    *,
    bootstrap: int = 200,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Rank prompts against pictures; see `report.py` for the fields. None where pictures or prompts
    are too few.

    Args:
        scorer: From `scorers.py`.
        real, synthetic: With their tables.
        describe: What the pictures show.
        spec: The attributes that a prompt may say.
    """
    telling = [_telling(images, spec) for images in (real, synthetic)]
    if min(map(len, telling)) < LEAST:
        return None
    kept = [part_of(places, MOST, rng(seed, "retrieval", i)) for i, places in enumerate(telling)]
    sets = [images.take(places) for images, places in zip((real, synthetic), kept, strict=True)]
    tables = [pd.DataFrame(images.attributes) for images in sets]
    asked = Prompts(describe, spec)
    own = [asked.add(rows) for rows in tables]
    ranked = len(asked)
    among = min(AMONG, len(asked))
    if ranked < LEAST:
        return None
    opposed = {
        (name, way): [
            _opposed(asked, rows, name, way, rng(seed, "retrieval", way, name, i))
            for i, rows in enumerate(tables)
        ]
        for name in spec
        for way in OPPOSED
    }
    scores = scorer(sets[0], sets[1], asked)
    sides = [
        Side(images.patients, place, score, ranked)
        for images, place, score in zip(sets, own, scores, strict=True)
    ]
    blind = replace(
        sides[1], scores=np.broadcast_to(sides[1].scores.mean(0), sides[1].scores.shape)
    )
    how: Any = {"bootstrap": bootstrap, "seed": seed}
    metrics = {}
    for name, metric in METRICS.items():
        metrics[name] = _measure(
            [side.ranking(metric, among) for side in sides], sides, name, **how
        )
        metrics[name]["blind"] = float(
            blind.ranking(metric, among)(np.arange(len(blind.own))).mean()
        )
    attributes: dict[str, Any] = {}
    for (name, way), changes in opposed.items():
        if (
            min(len(places) for places, _ in opposed[name, "contradicted"]) >= LEAST
        ):  # else all say the same of it
            parts = [side.take(places) for side, (places, _) in zip(sides, changes, strict=True)]
            looks = [
                part.preferring(other) for part, (_, other) in zip(parts, changes, strict=True)
            ]
            n = {"synthetic": len(parts[1].own), "real": len(parts[0].own)}
            attributes.setdefault(name, {})[way] = {
                **_measure(looks, parts, f"{name} {way}", **how),
                "n": n,
            }
    ranks = [side.ranking(METRICS["rank"], among)(np.arange(len(side.own))) for side in sides]
    return {
        "among": among,
        "prompts": ranked,
        "n": {"synthetic": len(own[1]), "real": len(own[0])},
        "metrics": metrics,
        "attributes": attributes,
        "curve": _curve(*ranks),
        "worst": _worst(sets[1], sides[1], ranks[1], asked.texts),
    }


def _opposed(
    asked: Prompts, rows: pd.DataFrame, name: str, way: str, source: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(places of the pictures whose prompt can be so changed, places of the changed prompts)."""
    number = asked.spec[name]["type"] == "number"
    places, cells = OPPOSED[way].of(list(rows[name]) if name in rows else [], number, source)
    return places, asked.add(rows.iloc[places].assign(**{name: cells}))


def _telling(images: ImageSet, spec: Mapping[str, Any]) -> np.ndarray:
    """Places of the pictures whose rows say something."""
    rows = [] if images.attributes is None else images.attributes.to_dict("records")
    return np.array(
        [place for place, row in enumerate(rows) if prompts.attributes_of(row, spec)], int
    )


def _measure(
    looks: Sequence[Look], sides: Sequence[Side], name: str, *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """The mean of the synthetic side, with its interval, its floor (prompts shuffled) and its
    ceiling (the real side)."""
    source = rng(seed, "retrieval", name)
    found: dict[str, Any] = {}
    for look, side, value, ci in zip(
        looks, sides, ("ceiling", "value"), ("ceiling_ci", "ci"), strict=True
    ):
        n = len(side.own)
        each = look(np.arange(n))
        found |= {
            value: float(each.mean()),
            ci: mean_interval(each, groups(n, side.patients), bootstrap, source),
        }
    shuffled = [
        float(looks[1](source.permutation(len(sides[1].own))).mean()) for _ in range(bootstrap)
    ]
    return found | {
        "floor": float(np.mean(shuffled)),
        "floor_range": np.quantile(shuffled, [0.025, 0.975]).tolist(),
    }


def _curve(real: np.ndarray, synthetic: np.ndarray) -> dict[str, list[float]]:
    """Share of the pictures whose own prompt is among the best `x` of all."""
    x = np.linspace(0, 1, POINTS)
    return {"x": x.tolist()} | {
        name: (ranks[:, None] <= x).mean(0).tolist()
        for name, ranks in (("real", real), ("synthetic", synthetic))
    }


def _worst(
    images: ImageSet, side: Side, ranks: np.ndarray, texts: list[str]
) -> list[dict[str, Any]]:
    """The pictures that are farthest from their prompts: what was asked, and the prompt that goes
    best."""
    best = side.scores[:, : side.ranked].argmax(1)
    return [
        {
            "name": images.names[i],
            "asked": texts[side.own[i]],
            "best": texts[best[i]],
            "rank": float(ranks[i]),
        }
        for i in np.argsort(-ranks, kind="stable")[:WORST]
    ]
