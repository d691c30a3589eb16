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
from latentdrift.evaluate.attributes.tissue_volumes import VOLUMES, TissueVolumes, tissue_volumes
from latentdrift.study.editors.visit_pairs import Covariates, VisitInterval, VisitPairs

COMPONENTS = 20
"""Principal components of the first visit that the ridge regression reads, at most."""
PENALTIES = tuple(10.0**power for power in range(-1, 6))
"""Ridge penalties that are tried, relative to the mean square of a covariate."""
FOLDS = 5
FEWEST_PATIENTS = 2
"""Training patients with two visits, at least; a penalty is chosen by leaving patients out."""
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
        volumes = VolumeModel.of(pairs, spec) if brains else None
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


@dataclass(frozen=True, eq=False)
class VolumeModel:
    """Ridge regression of the change of each volume on years, and on years by age, category and
    today's volume."""

    covariates: Covariates
    mean: np.ndarray
    """Mean volumes at the first visit, [V]."""
    weights: tuple[np.ndarray, ...]
    """[K + 1] for each of VOLUMES."""

    @classmethod
    def of(cls, pairs: VisitPairs, spec: Spec) -> VolumeModel:
        """Fit to training pairs."""
        first, last = (
            np.array([_numbers(tissue_volumes(picture)) for picture in pictures])
            for pictures in (pairs.first, pairs.last)
        )
        usable = np.isfinite(first).all(1) & np.isfinite(last).all(1)
        first, last = first[usable], last[usable]
        intervals = [one for one, good in zip(pairs.intervals, usable, strict=True) if good]
        patients = [who for who, good in zip(pairs.patients, usable, strict=True) if good]
        begun = cls(Covariates.of(intervals, spec), first.mean(0), ())
        weights = []
        for place in range(len(VOLUMES)):
            inputs = np.stack(
                [begun.inputs(own, one, place) for own, one in zip(first, intervals, strict=True)]
            )
            change = (last - first)[:, [place]]
            penalty = choose_penalty(inputs, change, patients)
            weights.append(ridge(inputs, change, penalty)[:, 0])
        return cls(begun.covariates, begun.mean, tuple(weights))

    def inputs(self, volumes: np.ndarray, interval: VisitInterval, place: int) -> np.ndarray:
        """Numbers that the change of a volume is regressed on, [K + 1]."""
        own = interval.years * (volumes[place] - self.mean[place])
        return np.append(self.covariates.of_interval(interval), own)

    def predict(self, first: TissueVolumes, interval: VisitInterval) -> TissueVolumes:
        """Volumes at the later visit.

        Args:
            first: Volumes at the first visit.
            interval: Time to the later visit.
        """
        volumes = _numbers(first)
        changes = [
            float(self.inputs(volumes, interval, place) @ weights)
            for place, weights in enumerate(self.weights)
        ]
        return TissueVolumes(*(volumes + changes))


def ridge(inputs: np.ndarray, outputs: np.ndarray, penalty: float) -> np.ndarray:
    """Weights [K, M] of a ridge regression through 0.

    Args:
        inputs: [N, K].
        outputs: [N, M].
        penalty: Relative to the mean square of an input.
    """
    gram = inputs.T @ inputs
    size = penalty * float(np.trace(gram)) / max(len(gram), 1) / max(len(inputs), 1)
    result: np.ndarray = np.linalg.solve(
        gram + (size + 1e-12) * np.eye(len(gram)), inputs.T @ outputs
    )
    return result


def choose_penalty(inputs: np.ndarray, outputs: np.ndarray, patients: Sequence[str]) -> float:
    """Penalty of PENALTIES with the least squared error on patients that are left out.

    Args:
        inputs: [N, K].
        outputs: [N, M].
        patients: Of each row.
    """
    fold = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1] % FOLDS
    errors = dict.fromkeys(PENALTIES, 0.0)
    for part in range(FOLDS):
        held_out = fold == part
        if not held_out.any() or held_out.all():
            continue
        for penalty in PENALTIES:
            weights = ridge(inputs[~held_out], outputs[~held_out], penalty)
            misses = inputs[held_out] @ weights - outputs[held_out]
            errors[penalty] += float(np.square(misses).sum())
    return min(PENALTIES, key=lambda penalty: errors[penalty])


def _numbers(volumes: TissueVolumes) -> np.ndarray:
    return np.array([of(volumes) for of in VOLUMES.values()])


def _years(intervals: Sequence[VisitInterval]) -> np.ndarray:
    return np.array([one.years for one in intervals])
