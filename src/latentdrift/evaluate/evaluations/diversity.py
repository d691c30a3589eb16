"""Do the images differ from one another as real ones do? Similarity within each set."""

from __future__ import annotations

from latentdrift.evaluate.evaluations.evaluation import Evaluation, EvaluationResult, Inputs
from latentdrift.evaluate.evaluations.page_style import SIMILARITY_TITLES
from latentdrift.evaluate.metrics.diversity import diversity
from latentdrift.evaluate.metrics.image_similarity import WINDOW
from latentdrift.evaluate.statistics.results import Metric

WITHIN_SIMILARITIES = ("ms-ssim", "lpips-unweighted")


class DiversityResult(EvaluationResult):
    """Mean similarity of two images of a set."""


def compute(inputs: Inputs) -> DiversityResult | None:
    """Measure the similarity within each set; None for images below WINDOW pixels."""
    sides = (*inputs.real.images.shape[1:3], *inputs.synthetic.images.shape[1:3])
    if min(sides) < WINDOW:
        return None
    metrics: dict[str, Metric] = {}
    for name in WITHIN_SIMILARITIES:
        if name not in inputs.similarities:
            continue
        similarity = inputs.similarities[name]
        metric = diversity(inputs.real, inputs.synthetic, name, similarity, inputs.resampling)
        if metric is not None:
            metrics[f"{name}.within"] = metric
    return DiversityResult(metrics=metrics)


DIVERSITY = Evaluation(result=DiversityResult, compute=compute, titles=SIMILARITY_TITLES)
