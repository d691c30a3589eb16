"""Agreement of attribute predictors with the labels of synthetic images.

Beside each number stand its ceiling, the same of held-out real pictures and their labels: no
synthetic set can be expected to be above what the judges can see; and its floor, the synthetic
pictures with their labels shuffled: as good as saying nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate.attributes.attribute_predictors import Judges, Output
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, groups, interval
from latentdrift.evaluate.statistics.results import Interval, ResultModel
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


class AgreementMetric(ResultModel):
    """Agreement of the predictors with the labels of the synthetic images."""

    value: float | None
    ci: Interval | None
    floor: float | None
    """Mean with shuffled labels."""
    floor_range: Interval | None
    ceiling: float | None
    """Value of held-out real images."""
    ceiling_ci: Interval | None


class JudgedAttribute(ResultModel):
    """Agreement on one attribute, or on one value of it."""

    attribute: str
    unit: str
    metrics: dict[str, AgreementMetric]
    """`mae`, `r`, `bias` of a number; `auc`, `accuracy` (balanced) of a class."""
    n: dict[str, int]
    verdict: str


class Agreement(ResultModel):
    """Agreement of attribute predictors with labels."""

    judged: dict[str, JudgedAttribute]
    left_out: list[str]
    """Attributes with too few training images."""


def align(
    judges: Judges,
    real: EvaluationImages,
    synthetic: EvaluationImages,
    resampling: Resampling = Resampling(),
) -> Agreement:
    """Compare predicted attributes of synthetic images with their own labels.

    Args:
        judges: Trained attribute predictors.
        real: Held-out real images, which give the ceiling.
        synthetic: Synthetic images with labels.
        resampling: Resamples behind the intervals.
    """
    labels = [judges.truths(images.attributes, len(images)) for images in (real, synthetic)]
    predictions = [judges(images) for images in (real, synthetic)]
    judged: dict[str, JudgedAttribute] = {}
    for place, output in enumerate(judges.outputs):
        real_sample, sample = (
            _labelled(output, label[:, place], prediction[:, place], images.patients)
            for label, prediction, images in zip(
                labels, predictions, (real, synthetic), strict=True
            )
        )
        if sample is None:
            continue
        metrics = _metrics(output, sample, real_sample, resampling)
        n = {
            "synthetic": len(sample.truth),
            "real": len(real_sample.truth) if real_sample else 0,
        }
        judged[output.name] = JudgedAttribute(
            attribute=output.attribute,
            unit=output.unit,
            metrics=metrics,
            n=n,
            # An offset of the predictors changes neither correlation nor AUC.
            verdict=verdict(metrics["r"] if "r" in metrics else metrics["auc"]),
        )
    return Agreement(judged=judged, left_out=judges.left_out)


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
    output: Output, sample: Labelled, real_sample: Labelled | None, resampling: Resampling
) -> dict[str, AgreementMetric]:
    """Each row of NUMBERS or CLASSES, with its floor, and its ceiling where real images have
    labels."""
    source = resampling.rng("alignment", output.name)
    estimates = _estimates(output, sample, resampling.n, source)
    shuffles = [source.permutation(sample.truth) for _ in range(resampling.n)]
    ceilings: dict[str, Estimate] = {}
    if real_sample:
        real_source = resampling.rng("alignment", output.name)
        ceilings = _estimates(output, real_sample, resampling.n, real_source)
    metrics = {}
    for name, (value, ci) in estimates.items():
        floor, floor_range = _floor(rows_of(output)[name], sample, shuffles)
        ceiling, ceiling_ci = ceilings.get(name, (None, None))
        metrics[name] = AgreementMetric(
            value=value,
            ci=ci,
            floor=floor,
            floor_range=floor_range,
            ceiling=ceiling,
            ceiling_ci=ceiling_ci,
        )
    return metrics


Estimate = tuple[float | None, Interval | None]
"""Value and its 95 % interval or range; None where there is none."""


def _estimates(
    output: Output, sample: Labelled, count: int, source: np.random.Generator
) -> dict[str, Estimate]:
    """Value and 95 % interval of each row of NUMBERS or CLASSES."""
    is_small = len(np.unique(sample.units)) < FEWEST
    resamples = [] if is_small else list(draws(sample.units, count, source, 2))
    even = np.ones(len(sample.truth))
    estimates: dict[str, Estimate] = {}
    for name, row in rows_of(output).items():
        value = row.statistic(sample.truth, sample.prediction, even)
        replicates = [row.statistic(sample.truth, sample.prediction, w) for w in resamples]
        finite = [replicate for replicate in replicates if np.isfinite(replicate)]
        has_interval = len(finite) > 1 and np.isfinite(value)
        estimates[name] = (_number(value), interval(value, finite) if has_interval else None)
    return estimates


def _floor(row: Row, sample: Labelled, shuffles: list[np.ndarray]) -> Estimate:
    """Mean and 95 % range of a statistic with shuffled labels; none where no value is better."""
    even = np.ones(len(sample.truth))
    values = np.array(
        [row.statistic(truth, sample.prediction, even) for truth in shuffles] if row.better else []
    )
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, None
    return float(finite.mean()), np.quantile(finite, [0.025, 0.975]).tolist()


def verdict(metric: AgreementMetric) -> str:
    """Compare a metric with its ceiling and its floor in words.

    Args:
        metric: The metric; larger is better.
    """
    if metric.ci is None or metric.floor_range is None:
        return "too few images to say"
    chance = metric.floor_range[1]
    if metric.ceiling_ci is None or metric.ceiling_ci[0] <= chance:
        return "not recognised in held-out real images either: no result"
    if metric.ci[0] <= chance:
        return "not shown: as with shuffled labels"
    return (
        "shown as in real images"
        if metric.ci[1] >= metric.ceiling_ci[0]
        else "shown, less than in real images"
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
