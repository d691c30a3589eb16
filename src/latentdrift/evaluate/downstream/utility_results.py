"""Results of the comparison of networks that learn from real and synthetic images, as `utility` of
report.json holds them."""

from __future__ import annotations

from latentdrift.evaluate.statistics.results import Interval, ResultModel


class TestedImages(ResultModel):
    """Real test images and patients of each group."""

    __test__ = False

    images: list[int]
    patients: list[int]


class CurvePoint(ResultModel):
    """Value of an arm with `n` synthetic images."""

    n: int
    value: float
    ci: Interval | None
    sd: float | None
    """Standard deviation over seeds."""


class Arm(ResultModel):
    """Networks that learned from the same images."""

    value: float
    """Mean over seeds."""
    ci: Interval | None
    sd: float | None
    """Standard deviation over seeds."""
    difference: float | None = None
    """Value minus that of the arm `real`."""
    difference_ci: Interval | None = None
    augmented_difference: float | None = None
    """Value minus that of the arm `real, augmented`."""
    augmented_difference_ci: Interval | None = None
    gan_difference: float | None = None
    """Value minus that of the arm `real + GAN`."""
    gan_difference_ci: Interval | None = None
    subgroups: dict[str, float] | None = None
    """Value by the values of an attribute."""
    gap: float | None = None
    """Largest difference between two subgroups."""
    gap_ci: Interval | None = None
    trained: list[list[int]]
    """Images of each group in each stage of training."""


class Utility(ResultModel):
    """Comparison of networks on real test images."""

    classes: str
    """Task of the networks."""
    groups: list[str]
    network: str
    measure: str
    """AUC or Dice."""
    steps: int
    """Optimiser steps of each network."""
    repeats: int
    """Seeds of each arm."""
    tested: TestedImages
    arms: dict[str, Arm]
    by: str | None
    """Attribute of the subgroups."""
    chance: float
    """Value without looking at the images."""
    curves: dict[str, list[CurvePoint]]
    """Value of an arm over the number of synthetic images."""
    warnings: list[str]
