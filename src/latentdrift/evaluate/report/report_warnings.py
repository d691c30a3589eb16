"""Sentences that a reader needs before the numbers: about the sets and about the numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from latentdrift.evaluate.evaluations.distribution import DistributionResult
from latentdrift.evaluate.evaluations.evaluation import Results
from latentdrift.evaluate.images.image_sets import EvaluationImages, contents
from latentdrift.evaluate.metrics.distribution_metrics import FRECHET_N
from latentdrift.evaluate.metrics.image_similarity import SCALE_WEIGHTS, WINDOW, scales
from latentdrift.evaluate.metrics.prdc import K
from latentdrift.evaluate.statistics.results import Metric


def set_warnings(
    real: EvaluationImages, synthetic: EvaluationImages, train: EvaluationImages | None
) -> list[str]:
    """Sentences about the images of the sets."""
    warnings = []
    if real.patients is None:
        warnings.append(
            "No patient is known for the real images: each counts as its own patient, and "
            "intervals may be too narrow."
        )
    elif len(set(real.patients)) < 20:
        warnings.append(
            f"The real images come from only {len(set(real.patients))} patients; intervals from so "
            "few are rough."
        )
    if real.images.shape[1:] != synthetic.images.shape[1:]:
        ours, theirs = (
            "x".join(map(str, images.images.shape[1:3])) for images in (real, synthetic)
        )
        warnings.append(
            f"Real images are {ours}, synthetic ones {theirs}: a difference in sharpness counts as "
            "one in content."
        )
    flat = [
        name
        for name, image in zip(synthetic.names, synthetic.images, strict=True)
        if np.ptp(image) < 1e-6
    ]
    if flat:
        warnings.append(
            f"Synthetic images of one flat colour: {len(flat)}, the first is {flat[0]}."
        )
    repeated = len(synthetic) - len(set(contents(synthetic)))
    if repeated:
        warnings.append(f"Synthetic images that repeat another one exactly: {repeated}.")
    if train is None:
        warnings.append("No training images were given, so copies were not looked for.")
    side = min(synthetic.images.shape[1:3])
    if side >= WINDOW and scales(side, side) < len(SCALE_WEIGHTS):
        warnings.append(
            f"MS-SSIM has {scales(side, side)} of its {len(SCALE_WEIGHTS)} scales at {side} "
            "pixels; compare it at one size only."
        )
    return warnings


def number_warnings(
    n: Mapping[str, int], metrics: Mapping[str, Metric], results: Results
) -> list[str]:
    """Sentences about the limits of the numbers.

    Args:
        n: Number of real and of synthetic images.
        metrics: All metrics.
        results: Results of all evaluations.
    """
    warnings = []
    smaller = min(n.values())
    if smaller < FRECHET_N:
        warnings.append(
            f"Fréchet distances of fewer than {FRECHET_N} images (here {smaller}) are biased "
            "upwards and compare only at the same number: read KID, precision, recall, density and "
            "coverage first, and the Fréchet distances only beside their floor."
        )
    smallest_k = min((metric.k for metric in metrics.values() if metric.k is not None), default=K)
    if smallest_k < K:
        warnings.append(
            f"Precision, recall, density and coverage look at k = {smallest_k} neighbours and not "
            f"at the usual {K}: there are no more in the smaller set. They do not compare with "
            "those of other k."
        )
    distribution = results.get(DistributionResult)
    spaces = {} if distribution is None else distribution.spaces
    for label, space in spaces.items():
        if smaller <= space.dimension:
            warnings.append(
                f"Fewer images ({smaller}) than {label} features ({space.dimension}): the "
                "covariance is incomplete."
            )
    if "ssl" in spaces:
        warnings.append(
            "The ssl features were learned from this cohort's training images: they compare with "
            "nothing outside it."
        )
    if spaces and "inception" not in spaces:
        warnings.append(
            f"Features: {', '.join(spaces)}. Published distances use Inception and do "
            "not compare with these."
        )
    return warnings
