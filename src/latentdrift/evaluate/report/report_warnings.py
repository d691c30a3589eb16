"""Sentences that a reader needs before the numbers: about the sets and about the numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from latentdrift.display.counting import count
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
    """Warnings about the images of the sets, such as unknown patients.

    Args:
        real: Real images.
        synthetic: Synthetic images.
        train: Training images; None: unknown.
    """
    warnings = []
    if real.patients is None:
        warnings.append(
            "The patients of the real images are not known. Each image counts as its own "
            "patient, and intervals may be too narrow."
        )
    elif len(set(real.patients)) < 20:
        warnings.append(
            f"The real images come from only {count(len(set(real.patients)), 'patient')}. "
            "Intervals from so few patients are imprecise."
        )
    if real.images.shape[1:] != synthetic.images.shape[1:]:
        ours, theirs = (
            "x".join(map(str, images.images.shape[1:3])) for images in (real, synthetic)
        )
        warnings.append(
            f"Real images are {ours} pixels, synthetic images {theirs} pixels. A "
            "difference in sharpness counts as a difference in content."
        )
    flat = [
        name
        for name, image in zip(synthetic.names, synthetic.images, strict=True)
        if np.ptp(image) < 1e-6
    ]
    if flat:
        warnings.append(
            f"Synthetic images of one flat colour: {len(flat)}. The first is {flat[0]}."
        )
    repeated = len(synthetic) - len(set(contents(synthetic)))
    if repeated:
        warnings.append(f"Synthetic images that are identical to another one: {repeated}.")
    if train is None:
        warnings.append(
            "No training images were given, so the evaluation did not search for copies."
        )
    side = min(synthetic.images.shape[1:3])
    if side >= WINDOW and scales(side, side) < len(SCALE_WEIGHTS):
        warnings.append(
            f"MS-SSIM uses {scales(side, side)} of its {len(SCALE_WEIGHTS)} scales at "
            f"{side} pixels. Compare it only between images of this size."
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
            f"Fréchet distances are biased upwards for fewer than {FRECHET_N} images (here "
            f"{smaller}). Compare them only at equal numbers of images and beside real vs "
            "real. Read KID, precision, recall, density and coverage first."
        )
    smallest_k = min((metric.k for metric in metrics.values() if metric.k is not None), default=K)
    if smallest_k < K:
        warnings.append(
            f"Precision, recall, density and coverage use k = {smallest_k} neighbours "
            f"instead of {K}, because the smaller set has no more. Compare them only with "
            "values of the same k."
        )
    distribution = results.get(DistributionResult)
    spaces = {} if distribution is None else distribution.spaces
    for label, space in spaces.items():
        if smaller <= space.dimension:
            warnings.append(
                f"The {smaller} images do not outnumber the {space.dimension} {label} features, "
                "so the covariance of the Fréchet distance is incomplete."
            )
    if "ssl" in spaces:
        warnings.append(
            "The ssl features were learned from this cohort's training images. Compare "
            "their distances only within this cohort."
        )
    if spaces and "inception" not in spaces:
        warnings.append(
            f"Features: {', '.join(spaces)}. Do not compare these distances with published "
            "ones, which use Inception features."
        )
    return warnings
