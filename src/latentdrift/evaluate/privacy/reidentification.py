"""Re-identification of patients by repeat visits, and nearness of synthetic images against it.

A nearest neighbour means little in a space that does not separate patients. Repeat visits measure
that separation: how often the image nearest to a visit is another visit of the same patient. The
distance between two visits of one patient is then the distance of one person to themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate.features.nearest_neighbours import nearest_features, same_patient
from latentdrift.evaluate.images.fine_structure import structure
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.registration import nearest
from latentdrift.evaluate.images.search_workers import THIS_PROCESS, SearchWorkers
from latentdrift.evaluate.metrics.feature_metrics import Vectors
from latentdrift.evaluate.privacy.copy_detection import Copies
from latentdrift.evaluate.statistics.bootstrap import (
    FEWEST,
    draws,
    groups,
    interval,
    mean_interval,
    units_of,
)
from latentdrift.evaluate.statistics.results import Interval, Metric
from latentdrift.resampling import Resampling


@dataclass(frozen=True)
class Repeats:
    """Q pictures of patients who have more than one, among the G pictures of a gallery: the real
    ones, then the training ones.

    Attributes:
        query: Positions in the real set [Q], which are those in the gallery.
        patients: Patient of each picture in the gallery [G].
        pictures: Which picture each one of the gallery is [G]; one that stands there twice has one
            number.
    """

    query: np.ndarray
    patients: np.ndarray
    pictures: np.ndarray

    def itself(self, rows: slice, columns: slice) -> np.ndarray:
        """Pairs of a query and its own image in the gallery, bool [q, g].

        Args:
            rows: Slice of the queries.
            columns: Slice of the gallery.
        """
        result: np.ndarray = self.pictures[self.query[rows], None] == self.pictures[None, columns]
        return result

    def others(self, rows: slice, columns: slice) -> np.ndarray:
        """Pairs of different patients, and of a query and itself, bool [q, g].

        Args:
            rows: Slice of the queries.
            columns: Slice of the gallery.
        """
        result: np.ndarray = (
            self.patients[self.query[rows], None] != self.patients[None, columns]
        ) | self.itself(rows, columns)
        return result

    def recognised(self, index: np.ndarray, resampling: Resampling) -> Metric:
        """Rank-1 accuracy: share of queries whose nearest other image is of the same patient.

        The floor is the accuracy of a random choice. The interval resamples patients.

        Args:
            index: Position of the nearest other image in the gallery, [Q].
            resampling: Resamples behind the interval.
        """
        hits = (self.patients[index] == self.patients[self.query]).astype(float)
        units = groups(len(hits), list(self.patients[self.query]))
        itself = _times(self.pictures)[self.query]
        others = _times(self.patients)[self.query] - itself
        ci = mean_interval(hits, units, resampling.n, resampling.rng("recognised"))
        patients = int(units.max()) + 1
        return Metric(
            value=float(hits.mean()),
            ci=_within(ci),
            n={"real": len(hits), "patients": patients, "gallery": len(self.patients)},
            floor=float((others / (len(self.patients) - itself)).mean()),
        )


def repeats(real: EvaluationImages, train: EvaluationImages) -> Repeats | None:
    """Real images of patients with another visit.

    Args:
        real: Held-out real images.
        train: Training images.

    Returns:
        Queries and gallery; None where patients are unknown or fewer than FEWEST have two visits.
    """
    if real.patients is None or train.patients is None:
        return None
    patients = np.asarray([*real.patients, *train.patients], dtype=str)
    pictures = np.tile(np.arange(len(real)), 2) if real is train else np.arange(len(patients))
    query = np.flatnonzero((_times(patients) > _times(pictures))[: len(real)])
    if len(set(patients[query])) < FEWEST:
        return None
    return Repeats(query, patients, pictures)


def _times(labels: np.ndarray) -> np.ndarray:
    """Number of times that each label stands among all [N]."""
    _, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    return count[place]


def closer(
    synthetic: np.ndarray,
    own: np.ndarray,
    held_out: np.ndarray,
    units: tuple[np.ndarray, np.ndarray],
    resampling: Resampling,
) -> Metric:
    """Share of synthetic images that are nearer to a training image than a visit is to another
    visit of the same patient.

    Args:
        synthetic, own, held_out: Nearness (the larger, the nearer) of synthetic pictures to the
            training set [N], of repeat visits to the nearest visit of the same patient [Q], and of
            held-out patients to the training set [M].
        units: The patients of the synthetic pictures [N] and of the repeat visits [Q]. Both are
            resampled.
        resampling: Resamples behind the interval.

    Returns:
        Share of pairs of a synthetic picture and a repeat visit, ties counted half; floor: the same
        for held-out patients.
    """
    known = held_out[np.isfinite(held_out)]
    even = np.ones(len(own))
    value = float(_share_below(own, even, synthetic).mean())
    again = [
        float(np.average(_share_below(own, b, synthetic), weights=a))
        for a, b in zip(
            draws(units[0], resampling.n, resampling.rng("closer")),
            draws(units[1], resampling.n, resampling.rng("closer", "own")),
            strict=True,
        )
    ]
    enough = min(len(np.unique(part)) for part in units) >= FEWEST
    return Metric(
        value=value,
        ci=_within(interval(value, again)) if enough else None,
        n={"synthetic": len(synthetic), "repeat visits": len(own)},
        floor=float(_share_below(own, even, known).mean()) if len(known) else None,
    )


def recognition(
    real: EvaluationImages,
    synthetic: EvaluationImages,
    train: EvaluationImages,
    copies: Copies,
    spaces: Mapping[str, Vectors],
    *,
    resampling: Resampling,
    workers: SearchWorkers = THIS_PROCESS,
) -> dict[str, Metric]:
    """Recognition of repeat visits by each measure, and nearness of synthetic images against it;
    nothing without repeat visits.

    Args:
        real, synthetic, train: The images.
        copies: Result of the copy search: the nearest training images by pixels.
        spaces: Label -> features of the three sets.
        resampling: Resamples behind each interval.
        workers: Workers that share the search by pixels.
    """
    again = repeats(real, train)
    if again is None:
        return {}
    units = units_of(synthetic), groups(len(again.query), list(again.patients[again.query]))
    metrics: dict[str, Metric] = {}
    for label, vectors in spaces.items():
        assert vectors.train is not None
        sets = vectors.real[again.query], vectors.real, vectors.train
        known = nearest_features(*sets, forbidden=again.itself).index
        metrics[f"recognised.{label}"] = again.recognised(known, resampling)
        own = nearest_features(*sets, forbidden=again.others).value
        near = nearest_features(vectors.synthetic, vectors.train)
        usual = nearest_features(vectors.real, vectors.train, forbidden=same_patient(real, train))
        metrics[f"closer.{label}"] = closer(-near.value, -own, -usual.value, units, resampling)
    seen = real.take(again.query).images
    gallery = structure(real.images, train.images, workers=workers)
    known = nearest(seen, gallery, again.itself, workers=workers).index
    metrics["recognised.pixel"] = again.recognised(known, resampling)
    visits = nearest(seen, gallery, again.others, workers=workers).value
    strangers = copies.real.value[copies.real.value > -1]
    metrics["closer.pixel"] = closer(copies.synthetic.value, visits, strangers, units, resampling)
    return metrics


def _share_below(own: np.ndarray, weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value the share of the weighted `own` below it, ties counted half."""
    order = np.argsort(own)
    ordered = own[order]
    total = np.concatenate([[0.0], np.cumsum(weights[order])])
    below, to = (total[np.searchsorted(ordered, values, side)] for side in ("left", "right"))
    result: np.ndarray = (below + to) / (2 * total[-1])
    return result


def _within(ends: Interval | None) -> Interval | None:
    """An interval of a share."""
    return None if ends is None else [max(0.0, ends[0]), min(1.0, ends[1])]
