"""Is a synthetic picture a copy of a training picture?

Pixels: two pictures are compared as small grey thumbnails. What the whole training set has in common is taken off first (on
aligned scans everybody shares the outline, and a plain correlation of 0.97 between strangers is usual), then the correlation
of what is left is taken, over mirrored and slightly cropped views of the training picture. It is 1 for a copy and does not
see brightness, contrast, re-encoding, or a little noise.
Features: Euclidean distance to the nearest training picture in a feature space.
Both are read against held-out real patients, whose nearest training picture is by chance only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentdrift.evaluate import ImageSet
from latentdrift.evaluate.bootstrap import groups, mean_interval, proportion_interval, rng

STORED, SEEN = 64, 32  # pixels on a side of a thumbnail, and of a view of it
SIDES = (1.0, 0.97, 0.94, 0.91, 0.88, 0.85)  # of the picture, that a crop keeps
CANDIDATES = 3  # training pictures whose crop is then found exactly
STEPS = (0.015, 0.006, 0.0025)  # of that search, as a share of the picture
SHRINK = 10  # pictures' worth of doubt about the common part: a handful of training pictures has none
THRESHOLD = (0.95, 0.995)  # copies lie above it; on OASIS-2 11 of 12 repeat visits of a patient lie below its lower end
DEVIATIONS = 3.0  # robust standard deviations above held-out patients: 1 honest picture in 700, if Gaussian


@dataclass(frozen=True)
class Nearest:
    """The nearest training picture of each of N pictures: its index [N], similarity or distance [N], and mirrored or not [N]."""

    index: np.ndarray
    value: np.ndarray
    mirrored: np.ndarray


def thumbnails(images: np.ndarray) -> np.ndarray:
    """[N, H, W, 3] -> grey float32 [N, 64, 64], antialiased."""
    grey = np.asarray(images, dtype=np.float32).mean(-1)
    rows, columns = (_sampler(np.zeros(1), np.ones(1), size, STORED) for size in grey.shape[1:])
    return rows @ grey @ columns.transpose(0, 2, 1)


def nearest_pixels(query: np.ndarray, train: np.ndarray, forbidden: np.ndarray | None = None) -> Nearest:
    """The most similar training picture (`value` is the similarity, 1 for a copy).

    Args:
        query, train: thumbnails [N, 64, 64] and [T, 64, 64].
        forbidden: pairs [N, T] that do not count, e.g. two visits of one patient.
    """
    forbidden = np.zeros((len(query), len(train)), bool) if forbidden is None else forbidden
    common = _standard(train.reshape(len(train), -1))
    weight = float(np.linalg.norm(common.mean(0)) * len(train) / (len(train) + SHRINK))
    centre = common.mean(0).reshape(1, STORED, STORED)
    seen = _standard(_look(query, np.array([[0.5, 0.5, 1.0]]), np.array([False])))

    best = np.full((len(query), len(train)), -2.0, np.float32)
    which = np.zeros(best.shape, np.int32)
    for number, (place, flipped) in enumerate(_VIEWS):
        at = np.array([place]), np.array([flipped])
        shared = weight * _standard(_look(centre, *at))
        similarity = _standard(seen - shared, mean=False) @ _standard(_standard(_look(train, *at)) - shared, mean=False).T
        better = similarity > best
        best[better], which[better] = similarity[better], number
    best[forbidden] = -2.0

    rows = np.arange(len(query))
    order = np.argsort(-best, axis=1)[:, :CANDIDATES]
    index, value, mirrored = order[:, 0], np.full(len(query), -2.0), np.zeros(len(query), bool)
    for candidate in order.T:
        places = np.array([_VIEWS[v][0] for v in which[rows, candidate]])
        mirror = np.array([_VIEWS[v][1] for v in which[rows, candidate]])
        refined = _refine(seen, train[candidate], centre, weight, places, mirror)
        refined[forbidden[rows, candidate]] = -2.0
        better = refined > value
        index, value = np.where(better, candidate, index), np.where(better, refined, value)
        mirrored = np.where(better, mirror, mirrored)
    return Nearest(index, value, mirrored)


def _refine(
    seen: np.ndarray, train: np.ndarray, centre: np.ndarray, weight: float, places: np.ndarray, mirror: np.ndarray
) -> np.ndarray:
    """The similarity of each pair [N] under the crop (row, column, side) that fits best, by descent from a first guess."""
    shared = weight * _standard(_look(centre, places, mirror))
    ours = _standard(seen - shared, mean=False)

    def similarity(at: np.ndarray) -> np.ndarray:
        return (ours * _standard(_standard(_look(train, at, mirror)) - shared, mean=False)).sum(1)

    value = similarity(places)
    for step in STEPS:
        for axis in (0, 1, 2, 0, 1, 2):
            for sign in (-1.0, 1.0):
                trial = places.copy()
                trial[:, axis] += sign * step
                found = similarity(trial)
                better = found > value
                places, value = np.where(better[:, None], trial, places), np.where(better, found, value)
    return value


def _look(thumbs: np.ndarray, places: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Square crops of thumbnails, [N, 64, 64] -> [N, 32 * 32]; places [N or 1, (row, column, side)] of the crop's centre."""
    row, column, side = places.T
    rows = _sampler(row - side / 2, row + side / 2, STORED, SEEN)
    columns = _sampler(column - side / 2, column + side / 2, STORED, SEEN)
    columns = np.where(mirror[:, None, None], columns[:, ::-1], columns)
    return (rows @ thumbs @ columns.transpose(0, 2, 1)).reshape(max(len(thumbs), len(places)), -1)


