"""Rows of the table of `bench editors`: metrics of all cases of a change, with intervals over
patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from latentdrift.config import BenchEditorsOptions
from latentdrift.evaluate.attributes.visit_metrics import RATIOS, pooled
from latentdrift.evaluate.statistics.bootstrap import groups, mean_interval, rng
from latentdrift.evaluate.statistics.results import EditMean, ResultModel
from latentdrift.study.editors.reference_edits import Case

# Name -> its title, and how it is better: up, down, nearer to 1, or nearer to the row below it. Of
# a phantom, then of visits.
METRICS: dict[str, str] = {
    "inside": "error where the truth changes",
    "outside": "change where it does not",
    "effect": "share of the true change",
    "ssim": "SSIM with the truth",
    "psnr": "PSNR (dB)",
    "difference_ssim": "SSIM of the differences",
    "change_r_4": "correlation of the change, blur 4",
    "coverage": "coverage of the 95 % interval",
    "coverage_4": "coverage of the 95 % interval, blur 4",
    "tissue": "change of tissue fraction",
    "true_tissue": "true change of tissue fraction",
    "ventricle": "change of ventricle area, share of the picture",
    "true_ventricle": "true change of ventricle area",
    "heart": "change of heart width, share of the picture",
    "true_heart": "true change of heart width",
    "identity": "share still most like their own original",
}
TITLES: dict[str, str] = METRICS | {name: ratio.title for name, ratio in RATIOS.items()}
"""Name of every metric of the table -> its title."""


class EditorRow(ResultModel):
    """Row of the table: an editor or a baseline, on the cases of one change."""

    change: str
    editor: str
    n: int
    """Number of cases."""
    metrics: dict[str, EditMean]
    """By rows of TITLES, those that were measured."""


def summary(
    results: Sequence[Mapping[str, float]], cases: Sequence[Case], options: BenchEditorsOptions
) -> dict[str, EditMean]:
    """Metrics of a row of the table, those of TITLES that were measured.

    Args:
        results: Metrics of each case by name; empty where there are none.
        cases: The cases.
        options: Resamples and seed.
    """
    metrics = {name: mean([one.get(name) for one in results], cases, options) for name in METRICS}
    patients = groups(len(cases), [case.patient for case in cases])
    for name, ratio in RATIOS.items():
        source = rng(options.seed, "bench", "editors", ratio.title)
        metrics[name] = pooled(ratio, results, patients, options.bootstrap, source)
    return {name: metric for name, metric in metrics.items() if metric is not None}


def mean(
    values: Sequence[float | None], cases: Sequence[Case], options: BenchEditorsOptions
) -> EditMean | None:
    """Mean of a metric over cases, with its interval over patients.

    Args:
        values: Value of each case; None is skipped.
        cases: The cases.
        options: Resamples and seed.

    Returns:
        The mean; None without any value.
    """
    known = [
        (value, case.patient)
        for value, case in zip(values, cases, strict=True)
        if value is not None
    ]
    if not known:
        return None
    numbers, patients = zip(*known, strict=True)
    return mean_over_patients(numbers, patients, options)


def mean_over_patients(
    values: Sequence[float], patients: Sequence[str], options: BenchEditorsOptions
) -> EditMean:
    """Mean with its 95 % interval over patients.

    Args:
        values: At least one value.
        patients: Patient of each value.
        options: Resamples and seed.
    """
    numbers = np.array(values)
    units = groups(len(numbers), patients)
    source = rng(options.seed, "bench", "editors")
    ci = mean_interval(numbers, units, options.bootstrap, source)
    return EditMean(value=float(numbers.mean()), ci=ci, n=len(numbers))
