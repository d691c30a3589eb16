"""Baselines that learn from the visits of training patients, which every editor has to beat.

Each is a linear model with few numbers. Ridge penalties are chosen by leaving out training
patients; the patients that are judged have no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from latentdrift.attributes.specification import Spec
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.longitudinal.ridge import choose_penalty, ridge
from latentdrift.longitudinal.tissue_volumes import (
    tissue_volumes,
)
from latentdrift.longitudinal.visit_intervals import Covariates, VisitInterval
from latentdrift.longitudinal.volume_model import FEWEST_PATIENTS, VolumeModel
from latentdrift.study.editors.visit_pairs import VisitPairs

COMPONENTS = 20
"""Principal components of the first visit that the ridge regression reads, at most."""
COARSE = 4 / 256
"""Standard deviation of the blur under which the penalty is chosen, in the image's side: finer
differences of two visits are noise and position."""


@dataclass(frozen=True, eq=False)
class VisitBaselines:
    """All baselines, fitted to the training pairs of a cohort."""

    mean: MeanChange
    ridge: RidgeChange
    volumes: VolumeModel | None
    """None for images that are no slices of brains."""

    @classmethod
    def of(
        cls, cohort: Cohort, resolution: int, spec: Spec, *, brains: bool
    ) -> VisitBaselines | None:
        """Fit to the training split; None where fewer than FEWEST_PATIENTS came twice.

        Args:
            cohort: The cohort.
            resolution: R, pixels on a side.
            spec: Attributes that are read.
            brains: Whether the images are slices of brains.
        """
        pairs = VisitPairs.of(cohort, "train", resolution, spec)
        if len(set(pairs.patients)) < FEWEST_PATIENTS:
            return None
        volumes = volume_model(pairs, spec) if brains else None
        return cls(MeanChange.of(pairs), RidgeChange.of(pairs, spec), volumes)


@dataclass(frozen=True, eq=False)
class MeanChange:
    """Mean change per year, times the years."""

    rate: np.ndarray
    """[R, R] per year."""

    @classmethod
    def of(cls, pairs: VisitPairs) -> MeanChange:
        """Regress the change on the years, through 0."""
        years = _years(pairs.intervals)
        change = pairs.last - pairs.first
        return cls(np.tensordot(years, change, 1) / max(float(years @ years), 1e-12))

    def predict(self, first: np.ndarray, interval: VisitInterval) -> np.ndarray:
        """Image of the later visit, [R, R] in [0, 1].

        Args:
            first: First visit [R, R].
            interval: Time to the later visit.
        """
        result: np.ndarray = (first + interval.years * self.rate).clip(0, 1)
        return result


@dataclass(frozen=True, eq=False)
class RidgeChange:
    """Mean change, and a ridge regression of what it leaves on the interval's covariates and, times
    the years, on principal components of the first visit."""

    average: MeanChange
    covariates: Covariates
    mean: np.ndarray
    """Mean first visit, [R, R]."""
    components: np.ndarray
    """[C, R * R], scaled to scores of variance 1."""
    weights: np.ndarray
    """[K + C, R * R]."""
    penalty: float

    @classmethod
    def of(cls, pairs: VisitPairs, spec: Spec) -> RidgeChange:
        """Fit to training pairs."""
        average = MeanChange.of(pairs)
        covariates = Covariates.of(pairs.intervals, spec)
        mean = pairs.first.mean(0)
        flat = (pairs.first - mean).reshape(len(pairs), -1)
        count = min(COMPONENTS, len(pairs) - 1)
        _, sizes, axes = np.linalg.svd(flat, full_matrices=False)
        scales = np.maximum(sizes[:count] / np.sqrt(len(pairs)), 1e-12)
        begun = cls(average, covariates, mean, axes[:count] / scales[:, None], np.empty(0), 0.0)
        inputs = np.stack(
            [
                begun.inputs(first, one)
                for first, one in zip(pairs.first, pairs.intervals, strict=True)
            ]
        )
        years = _years(pairs.intervals)[:, None, None]
        left = pairs.last - pairs.first - years * average.rate
        coarse = gaussian_filter(left, (0, *[COARSE * len(mean)] * 2))
        penalty = choose_penalty(inputs, coarse.reshape(len(pairs), -1), pairs.patients)
        weights = ridge(inputs, left.reshape(len(pairs), -1), penalty)
        return replace(begun, weights=weights, penalty=penalty)

    def inputs(self, first: np.ndarray, interval: VisitInterval) -> np.ndarray:
        """Numbers that the change is regressed on, [K + C]."""
        scores = self.components @ (first - self.mean).ravel()
        return np.concatenate([self.covariates.of_interval(interval), interval.years * scores])

    def predict(self, first: np.ndarray, interval: VisitInterval) -> np.ndarray:
        """Image of the later visit, [R, R] in [0, 1]; arguments as `MeanChange.predict`."""
        change = (self.inputs(first, interval) @ self.weights).reshape(first.shape)
        result: np.ndarray = (first + interval.years * self.average.rate + change).clip(0, 1)
        return result


def volume_model(pairs: VisitPairs, spec: Spec) -> VolumeModel | None:
    """Volume model of pairs of visits; None where too few show a brain.

    Args:
        pairs: Pairs of training patients.
        spec: Attributes that are read.
    """
    first, last = (
        [tissue_volumes(picture) for picture in pictures] for pictures in (pairs.first, pairs.last)
    )
    return VolumeModel.of(first, last, pairs.intervals, pairs.patients, spec)


def _years(intervals: Sequence[VisitInterval]) -> np.ndarray:
    return np.array([one.years for one in intervals])
