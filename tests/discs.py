"""Pictures of discs: small ones and large ones, for classifiers of known skill."""

from __future__ import annotations

import numpy as np

from latentdrift.evaluate.downstream.tstr import Labelled
from latentdrift.evaluate.features.classifier import SIZE
from latentdrift.evaluate.images.image_sets import EvaluationImages


def pictures(n: int, seed: int, *, side: int = 32, size: int = SIZE) -> Labelled:
    """Noise with a bright disc, small (0) or large (1); two pictures per patient.

    Args:
        n: number of images.
        seed: of the noise.
        side: pixels on a side of the images.
        size: pixels on a side at which the network looks.
    """
    source, (row, col) = np.random.default_rng(seed), np.mgrid[:side, :side] / (side - 1) * 2 - 1
    labels = np.arange(n) // 2 % 2
    radius = np.where(labels, 0.6, 0.3)[:, None, None]
    images = np.clip(
        0.5 * (np.hypot(row, col) < radius) + source.normal(0.2, 0.05, (n, side, side)), 0, 1
    )
    return Labelled.of(
        EvaluationImages(np.repeat(images[..., None], 3, -1), [f"P{i // 2}" for i in range(n)]),
        labels,
        size,
    )
