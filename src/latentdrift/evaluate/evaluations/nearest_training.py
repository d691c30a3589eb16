"""Do the images keep their distance from the training patients? In features."""

from __future__ import annotations

from latentdrift.evaluate.evaluations.evaluation import Evaluation, EvaluationResult, Inputs
from latentdrift.evaluate.metrics import feature_metrics
from latentdrift.evaluate.statistics.results import Metric


class NearestTrainingResult(EvaluationResult):
    """Distance to the nearest training image in each feature space."""


def compute(inputs: Inputs) -> NearestTrainingResult | None:
    """Distance to the nearest training image in each feature space, over that of held-out images.

    Returns:
        The result; None without training images.
    """
    if inputs.train is None:
        return None
    metrics: dict[str, Metric] = {}
    for vectors in inputs.vectors.values():
        metrics |= feature_metrics.keeps_distance(
            vectors, inputs.real, inputs.synthetic, inputs.train, resampling=inputs.resampling
        )
    return NearestTrainingResult(metrics=metrics)


NEAREST_TRAINING = Evaluation(result=NearestTrainingResult, compute=compute)
