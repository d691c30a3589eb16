"""Metrics of edits against a patient's real later visit.

Most of the difference of two visits is noise and position, so an image is compared after several
blurs, and always with the unchanged first visit. Sums over patients are pooled before they are
divided, so that patients who hardly change do not dominate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, interval
from latentdrift.evaluate.statistics.prediction_interval import prediction_factor
from latentdrift.evaluate.statistics.results import EditMean
from latentdrift.longitudinal.tissue_volumes import VOLUMES, TissueVolumes

BLURS = (1, 4, 6)
"""Standard deviations of the blurs, in 1/256 of the image's side: pixels of a brain at 1 mm."""
SIDE = 256
LEAST_SPREAD = 1e-9
"""Standard deviation below which samples are equal but for rounding."""


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


def coverage(first: np.ndarray, samples: np.ndarray, last: np.ndarray) -> dict[str, float]:
    """Share of the pixels at which the last visit lies in the 95 % prediction interval of samples.

    Pixels are those at which the samples differ from each other.

    Args:
        first: First visit [R, R] in [0, 1].
        samples: Edits of S seeds [S, R, R] in [0, 1], S at least 2.
        last: Last visit [R, R] in [0, 1].

    Returns:
        `coverage` of the images, and `coverage_4` of their changes after a blur of 4; a share is
        absent where no pixel differs.
    """
    reach = prediction_factor(len(samples))
    result = {}
    for name, sigma in (("coverage", 0.0), ("coverage_4", 4 * len(first) / SIDE)):
        drawn = gaussian_filter(samples - first, (0, sigma, sigma))
        spread = drawn.std(0, ddof=1)
        varies = spread > LEAST_SPREAD
        inside = np.abs(gaussian_filter(last - first, sigma) - drawn.mean(0)) <= reach * spread
        if varies.any():
            result[name] = float(inside[varies].mean())
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
CORRELATION = "change_r_4"
VISIT_TITLES: dict[str, str] = {
    CORRELATION: "correlation of the change, blur 4",
    **{name: ratio.title for name, ratio in RATIOS.items()},
}
"""Metric of visits -> its title: the correlation of each edit, then those of all together."""


def pooled(
    ratio: Ratio,
    results: Sequence[Mapping[str, float]],
    units: np.ndarray,
    n: int,
    source: np.random.Generator,
) -> EditMean | None:
    """A metric of all edits together, with its 95 % interval over patients.

    Args:
        ratio: Row of RATIOS.
        results: Metrics of each edit by name [E]; edits that lack a part are skipped.
        units: Patient of each edit, as integers [E].
        n: Number of resamples.
        source: Generator of the resamples.

    Returns:
        The metric; None where no edit has its parts, or they are all 0.
    """
    known = [
        (*parts, unit)
        for own, unit in zip(results, units, strict=True)
        if (parts := _parts(ratio, own))
    ]
    if not known:
        return None
    above, below, of_known = (np.array(column) for column in zip(*known, strict=True))
    value = ratio.value(above, below, np.ones(len(above)))
    if not np.isfinite(value):
        return None
    whose = np.unique(of_known, return_inverse=True)[1]
    if whose.max() + 1 < FEWEST:
        return EditMean(value=value, ci=None, n=len(above))
    replicates = [
        ratio.value(above, below, weights)
        for weights in draws(whose, n, source)
        if (weights * below).any()
    ]
    return EditMean(value=value, ci=interval(value, replicates), n=len(above))


def _parts(ratio: Ratio, own: Mapping[str, float]) -> tuple[float, float] | None:
    """Numerator and denominator of an edit; None where it lacks one."""
    try:
        return ratio.parts(own)
    except KeyError:
        return None
