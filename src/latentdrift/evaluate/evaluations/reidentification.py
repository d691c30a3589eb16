"""Do images come as near to a training image as a repeat visit of the same patient?"""

from __future__ import annotations

from latentdrift.evaluate.evaluations.evaluation import Evaluation, EvaluationResult, Inputs
from latentdrift.evaluate.privacy.reidentification import recognition


class ReidentificationResult(EvaluationResult):
    """Recognition of repeat visits, and nearness to training images against it."""


def compute(inputs: Inputs) -> ReidentificationResult | None:
    """Measure recognition of patients in each feature space and in pixels.

    Returns:
        The result, without metrics if there are no repeat visits; None without training images.
    """
    if inputs.train is None or inputs.copies is None:
        return None
    spaces = {
        label: vectors.take(*inputs.searched_places) for label, vectors in inputs.vectors.items()
    }
    metrics = recognition(
        inputs.searched_real,
        inputs.searched_synthetic,
        inputs.train,
        inputs.copies,
        spaces,
        resampling=inputs.resampling,
        workers=inputs.workers,
    )
    return ReidentificationResult(metrics=metrics)


REIDENTIFICATION = Evaluation(
    result=ReidentificationResult,
    compute=compute,
    titles={
        "recognised": "Share of repeat visits whose nearest image is of the same patient",
        "closer": "Share nearer to a training image than a repeat visit is to its own patient",
    },
)
