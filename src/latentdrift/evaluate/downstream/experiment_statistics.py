"""Scores of learners that were tested on the same pictures, over the same resamples of test
patients and of seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.evaluate.downstream.utility_results import Arm, TestedImages
from latentdrift.evaluate.images import subgroups as classes
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, groups, interval
from latentdrift.resampling import Resampling

Measure = Callable[[np.ndarray, np.ndarray], float]
"""(what a learner said of each picture [N, ...], weights of the pictures [N]) -> a number; NaN
where they leave nothing."""


@dataclass(frozen=True)
class SeedMean:
    """Mean over seeds."""

    value: float
    ci: list[float] | None
    """95 % interval over test patients and seeds; None for too few patients."""
    sd: float | None
    """Standard deviation over seeds; None for one seed."""


class Reading:
    """Every number is a mean over seeds, and its interval comes from the same resamples as that of
    any other."""

    def __init__(
        self,
        measure: Measure,
        members: np.ndarray,
        patients: list[str] | None,
        *,
        resampling: Resampling,
        repeats: int,
    ) -> None:
        """Draw the resamples.

        Args:
            measure: What is made of a learner's scores.
            members: bool [G, N]: which pictures are of each group that there must be enough
                patients of.
            patients: Whose picture each one is.
            resampling: Resamples; none are drawn where a group has fewer than FEWEST patients.
            repeats: Seeds that learners were trained with.
        """
        self.measure = measure
        self.members = members
        self.units = groups(members.shape[1], patients)
        self.patients = self._count(np.ones(members.shape[1], bool))
        source = resampling.rng("reading")
        is_enough = min(self.patients) >= FEWEST
        weights = draws(self.units, resampling.n, source, 2) if is_enough else ()
        self.resamples = [(w, source.integers(repeats, size=repeats)) for w in weights]

    @property
    def tested(self) -> TestedImages:
        """Numbers of test images and of test patients in each group."""
        return TestedImages(images=self.members.sum(1).tolist(), patients=self.patients)

    def subgroups(self, images: EvaluationImages, by: str) -> dict[str, np.ndarray]:
        """Test images of each subgroup in which every group has at least FEWEST patients.

        Args:
            images: Test images.
            by: Attribute; ages are grouped by decade.

        Returns:
            Value -> bool [N].
        """
        places = classes.places(images, by, "real")
        masks = {value: np.isin(np.arange(len(images)), some) for value, some in places.items()}
        return {value: mask for value, mask in masks.items() if min(self._count(mask)) >= FEWEST}

    def series(self, scores: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
        """The mean over seeds, and then that of every resample: float64 [1 + R].

        Args:
            scores: [S, N, ...], of each seed.
            among: bool [N]: only these pictures.
        """
        whole = (np.ones(len(self.units)), np.arange(len(scores)))
        return np.array(
            [
                np.mean(
                    [
                        self.measure(scores[seed], w if among is None else w * among)
                        for seed in seeds
                    ]
                )
                for w, seeds in [whole, *self.resamples]
            ]
        )

    def mean(self, scores: np.ndarray) -> SeedMean:
        """Mean over seeds with its 95 % interval, and the standard deviation over seeds.

        Args:
            scores: Scores of the test images, [seeds, N, ...].
        """
        return self._mean(scores, self.series(scores))

    def arm(
        self,
        scores: np.ndarray,
        others: Mapping[str, np.ndarray],
        masks: Mapping[str, np.ndarray],
        trained: list[list[int]],
    ) -> Arm:
        """An arm: its value, its differences from others, and the same per subgroup with the
        largest gap between two.

        Args:
            scores: [S, N, ...].
            others: Name of a difference -> the series of the arm that is taken from this one.
            masks: From `subgroups`.
            trained: Images of each group in each stage of training.
        """
        own = self.series(scores)
        mean = self._mean(scores, own)
        optional: dict[str, Any] = {}
        for name, other in others.items():
            optional[name], optional[f"{name}_ci"] = value_and_interval(own - other)
        if len(masks) > 1:
            each = np.stack([self.series(scores, mask) for mask in masks.values()])
            optional["subgroups"] = dict(zip(masks, each[:, 0].tolist(), strict=True))
            optional["gap"], ci = value_and_interval(each.max(0) - each.min(0))
            optional["gap_ci"] = _within(ci)
        return Arm(value=mean.value, ci=mean.ci, sd=mean.sd, trained=trained, **optional)

    def _mean(self, scores: np.ndarray, series: np.ndarray) -> SeedMean:
        value, ci = value_and_interval(series)
        each = [self.measure(one, np.ones(len(self.units))) for one in scores]
        sd = float(np.std(each, ddof=1)) if len(each) > 1 else None
        return SeedMean(value, _within(ci), sd)

    def _count(self, among: np.ndarray) -> list[int]:
        """Patients of each group."""
        return [len(np.unique(self.units[own & among])) for own in self.members]


def value_and_interval(series: np.ndarray) -> tuple[float, list[float] | None]:
    """Value and 95 % interval of `Reading.series`; the interval is None for too few patients."""
    again = series[1:][np.isfinite(series[1:])]
    return float(series[0]), interval(float(series[0]), again) if len(again) > 1 else None


def _within(ci: list[float] | None) -> list[float] | None:
    return ci and [max(0.0, ci[0]), min(1.0, ci[1])]
