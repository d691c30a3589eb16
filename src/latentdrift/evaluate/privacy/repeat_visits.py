"""Differences between two visits of a patient, in predicted attributes and in features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
from pydantic import Field

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import PatientResampling, rng
from latentdrift.evaluate.statistics.results import Interval, ResultModel

Space = Callable[[np.ndarray], np.ndarray]
"""Pictures [N, H, W, 3] in [0, 1] -> features [N, D]."""

MIN_PAIRS = 5  # pairs of visits, below which pairs of different patients stand in (ours)
MAX_PAIRS = 2000  # pairs that are looked at
QUANTILE = 0.05  # of the similarity of two visits: what is below it is not like the same patient


def pairs_of(real: EvaluationImages) -> np.ndarray:
    """All pairs of images of one patient, as positions [P, 2]."""
    if real.patients is None:
        return np.empty((0, 2), int)
    places: dict[str, list[int]] = {}
    for place, patient in enumerate(real.patients):
        places.setdefault(patient, []).append(place)
    pairs = [pair for own in places.values() for pair in combinations(own, 2)]
    return np.array(pairs[:MAX_PAIRS], int).reshape(-1, 2)


def strangers(real: EvaluationImages, seed: int) -> np.ndarray:
    """Random pairs of images of different patients, at most MAX_PAIRS, as positions [P, 2]."""
    pairs = rng(seed, "strangers").integers(len(real), size=(MAX_PAIRS, 2))
    patients = np.arange(len(real)) if real.patients is None else np.asarray(real.patients)
    result: np.ndarray = pairs[patients[pairs[:, 0]] != patients[pairs[:, 1]]]
    return result


def spread(seen: np.ndarray, visits: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    """Root mean square difference of predictions between two visits.

    Args:
        seen: Predictions [N, K].
        visits: Pairs of visits, as positions [P, 2]. Below MIN_PAIRS pairs, random pairs of
            different patients replace them.
        seed: Seed of these pairs.

    Returns:
        The difference [K]; and "visits" or "patients", the kind of pairs.
    """
    whose = "visits"
    pairs = visits
    if len(pairs) < MIN_PAIRS:
        whose = "patients"
        pairs = rng(seed, "spread").integers(len(seen), size=(MAX_PAIRS, 2))
    size = np.sqrt(np.square(seen[pairs[:, 0]] - seen[pairs[:, 1]]).mean(0))
    return np.maximum(size, 1e-6), whose


class Identity(ResultModel):
    """Similarity of edits to their originals beside that of two visits of a patient."""

    counterfactual: float
    reconstruction: float
    visits: float
    strangers: float | None
    limit: float
    """Similarity that 95 % of repeat visits reach."""
    passing: float = Field(validation_alias="kept", serialization_alias="kept")
    """Share of the counterfactuals that reach the limit."""
    passing_ci: Interval | None = Field(validation_alias="kept_ci", serialization_alias="kept_ci")
    strangers_passing: float | None = Field(
        validation_alias="strangers_kept", serialization_alias="strangers_kept"
    )
    """Share of the pairs of different patients that reach the limit."""
    n: dict[str, int]


def between(seen: np.ndarray, truths: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Difference of the mean predictions of the two real classes; for a number, two standard
    deviations.

    Args:
        seen: Predictions [N, K].
        truths: Labels [N, K]; NaN: unknown.
        numbers: Whether each output is a number, bool [K].

    Returns:
        [K]; NaN where one class is missing.
    """
    distances = np.full(seen.shape[1], np.nan)
    for place in range(seen.shape[1]):
        sides = [seen[truths[:, place] == label, place] for label in (0, 1)]
        if numbers[place]:
            distances[place] = 2 * seen[:, place].std()
        elif min(map(len, sides)):
            distances[place] = abs(sides[1].mean() - sides[0].mean())
    return np.where(distances > 0, distances, np.nan)


def identity(
    space: Space,
    sets: Mapping[str, EvaluationImages],
    real: EvaluationImages,
    people: PatientResampling,
) -> Identity | None:
    """Similarity of edits to their originals, beside that of two visits of a patient.

    It is the cosine of features minus the mean of the real ones.

    Args:
        space: Feature space.
        sets: State of the edits -> images, with the originals.
        real: Held-out real images.
        people: Patients of the edits, for the intervals.

    Returns:
        The similarities; None for fewer than MIN_PAIRS pairs of visits.
    """
    visits = pairs_of(real)
    if len(visits) < MIN_PAIRS:
        return None
    features = np.asarray(space(real.images), dtype=np.float64)
    mean = features.mean(0)
    original, again, edited = (
        np.asarray(space(sets[name].images), dtype=np.float64) for name in sets
    )
    same, other = (
        _cosine(features[p[:, 0]] - mean, features[p[:, 1]] - mean)
        for p in (visits, strangers(real, people.resampling.seed))
    )
    limit = float(np.quantile(same, QUANTILE))
    similarity = _cosine(edited - mean, original - mean)
    hits = similarity >= limit
    return Identity(
        counterfactual=float(similarity.mean()),
        reconstruction=float(_cosine(again - mean, original - mean).mean()),
        visits=float(same.mean()),
        strangers=float(other.mean()) if len(other) else None,
        limit=limit,
        passing=float(hits.mean()),
        passing_ci=people.share(hits),
        strangers_passing=float((other >= limit).mean()) if len(other) else None,
        n={"edits": len(similarity), "patients": people.patients, "visits": len(visits)},
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    result: np.ndarray = (a * b).sum(1) / np.maximum(
        np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12
    )
    return result