def _sampler(start: np.ndarray, stop: np.ndarray, size: int, out: int) -> np.ndarray:
    """Matrices [N, out, size] that resample [start, stop] (as shares of the axis) with an antialiased linear filter."""
    scale = (stop - start)[:, None, None] * size / out
    centres = start[:, None, None] * size + (np.arange(out)[:, None] + 0.5) * scale
    weights = np.clip(1 - np.abs(np.arange(size) + 0.5 - centres) / np.maximum(scale, 1.0), 0.0, None)
    return (weights / np.maximum(weights.sum(-1, keepdims=True), 1e-6)).astype(np.float32)


def _standard(x: np.ndarray, mean: bool = True) -> np.ndarray:
    """Rows of [N, D] without their mean and of length 1; a constant row stays 0."""
    x = x - x.mean(1, keepdims=True) if mean else x
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)


_PLACES = [(0.5, 0.5, 1.0)] + [
    (side / 2 + a * (1 - side), side / 2 + b * (1 - side), side) for side in SIDES[1:] for a in (0, 0.5, 1) for b in (0, 0.5, 1)
]
_VIEWS = [(place, mirror) for mirror in (False, True) for place in _PLACES]


def nearest_features(query: np.ndarray, train: np.ndarray, forbidden: np.ndarray | None = None) -> Nearest:
    """The training picture at the smallest Euclidean distance (`value`) in a feature space, [N, D] and [T, D]."""
    squared = np.square(query).sum(1)[:, None] + np.square(train).sum(1)[None] - 2 * query @ train.T
    if forbidden is not None:
        squared = np.where(forbidden, np.inf, squared)
    index = squared.argmin(1)
    exact = np.linalg.norm(query - train[index], axis=1)
    return Nearest(index, np.where(np.isfinite(squared[np.arange(len(query)), index]), exact, np.nan), np.zeros(len(query), bool))


def same_patient(a: ImageSet, b: ImageSet) -> np.ndarray:
    """Pairs [len(a), len(b)] of pictures of one patient; none where patients are not known."""
    if a.patients is None or b.patients is None:
        return np.zeros((len(a), len(b)), bool)
    return np.asarray(a.patients, dtype=str)[:, None] == np.asarray(b.patients, dtype=str)[None, :]


