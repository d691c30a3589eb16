"""Scores of pairs of pictures: synthetic images and their nearest training images, edits and their
originals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics.image_similarity import (
    SIMILARITIES,
    WINDOW,
    Similarity,
    compare,
    patients_of,
    read_edits,
)
from latentdrift.evaluate.privacy.copy_detection import Copies
from latentdrift.evaluate.statistics.bootstrap import groups, mean_interval, part_of
from latentdrift.evaluate.statistics.results import Metric
from latentdrift.resampling import Resampling

STRANGERS = 100  # random pairs of two real patients behind the floor of edits
MAX_PAIRS = 500  # pairs of either set that are looked at (ours)


def rows_of(features: Mapping[str, Any]) -> dict[str, Similarity]:
    """Similarities by name: SIMILARITIES, and the perceptual distance of a feature space that has
    one.

    Args:
        features: Feature spaces by label.
    """
    perceptual = [
        space.perceptual for space in features.values() if getattr(space, "perceptual", None)
    ]
    if not perceptual:
        return SIMILARITIES
    return SIMILARITIES | {
        "lpips-unweighted": lambda a, b, data_range: perceptual[0](a / data_range, b / data_range)
    }


def neighbours(
    real: EvaluationImages,
    synthetic: EvaluationImages,
    train: EvaluationImages,
    copies: Copies,
    rows: Mapping[str, Similarity],
    resampling: Resampling,
) -> dict[str, Metric]:
    """Similarities of synthetic images to their nearest training images, with held-out ones as
    floor.

    Args:
        real: Held-out real images.
        synthetic: Synthetic images.
        train: Training images.
        copies: Nearest training images of both sets.
        rows: Similarities.
        resampling: Resamples behind the intervals.

    Returns:
        Metrics by name; empty for sets of different or too small image sizes.
    """
    if (
        len({images.images.shape[1:] for images in (real, synthetic, train)}) > 1
        or min(real.images.shape[1:3]) < WINDOW
    ):
        return {}
    scores = []
    n = {"train": len(train)}
    units = np.empty(0)
    for name, images, near in (
        ("real", real, copies.real),
        ("synthetic", synthetic, copies.synthetic),
    ):
        places = part_of(len(images), MAX_PAIRS, resampling.rng("neighbours", name))
        scores.append(compare(train.images[near.index[places]], images.images[places], rows=rows))
        n[name], units = len(places), groups(len(images), images.patients)[places]
    return {
        f"{name}.nearest": _mean(scores[1][name], scores[0][name], n, units, resampling)
        for name in rows
    }


def edits(
    folder: Path, real: EvaluationImages, rows: Mapping[str, Similarity], resampling: Resampling
) -> tuple[list[dict[str, Any]], dict[str, Metric]]:
    """Similarities of originals to reconstructions and counterfactuals.

    The floor is the similarity of two real patients.

    Args:
        folder: Output of `edit`.
        real: Real images.
        rows: Similarities.
        resampling: Resamples behind the intervals.

    Returns:
        A row for each edit, and the metrics by name.
    """
    table = []
    edit_files = read_edits(folder)
    for edit in edit_files:
        flags = {
            name: bool(edit["record"].get(key))
            for name, key in (("detail", "detail"), ("patient_known", "patient"))
        }
        row: dict[str, Any] = {"name": edit["name"], **flags}
        for other in ("reconstruction", "counterfactual"):
            scores = compare(edit["original"][None], edit[other][None], rows=rows)
            row |= {f"{name}.{other}": float(values[0]) for name, values in scores.items()}
        table.append(row)
    people = groups(len(real), real.patients)
    generator = resampling.rng("strangers")
    pairs = generator.integers(len(real), size=(STRANGERS, 2))
    pairs = pairs[people[pairs[:, 0]] != people[pairs[:, 1]]]
    has_pairs = min(real.images.shape[1:3]) >= WINDOW and len(pairs)
    strangers = (
        compare(real.images[pairs[:, 0]], real.images[pairs[:, 1]], rows=rows) if has_pairs else {}
    )
    metrics = {}
    units = groups(len(edit_files), patients_of(edit_files))
    n = {"edits": len(table), "patients": int(units.max()) + 1}
    for name in table[0].keys() - {"name", "detail", "patient_known"}:
        floor = strangers.get(name.split(".")[0], np.empty(0))
        values = np.array([row[name] for row in table])
        metrics[name] = _mean(values, floor, {**n, "real": len(floor)}, units, resampling)
    finite = [
        {key: None if value == float("inf") else value for key, value in row.items()}
        for row in table
    ]
    return finite, dict(sorted(metrics.items()))


def _mean(
    values: np.ndarray,
    floor: np.ndarray,
    n: dict[str, int],
    units: np.ndarray,
    resampling: Resampling,
) -> Metric:
    """The mean with its interval over patients `units`; identical pairs, of infinite PSNR, are
    counted instead."""
    is_finite = np.isfinite(values)
    finite = values[is_finite]
    floor = floor[np.isfinite(floor)]
    ci = None
    if len(finite):
        source = resampling.rng("mean")
        ci = mean_interval(finite, units[is_finite], resampling.n, source)
    return Metric(
        value=float(finite.mean()) if len(finite) else None,
        ci=ci,
        n=n,
        floor=float(floor.mean()) if len(floor) else None,
        identical=int(np.isinf(values).sum()),
    )
