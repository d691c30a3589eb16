"""Membership inference from a table of losses: does a model betray the patients of its training
set?

An attacker who has the model and a picture asks how well the model predicts that picture: unusually
well for one that it was trained on (Yeom et al. 2018). A plain loss mixes that with how easy a
picture is, so the loss is also read against that of a model that has not seen it (difficulty
calibration, Watson et al. 2022): the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from latentdrift.display.html_report import Colour
from latentdrift.errors import InputError
from latentdrift.evaluate.statistics.auc import auc
from latentdrift.evaluate.statistics.bootstrap import groups
from latentdrift.resampling import Resampling

FEWEST = 5  # patients on either side, below which an area under the curve says nothing (ours)
PLAIN = 0.7  # area under the curve from which members can plainly be told (ours)
SURE = 0.05 / 2  # error that is allowed of each of the two tests, one per score (Bonferroni)
SCORES = {
    "loss": "loss of the adapted model",
    "ratio": "loss of the adapted model over that of the base",
}


@dataclass(frozen=True)
class Losses:
    """Losses of N images, each at the same times and noise under both models.

    Attributes:
        member: Whether the model was trained on each [N].
        adapted, base: Mean losses [N], above 0.
        patients: Patient of each picture; None: unknown.
    """

    member: np.ndarray
    adapted: np.ndarray
    base: np.ndarray
    patients: Sequence[str] | None = None

    def scores(self) -> dict[str, np.ndarray]:
        """Membership scores [N] for each row of SCORES, higher for members.

        `loss` is -log(loss of the adapter). `ratio` is log(loss of the base) - log(loss of the
        adapter).
        """
        return {"loss": -np.log(self.adapted), "ratio": np.log(self.base) - np.log(self.adapted)}


@dataclass(frozen=True)
class GroupCounts:
    """Numbers of patients or images that the model was trained on, and of others."""

    members: int
    others: int


@dataclass(frozen=True)
class GroupMeans:
    """Mean loss of the images that the model was trained on, and of others."""

    members: float
    others: float


@dataclass(frozen=True)
class Separation:
    """How well a score separates training patients from others."""

    auc: float
    """Area under the ROC curve: 0.5 for no separation, 1 for a complete one."""
    ci: list[float] | None
    """95 % interval over patients; None for too few of them."""
    p: float
    """One-sided probability of such an area without separation."""


@dataclass(frozen=True)
class Membership:
    """Result of a membership inference attack."""

    patients: GroupCounts
    images: GroupCounts
    scores: dict[str, Separation]
    """Row of SCORES -> separation by this score."""
    means: dict[str, GroupMeans]
    """Mean losses of the `adapted` model and of the `base`."""

    def to_dict(self) -> dict[str, Any]:
        """Content for audit.json; each score is a key of its own."""
        scores = {name: asdict(separation) for name, separation in self.scores.items()}
        return {
            "patients": asdict(self.patients),
            "images": asdict(self.images),
            **scores,
            "means": {name: asdict(means) for name, means in self.means.items()},
        }


def membership(losses: Losses, resampling: Resampling = Resampling(1000)) -> Membership:
    """Measure how well losses separate training patients from others, by the area under the ROC
    curve.

    It is 0.5 for no separation and 1 for a complete one. A patient's score is the mean over images.
    The interval resamples patients. `p` is the one-sided probability of such an area without
    separation (Mann & Whitney 1947). It is valid for few patients, too.

    Args:
        losses: Losses of members and others.
        resampling: Resamples behind the intervals.

    Raises:
        InputError: No images on one side, or losses that are not finite and above 0.
    """
    both = np.stack([losses.adapted, losses.base])
    if not (np.isfinite(both).all() and (both > 0).all()):
        raise InputError(
            "some losses are not finite numbers above 0; look at the images, and give "
            "`precision=fp32`"
        )
    if losses.member.all() or not losses.member.any():
        raise InputError(
            "membership compares training images with others, and there are only the one or the "
            "other"
        )
    units = groups(len(losses.member), losses.patients)
    member = np.bincount(units, losses.member) > 0
    count = np.bincount(units)
    scores = {}
    for name, score in losses.scores().items():
        each = np.bincount(units, score) / count
        value, ci = auc(member.astype(int), each, None, resampling)
        chance = mannwhitneyu(each[member], each[~member], alternative="greater").pvalue
        scores[name] = Separation(value, ci, float(chance))
    return Membership(
        patients=_group_counts(member),
        images=_group_counts(losses.member),
        scores=scores,
        means={
            "adapted": _group_means(losses.adapted, losses.member),
            "base": _group_means(losses.base, losses.member),
        },
    )


def _group_counts(member: np.ndarray) -> GroupCounts:
    return GroupCounts(int(member.sum()), int((~member).sum()))


def _group_means(values: np.ndarray, member: np.ndarray) -> GroupMeans:
    return GroupMeans(float(values[member].mean()), float(values[~member].mean()))


def verdict(result: Membership) -> tuple[Colour, str]:
    """Traffic-light colour and sentence for a result of `membership`."""
    n = result.patients
    sentence = f"{n.members} training and {n.others} other patients"
    name = min(SCORES, key=lambda score: (result.scores[score].p, -result.scores[score].auc))
    separation = result.scores[name]
    if min(n.members, n.others) < FEWEST or separation.ci is None:
        return "grey", f"With {sentence} nothing can be said; at least {FEWEST} of each are needed."
    low, high = separation.ci
    seen = (
        f"area under the curve {separation.auc:.2f}, 95 % interval {low:.2f} to {high:.2f}, by the "
        f"{SCORES[name]}, {sentence}"
    )
    if separation.p < SURE and separation.auc >= PLAIN:
        return (
            "red",
            "Whoever has this adapter and a picture can tell whether it was trained on its patient "
            f"({seen}).",
        )
    if separation.p < SURE:
        return (
            "amber",
            f"Training patients can be told from others a little better than by chance ({seen}).",
        )
    if high >= PLAIN:
        return "amber", f"Nothing is seen, but the patients are too few to rule it out ({seen})."
    return "green", f"Training patients cannot be told from others by their loss ({seen})."
