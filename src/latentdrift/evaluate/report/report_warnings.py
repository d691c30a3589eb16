"""What a reader has to know before the numbers: sentences about the sets, and about what the
numbers are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from latentdrift.evaluate.images.image_sets import ImageSet, contents
from latentdrift.evaluate.metrics.distribution_metrics import FRECHET_N
from latentdrift.evaluate.metrics.image_similarity import SCALE_WEIGHTS, WINDOW, scales
from latentdrift.evaluate.metrics.prdc import K


def about_sets(real: ImageSet, synthetic: ImageSet, train: ImageSet | None) -> list[str]:
    """Sentences about the pictures themselves."""
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


def about_edits(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences about whose the edits are.

    Args:
        rows: From `pairs.edits`.
    """
    unknown = sum(not row["patient_known"] for row in rows)
    if not unknown:
        return []
    return [
        f"The records of {unknown} of {len(rows)} edits name no patient: edits of one image count "
        "together, and intervals may be too narrow."
    ]


def about_numbers(report: Mapping[str, Any]) -> list[str]:
    """Sentences about what the report's numbers can and cannot say."""
    warnings = []
    fewest = min(report["n"].values())
    if fewest < FRECHET_N:
        warnings.append(
            f"Fréchet distances of fewer than {FRECHET_N} images (here {fewest}) are biased "
            "upwards and compare only at the same number: read KID, precision, recall, density and "
            "coverage first, and the Fréchet distances only beside their floor."
        )
    used = sorted({metric["k"] for metric in report["metrics"].values() if "k" in metric})
    if used and used[0] < K:
        warnings.append(
            f"Precision, recall, density and coverage look at k = {used[0]} neighbours and not at "
            f"the usual {K}: there are no more in the smaller set. They do not compare with those "
            "of other k."
        )
    for label, space in report["spaces"].items():
        if fewest <= space["dimension"]:
            warnings.append(
                f"Fewer images ({fewest}) than {label} features ({space['dimension']}): the "
                "covariance is incomplete."
            )
    if "ssl" in report["spaces"]:
        warnings.append(
            "The ssl features were learned from this cohort's training images: they compare with "
            "nothing outside it."
        )
    if report["spaces"] and "inception" not in report["spaces"]:
        warnings.append(
            f"Features: {', '.join(report['spaces'])}. Published distances use Inception and do "
            "not compare with these."
        )
    return warnings
