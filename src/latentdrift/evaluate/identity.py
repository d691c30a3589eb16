"""Yardsticks from repeat visits: how well a measure knows a patient again, and whether synthetic pictures come as near as that.

A nearest neighbour means little in a space that cannot tell patients apart. Where patients have several visits, the space can be
asked: how often is the picture that is nearest to a visit another visit of the same patient? And a distance between two visits
of one patient is a distance that says "the same person".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.bootstrap import FEWEST, groups, mean_interval, rng
from latentdrift.evaluate.overlay import nearest, structure
from latentdrift.evaluate.privacy import Copies, nearest_features, same_patient
from latentdrift.evaluate.scores import Vectors


@dataclass(frozen=True)
class Repeats:
    """Q pictures of patients who have more than one, among the G pictures of a gallery: the real ones, then the training ones.

    Attributes:
        query: positions in the real set [Q].
        itself: which picture of the gallery each one is [Q, G].
        same: which are other pictures of its patient [Q, G].
        patients: of the queries.
    """

    query: np.ndarray
    itself: np.ndarray
    same: np.ndarray
    patients: list[str]

    def recognised(self, index: np.ndarray, bootstrap: int, seed: int) -> dict[str, Any]:
        """Rank-1 accuracy: the share of queries whose nearest other picture, at `index` [Q], is of the same patient.

        Floor: what a random picture of the gallery would reach. The interval resamples patients.
        """
        hits = self.same[np.arange(len(index)), index].astype(float)
        units = groups(len(hits), self.patients)
        return {
            "value": float(hits.mean()),
            "ci": _within(mean_interval(hits, units, bootstrap, rng(seed, "recognised"))),
            "n": {"real": len(hits), "patients": int(units.max()) + 1, "gallery": self.same.shape[1]},
            "floor": float((self.same.sum(1) / (~self.itself).sum(1)).mean()),
        }


def repeats(real: ImageSet, train: ImageSet) -> Repeats | None:
    """The real pictures that have another visit; None where patients are not known or fewer than FEWEST have one."""
    if real.patients is None or train.patients is None:
        return None
    ours, theirs = np.asarray(real.patients, dtype=str), np.asarray([*real.patients, *train.patients], dtype=str)
    itself = np.eye(len(ours), len(theirs), dtype=bool)
    if real is train:
        itself[:, len(ours) :] = np.eye(len(ours), dtype=bool)
    same = (ours[:, None] == theirs[None]) & ~itself
    query = np.flatnonzero(same.any(1))
    if len(set(ours[query])) < FEWEST:
        return None
    return Repeats(query, itself[query], same[query], list(ours[query]))


def closer(synthetic: np.ndarray, own: np.ndarray, held_out: np.ndarray, bootstrap: int, seed: int) -> dict[str, Any]:
    """How often a synthetic picture is nearer to its nearest training picture than a patient's visit to another visit of theirs.

    Args:
        synthetic, own, held_out: nearness (the larger, the nearer) of synthetic pictures to the training set [N], of repeat
            visits to the nearest visit of the same patient [Q], and of held-out patients to the training set [M].

    Returns:
        A metric; value: the share of pairs of a synthetic picture and a repeat visit, ties counted half; floor: the same for
        held-out patients.
    """
    known = held_out[np.isfinite(held_out)]
    each = _share_below(own, synthetic)
    return {
        "value": float(each.mean()),
        "ci": _within(mean_interval(each, groups(len(each)), bootstrap, rng(seed, "closer"))),
        "n": {"synthetic": len(synthetic), "repeat visits": len(own)},
        "floor": float(_share_below(own, known).mean()) if len(known) else None,
    }


def recognition(
    real: ImageSet, train: ImageSet, found: Copies, spaces: Mapping[str, Vectors], *, bootstrap: int, seed: int
) -> dict[str, dict[str, Any]]:
    """How well each measure knows a patient again, and whether synthetic images come as near; nothing without repeat visits.

    Args:
        real, train: the images.
        found: nearest training images by pixels.
        spaces: label -> features of the three sets.
        bootstrap, seed: of the intervals.
    """
    again = repeats(real, train)
    if again is None:
        return {}
    metrics = {}
    for label, vectors in spaces.items():
        ours, theirs, known = (np.asarray(x, dtype=np.float64) for x in (vectors.real, vectors.synthetic, vectors.train))
        asked, gallery = ours[again.query], np.concatenate([ours, known])
        metrics[f"recognised.{label}"] = again.recognised(nearest_features(asked, gallery, again.itself).index, bootstrap, seed)
        own = nearest_features(asked, gallery, ~again.same).value
        near, usual = nearest_features(theirs, known), nearest_features(ours, known, same_patient(real, train))
        metrics[f"closer.{label}"] = closer(-near.value, -own, -usual.value, bootstrap, seed)
    seen = structure(np.asarray(real.images)[again.query])
    all_real = structure(np.concatenate([np.asarray(real.images), np.asarray(train.images)]))
    metrics["recognised.pixel"] = again.recognised(nearest(seen, all_real, again.itself).index, bootstrap, seed)
    visits = nearest(seen, all_real, ~again.same).value
    strangers = found.real.value[found.real.value > -1]
    metrics["closer.pixel"] = closer(found.synthetic.value, visits, strangers, bootstrap, seed)
    return metrics


def _share_below(own: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value the share of `own` below it, ties counted half."""
    ordered = np.sort(own)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(ordered))


def _within(ends: list[float] | None) -> list[float] | None:
    """An interval of a share."""
    return None if ends is None else [max(0.0, ends[0]), min(1.0, ends[1])]
