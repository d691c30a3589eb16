"""Scores of pairs of pictures: synthetic images and their nearest training images, edits and their
originals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from pydantic import ConfigDict

from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.images.recorded_edits import RecordedEdit, patients_of
from latentdrift.evaluate.metrics.image_similarity import (
    SIMILARITIES,
    WINDOW,
    Similarity,
    compare,
)
from latentdrift.evaluate.privacy.copy_detection import Copies
from latentdrift.evaluate.statistics.bootstrap import groups, mean_interval, part_of
from latentdrift.evaluate.statistics.results import Metric, ResultModel
from latentdrift.resampling import Resampling

STRANGERS = 100  # random pairs of two real patients behind the floor of edits
MAX_PAIRS = 500  # pairs of either set that are looked at (ours)

FeatureSpace = Callable[[np.ndarray], np.ndarray]
"""Images [N, H, W, 3] in [0, 1] -> features [N, D]. It may have a `perceptual` distance."""


class EditScores(ResultModel):
    """An edit. Each further key, such as `ssim.counterfactual`, is a similarity to the original."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None]

    name: str
    detail: bool
    """Whether the change alone was put on the original."""
    patient_known: bool

    @classmethod
    def of(cls, edit: RecordedEdit, similarities: Mapping[str, float]) -> EditScores:
        """Scores of an edit; an infinite similarity is written as null."""
        record = edit.record
        finite = {name: None if np.isinf(x) else x for name, x in similarities.items()}
        return cls.model_validate(
            {
                "name": edit.name,
                "detail": record.is_on_original,
                "patient_known": record.patient is not None,
                **finite,
            }
        )

    @property
    def similarities(self) -> dict[str, float | None]:
        """Similarities to the original by name."""
        return dict(self.__pydantic_extra__)


def similarities_of(spaces: Mapping[str, FeatureSpace]) -> dict[str, Similarity]:
    """Similarities by name: SIMILARITIES, and the perceptual distance of a feature space that has
    one.

    Args:
        spaces: Feature spaces by name.
    """
    distances = (getattr(space, "perceptual", None) for space in spaces.values())
    perceptual = [distance for distance in distances if distance is not None]
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


def score_edits(
    edits: Sequence[RecordedEdit],
    real: EvaluationImages,
    rows: Mapping[str, Similarity],
    resampling: Resampling,
) -> tuple[list[EditScores], dict[str, Metric]]:
    """Similarities of originals to reconstructions and counterfactuals.

    The floor is the similarity of two real patients.

    Args:
        edits: At least one edit.
        real: Real images.
        rows: Similarities.
        resampling: Resamples behind the intervals.

    Returns:
        The scores of each edit, and the metrics by name.
    """
    similarities = [_similarities(edit, rows) for edit in edits]
    people = groups(len(real), real.patients)
    generator = resampling.rng("strangers")
    pairs = generator.integers(len(real), size=(STRANGERS, 2))
    pairs = pairs[people[pairs[:, 0]] != people[pairs[:, 1]]]
    has_pairs = min(real.images.shape[1:3]) >= WINDOW and len(pairs)
    strangers = (
        compare(real.images[pairs[:, 0]], real.images[pairs[:, 1]], rows=rows) if has_pairs else {}
    )
    units = groups(len(edits), patients_of(edits))
    n = {"edits": len(edits), "patients": int(units.max()) + 1}
    metrics = {}
    for name in sorted(similarities[0]):
        floor = strangers.get(name.split(".")[0], np.empty(0))
        values = np.array([row[name] for row in similarities])
        metrics[name] = _mean(values, floor, {**n, "real": len(floor)}, units, resampling)
    scores = [EditScores.of(edit, row) for edit, row in zip(edits, similarities, strict=True)]
    return scores, metrics


def _similarities(edit: RecordedEdit, rows: Mapping[str, Similarity]) -> dict[str, float]:
    """Similarities of an edit to its original, `<similarity>.<state>`."""
    similarities: dict[str, float] = {}
    for state, picture in edit.pictures.items():
        if state == "original":
            continue
        values = compare(edit.original[None], picture[None], rows=rows)
        similarities |= {f"{name}.{state}": float(value[0]) for name, value in values.items()}
    return similarities


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