def threshold(held_out: np.ndarray) -> float:
    """The similarity above which a picture is a copy, from held-out patients' similarities to the training set [N].

    Three robust standard deviations above them on Fisher's z scale (Fisher 1915), so that duplicates among the real pictures do
    not lift it, and within THRESHOLD: where strangers are alike by nature it moves up, and a few held-out pictures cannot move
    it out of the range that copies occupy.
    """
    known = np.asarray(held_out)[np.asarray(held_out) > -1]
    if len(known) < 5:
        return sum(THRESHOLD) / 2
    z = np.arctanh(np.clip(known, -0.999, 0.999))
    spread = np.quantile(z, 0.8413) - np.median(z)  # one standard deviation of a Gaussian, from its upper half
    return float(np.clip(np.tanh(np.median(z) + DEVIATIONS * spread), *THRESHOLD))


@dataclass(frozen=True)
class Copies:
    """What `find_copies` found: metrics for the report, its details, and the nearest training picture of every picture."""

    metrics: dict[str, dict]
    details: dict
    synthetic: Nearest
    real: Nearest


def find_copies(real: ImageSet, synthetic: ImageSet, train: ImageSet, *, bootstrap: int = 200, seed: int = 0) -> Copies:
    """Count copies, and compare nearness with that of held-out patients.

    Args:
        real: the held-out pictures. Pairs of one patient are left out, because visits of one patient are rightly alike; so
            this may even be the training set itself, where nothing was held out and patients are known.

    Returns:
        metrics `copies` (value: how many synthetic pictures are copies; floor: how many of as many held-out pictures would be
        called copies) and `nearest.pixel` (see `nearness`).
    """
    thumbs, n = thumbnails(train.images), len(synthetic)
    found = nearest_pixels(thumbnails(synthetic.images), thumbs)
    held_out = nearest_pixels(thumbnails(real.images), thumbs, same_patient(real, train))
    limit = threshold(held_out.value)
    copies, compared = found.value > limit, held_out.value > -1
    share = proportion_interval(int(copies.sum()), n)
    metrics = {
        "copies": {
            "value": int(copies.sum()),
            "ci": [share[0] * n, share[1] * n],
            "n": {"real": len(real), "synthetic": n, "train": len(train)},
            "floor": float((held_out.value[compared] > limit).mean() * n) if compared.any() else None,
        },
        "nearest.pixel": nearness(_distance(found.value), _distance(held_out.value[compared]), len(train), bootstrap, seed),
    }
    details = {
        "threshold": limit,
        "held_out": [float(value) for value in held_out.value[compared]],
        "pairs": [
            {
                "synthetic": synthetic.names[i],
                "train": train.names[found.index[i]],
                "similarity": float(found.value[i]),
                "mirrored": bool(found.mirrored[i]),
                "copy": bool(copies[i]),
            }
            for i in np.argsort(-found.value)
        ],
    }
    return Copies(metrics, details, found, held_out)


def nearness(synthetic: np.ndarray, held_out: np.ndarray, train: int, bootstrap: int, seed: int) -> dict:
    """How far synthetic pictures are from their nearest training picture, over the same for held-out patients.

    Below 1, synthetic pictures are closer to the training patients than other patients are; 1 is the floor by definition.

    Args:
        synthetic, held_out: nearest distances [N] and [M]. Held-out pictures that stand in the training set too (distance 0)
            are left out.
    """
    held_out = held_out[np.isfinite(held_out) & (held_out > 0)]
    n = {"real": len(held_out), "synthetic": len(synthetic), "train": train}
    out: dict = {"value": None, "ci": None, "n": n, "floor": 1.0}
    if len(held_out):
        relative = synthetic / held_out.mean()
        out["value"] = float(relative.mean())
        out["ci"] = mean_interval(relative, groups(len(relative)), bootstrap, rng(seed, "nearness"))
    return out


def _distance(similarity: np.ndarray) -> np.ndarray:
    return np.sqrt(np.clip(2 * (1 - similarity), 0.0, None))  # chord between unit vectors with this correlation
