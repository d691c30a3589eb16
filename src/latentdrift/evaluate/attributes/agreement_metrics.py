"""Do the pictures show what was asked for? Judges of attributes against the labels of the synthetic
pictures.

Beside each number stand its ceiling, the same of held-out real pictures and their labels: no
synthetic set can be expected to be above what the judges can see; and its floor, the synthetic
pictures with their labels shuffled: as good as saying nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.evaluate.attributes.attribute_predictors import Judges, Output
from latentdrift.evaluate.images.image_sets import ImageSet
from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, groups, interval, rng

LEAST = 5  # pictures of a number, or of each side of a class, below which nothing is said (ours)

Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""Truth [N], judgement [N], weights [N] -> a number."""


def _auc(truth: np.ndarray, said: np.ndarray, w: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    kept = w > 0
    return (
        float(roc_auc_score(truth[kept], said[kept], sample_weight=w[kept]))
        if len(np.unique(truth[kept])) == 2
        else np.nan
    )


def _accuracy(truth: np.ndarray, said: np.ndarray, w: np.ndarray) -> float:
    """Mean over both classes of the share that is judged rightly at log-odds of 0."""
    sides = [w * (truth == label) for label in (0, 1)]
    right = [
        (side * ((said > 0) == label)).sum() / side.sum() if side.sum() else np.nan
        for label, side in enumerate(sides)
    ]
    return float(np.mean(right))


def _correlation(truth: np.ndarray, said: np.ndarray, w: np.ndarray) -> float:
    spread = np.cov(np.stack([truth, said]), aweights=w, ddof=0)
    size = np.sqrt(spread[0, 0] * spread[1, 1])
    return float(spread[0, 1] / size) if size > 0 else np.nan


@dataclass(frozen=True)
class Row:
    """A number that is given of a judgement."""

    title: str
    statistic: Statistic
    better: int
    """1 where more is better, -1 where less is, 0 where neither: it has no floor then."""


NUMBERS: dict[str, Row] = {
    "mae": Row(
        "mean absolute error",
        lambda truth, said, w: float(np.average(np.abs(said - truth), weights=w)),
        -1,
    ),
    "r": Row("correlation of recognised and requested", _correlation, 1),
    "bias": Row(
        "recognised minus requested, mean",
        lambda truth, said, w: float(np.average(said - truth, weights=w)),
        0,
    ),
}
CLASSES: dict[str, Row] = {
    "auc": Row("AUC", _auc, 1),
    "accuracy": Row("balanced accuracy", _accuracy, 1),
}


def rows_of(output: Output) -> dict[str, Row]:
    """What is given of an output."""
    return NUMBERS if output.value is None else CLASSES


def align(
    judges: Judges,
    real: ImageSet,
    synthetic: ImageSet,
    *,
    bootstrap: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge synthetic pictures by their own labels; see `report.py` for the fields."""
    ours = judges(real)
    theirs = judges(synthetic)
    told = judges.truths(real.attributes, len(real))
    asked = judges.truths(synthetic.attributes, len(synthetic))
    found: dict[str, Any] = {}
    for place, output in enumerate(judges.outputs):
        how: Any = {"bootstrap": bootstrap, "seed": seed}
        made = _measure(
            output, asked[:, place], theirs[:, place], synthetic.patients, **how, floor=True
        )
        if made is None:
            continue
        ceiling = _measure(
            output, told[:, place], ours[:, place], real.patients, **how, floor=False
        )
        for name, metric in made["metrics"].items():
            metric |= {"ceiling": None, "ceiling_ci": None}
            if ceiling:
                metric |= {
                    f"ceiling{tail}": ceiling["metrics"][name][of]
                    for tail, of in (("", "value"), ("_ci", "ci"))
                }
        made["n"] = {"synthetic": made.pop("n"), "real": ceiling["n"] if ceiling else 0}
        found[output.name] = {"attribute": output.attribute, "unit": output.unit, **made}
    for one in found.values():
        metrics = one["metrics"]  # correlation and AUC are not touched by the judges' offset
        one["verdict"] = verdict(metrics["r"] if "r" in metrics else metrics["auc"])
    return {
        "judged": found,
        "left_out": judges.left_out,
    }


def _measure(
    output: Output,
    truth: np.ndarray,
    said: np.ndarray,
    patients: list[str] | None,
    *,
    bootstrap: int,
    seed: int,
    floor: bool,
) -> dict[str, Any] | None:
    """Each number with its interval and, if asked for, its floor; None where too few pictures have
    a label."""
    known = np.flatnonzero(~np.isnan(truth))
    truth = truth[known]
    said = said[known]
    sides = (
        [len(truth)] if output.value is None else [int((truth == label).sum()) for label in (0, 1)]
    )
    if min(sides) < LEAST:
        return None
    units = groups(len(known), None if patients is None else [patients[place] for place in known])
    source = rng(seed, "alignment", output.name)
    even = np.ones(len(known))
    few = len(np.unique(units)) < FEWEST
    resamples = [] if few else list(draws(units, bootstrap, source, 2))
    shuffles = [source.permutation(truth) for _ in range(bootstrap)] if floor else []
    metrics: dict[str, dict[str, Any]] = {}
    for name, row in rows_of(output).items():
        value = row.statistic(truth, said, even)
        again = [
            one for one in (row.statistic(truth, said, w) for w in resamples) if np.isfinite(one)
        ]
        metrics[name] = {
            "value": _number(value),
            "ci": interval(value, again) if len(again) > 1 and np.isfinite(value) else None,
        }
        if floor:
            chance = np.array(
                [row.statistic(other, said, even) for other in shuffles] if row.better else []
            )
            chance = chance[np.isfinite(chance)]
            metrics[name]["floor"] = float(chance.mean()) if len(chance) else None
            metrics[name]["floor_range"] = (
                np.quantile(chance, [0.025, 0.975]).tolist() if len(chance) else None
            )
    return {"n": len(known), "metrics": metrics}


def verdict(metric: Mapping[str, Any]) -> str:
    """A number of which more is better, with its ceiling and its floor, in words."""
    if metric["ci"] is None or metric["floor_range"] is None:
        return "too few images to say"
    chance = metric["floor_range"][1]
    if metric["ceiling_ci"] is None or metric["ceiling_ci"][0] <= chance:
        return "not recognised in held-out real images either: no result"
    if metric["ci"][0] <= chance:
        return "not shown: as with shuffled labels"
    return (
        "shown as in real images"
        if metric["ci"][1] >= metric["ceiling_ci"][0]
        else "shown, less than in real images"
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
