"""Agreement of attribute predictors with the labels of synthetic images.

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
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, groups, interval
from latentdrift.resampling import Resampling

MIN_IMAGES = (
    5  # pictures of a number, or of each side of a class, below which nothing is said (ours)
)

Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""Truth [N], judgement [N], weights [N] -> a number."""


def _auc(truth: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    counted = w > 0
    return (
        float(roc_auc_score(truth[counted], prediction[counted], sample_weight=w[counted]))
        if len(np.unique(truth[counted])) == 2
        else np.nan
    )


def _accuracy(truth: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
    """Mean over both classes of the share that is judged rightly at log-odds of 0."""
    sides = [w * (truth == label) for label in (0, 1)]
    right = [
        (side * ((prediction > 0) == label)).sum() / side.sum() if side.sum() else np.nan
        for label, side in enumerate(sides)
    ]
    return float(np.mean(right))


def _correlation(truth: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
    spread = np.cov(np.stack([truth, prediction]), aweights=w, ddof=0)
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
    """Metrics of an output: NUMBERS for a number, CLASSES for a class."""
    return NUMBERS if output.value is None else CLASSES


def align(
    judges: Judges,
    real: EvaluationImages,
    synthetic: EvaluationImages,
    resampling: Resampling = Resampling(),
) -> dict[str, Any]:
    """Compare predicted attributes of synthetic images with their own labels.

    Args:
        judges: Trained attribute predictors.
        real: Held-out real images, which give the ceiling.
        synthetic: Synthetic images with labels.
        resampling: Resamples behind the intervals.

    Returns:
        Content of `alignment` in report.json; its fields are those of `Agreement`.
    """
    labels = [judges.truths(images.attributes, len(images)) for images in (real, synthetic)]
    predictions = [judges(images) for images in (real, synthetic)]
    judged: dict[str, Any] = {}
    for place, output in enumerate(judges.outputs):
        label = labels[1][:, place]
        source = resampling.rng("alignment", output.name)
        sample = _labelled(output, label, predictions[1][:, place], synthetic.patients)
        if sample is None:
            continue
        metrics = _metrics(output, sample, resampling.n, source)
        shuffles = [source.permutation(sample.truth) for _ in range(resampling.n)]
        real_sample = _labelled(
            output, labels[0][:, place], predictions[0][:, place], real.patients
        )
        ceilings = (
            _metrics(output, real_sample, resampling.n, resampling.rng("alignment", output.name))
            if real_sample
            else {}
        )
        for name, metric in metrics.items():
            metric |= _floor(rows_of(output)[name], sample, shuffles)
            ceiling = ceilings.get(name, {"value": None, "ci": None})
            metric |= {"ceiling": ceiling["value"], "ceiling_ci": ceiling["ci"]}
        judged[output.name] = {
            "attribute": output.attribute,
            "unit": output.unit,
            "metrics": metrics,
            "n": {
                "synthetic": len(sample.truth),
                "real": len(real_sample.truth) if real_sample else 0,
            },
            # An offset of the predictors changes neither correlation nor AUC.
            "verdict": verdict(metrics["r"] if "r" in metrics else metrics["auc"]),
        }
    return {
        "judged": judged,
        "left_out": judges.left_out,
    }


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images whose label is known.

    Attributes:
        truth: Labels [N].
        prediction: Predictions [N].
        units: Unit of resampling of each image [N].
    """

    truth: np.ndarray
    prediction: np.ndarray
    units: np.ndarray


def _labelled(
    output: Output, truth: np.ndarray, prediction: np.ndarray, patients: list[str] | None
) -> Labelled | None:
    """Images with a label; None for fewer than MIN_IMAGES, or than that of a class."""
    known = np.flatnonzero(~np.isnan(truth))
    labels = truth[known]
    sizes = [len(labels)]
    if output.value is not None:
        sizes = [int((labels == label).sum()) for label in (0, 1)]
    if min(sizes) < MIN_IMAGES:
        return None
    owners = None if patients is None else [patients[place] for place in known]
    return Labelled(labels, prediction[known], groups(len(known), owners))


def _metrics(
    output: Output, sample: Labelled, count: int, source: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Value and 95 % interval of each row of NUMBERS or CLASSES."""
    is_small = len(np.unique(sample.units)) < FEWEST
    resamples = [] if is_small else list(draws(sample.units, count, source, 2))
    even = np.ones(len(sample.truth))
    metrics: dict[str, dict[str, Any]] = {}
    for name, row in rows_of(output).items():
        value = row.statistic(sample.truth, sample.prediction, even)
        replicates = [row.statistic(sample.truth, sample.prediction, w) for w in resamples]
        finite = [replicate for replicate in replicates if np.isfinite(replicate)]
        has_interval = len(finite) > 1 and np.isfinite(value)
        metrics[name] = {
            "value": _number(value),
            "ci": interval(value, finite) if has_interval else None,
        }
    return metrics


def _floor(row: Row, sample: Labelled, shuffles: list[np.ndarray]) -> dict[str, Any]:
    """Mean and 95 % range of a statistic with shuffled labels; none where no value is better."""
    even = np.ones(len(sample.truth))
    values = np.array(
        [row.statistic(truth, sample.prediction, even) for truth in shuffles] if row.better else []
    )
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"floor": None, "floor_range": None}
    return {
        "floor": float(finite.mean()),
        "floor_range": np.quantile(finite, [0.025, 0.975]).tolist(),
    }


def verdict(metric: Mapping[str, Any]) -> str:
    """Compare a metric with its ceiling and its floor in words.

    Args:
        metric: Value, ci, floor_range and ceiling_ci; larger is better.
    """
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
