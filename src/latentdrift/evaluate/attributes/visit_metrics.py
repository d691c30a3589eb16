"""Metrics of edits against a patient's real later visit.

Most of the difference of two visits is noise and position, so an image is compared after several
blurs, and always with the unchanged first visit. Sums over patients are pooled before they are
divided, so that patients who hardly change do not dominate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from latentdrift.evaluate.attributes.tissue_volumes import VOLUMES, TissueVolumes

BLURS = (1, 4, 6)
"""Standard deviations of the blurs, in 1/256 of the image's side: pixels of a brain at 1 mm."""
SIDE = 256


@dataclass(frozen=True)
class Ratio:
    """A metric of all edits together: a quotient of two sums over patients."""

    title: str
    parts: Callable[[Mapping[str, float]], tuple[float, float]]
    """Numerator and denominator of one edit, from its metrics by name; KeyError where the edit
    lacks one."""
    from_one: bool = True
    """Whether the metric is 1 minus the quotient."""

    def value(self, numerators: np.ndarray, denominators: np.ndarray, weights: np.ndarray) -> float:
        """The metric of weighted edits; NaN where the denominators are 0.

        Args:
            numerators: [N].
            denominators: [N].
            weights: [N].
        """
        below = float((weights * denominators).sum())
        quotient = float((weights * numerators).sum()) / below if below else float("nan")
        return 1 - quotient if self.from_one else quotient


def change_metrics(first: np.ndarray, edited: np.ndarray, last: np.ndarray) -> dict[str, float]:
    """Compare an edit with the real last visit at each of BLURS.

    Args:
        first: First visit [R, R] in [0, 1].
        edited: Edit [R, R] in [0, 1].
        last: Last visit [R, R] in [0, 1].

    Returns:
        By blur b: `error_b` and `unchanged_b`, mean squared differences of the edit and of the
        first visit from the last one; `change_r_b`, correlation of the predicted with the true
        change over the pixels, absent where either is constant.
    """
    result = {}
    for blur in BLURS:
        sigma = blur * len(first) / SIDE
        predicted, true = (gaussian_filter(picture - first, sigma) for picture in (edited, last))
        result[f"error_{blur}"] = float(np.square(predicted - true).mean())
        result[f"unchanged_{blur}"] = float(np.square(true).mean())
        if predicted.std() > 0 and true.std() > 0:
            result[f"change_r_{blur}"] = float(np.corrcoef(predicted.ravel(), true.ravel())[0, 1])
    return result


def volume_metrics(
    first: TissueVolumes, edited: TissueVolumes, last: TissueVolumes
) -> dict[str, float]:
    """Changes of each of VOLUMES: `NAME_change` of the edit and `true_NAME_change` of the patient.

    Args:
        first: Volumes of the first visit.
        edited: Volumes of the edit.
        last: Volumes of the last visit.
    """
    result = {}
    for name, of in VOLUMES.items():
        result[f"{name}_change"] = of(edited) - of(first)
        result[f"true_{name}_change"] = of(last) - of(first)
    return result


def _reduction(blur: int) -> Ratio:
    return Ratio(
        f"reduction of squared error against no change, blur {blur}",
        lambda own: (own[f"error_{blur}"], own[f"unchanged_{blur}"]),
    )


def _r2(name: str) -> Ratio:
    def parts(own: Mapping[str, float]) -> tuple[float, float]:
        true = own[f"true_{name}_change"]
        return (own[f"{name}_change"] - true) ** 2, true**2

    return Ratio(f"R² of the change of {name}, against no change", parts)


def _slope(name: str) -> Ratio:
    def parts(own: Mapping[str, float]) -> tuple[float, float]:
        predicted = own[f"{name}_change"]
        return predicted * own[f"true_{name}_change"], predicted**2

    return Ratio(f"calibration slope of {name}", parts, from_one=False)


RATIOS: dict[str, Ratio] = {
    **{f"error_reduction_{blur}": _reduction(blur) for blur in BLURS},
    **{f"{name}_r2": _r2(name) for name in ("ventricles", "fluid")},
    **{f"{name}_slope": _slope(name) for name in ("ventricles", "fluid")},
}
"""Name of a metric -> how it is formed. A calibration slope is the regression through 0 of the true
on the predicted change: 1 is the right size, below 1 the prediction is too large."""
