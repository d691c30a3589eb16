"""Metrics of a variant's images: brightness, latents and distances, against real images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from latentdrift.evaluate.features.features import Space, load_features
from latentdrift.evaluate.images.brightness import levels
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.metrics.distribution_metrics import DISTANCES, judge
from latentdrift.model.base import Base
from latentdrift.resampling import Resampling
from latentdrift.study.benchmarks.benchmark import Bench
from latentdrift.study.benchmarks.variant_result import Metrics, RunMetric

KINDS = ("frechet", "kid")  # rows of DISTANCES that a variant is judged by
PARTS = {"value", "ci", "floor", "matched"}  # of each distance, as the files of a bench hold them


@dataclass(frozen=True)
class Judge:
    """Real pictures, as synthetic ones are judged against them."""

    pictures: np.ndarray
    """[N, R, R, 3] in [0, 1]."""
    patients: list[str] | None
    spaces: Mapping[str, Space]
    features: Mapping[str, np.ndarray]
    resamples: int

    @classmethod
    def open(cls, bench: Bench, real: EvaluationImages) -> Judge:
        """Compute the features of real images, with which synthetic ones are compared.

        Args:
            bench: The bench; gives feature spaces, device and resamples.
            real: Real test images.
        """
        pocket = Base.load("pocket", device=bench.options.device, precision="fp32")
        spaces = load_features(
            bench.options.features,
            pocket=pocket.features,
            resolution=pocket.resolution,
            device=str(pocket.device),
        )
        features = {name: space(real.images) for name, space in spaces.items()}
        return cls(
            np.asarray(real.images), real.patients, spaces, features, bench.options.bootstrap
        )

    def __call__(
        self, base: Base, pictures: np.ndarray, seed: int, whose: list[str] | None = None
    ) -> Metrics:
        """Everything that is said of pictures [N, R, R, 3] in [0, 1]; `whose` are the patients of
        edits."""
        latent_dc, real_latent_dc = (channel_means(base, x) for x in (pictures, self.pictures))
        metrics: Metrics = {
            **levels(pictures, self.pictures),
            "latent_dc": latent_dc,
            "real_latent_dc": real_latent_dc,
            "latent_dc_error": float(np.abs(np.subtract(latent_dc, real_latent_dc)).mean()),
        }
        for name, space in self.spaces.items():
            vectors = space(pictures)
            for kind in KINDS:
                judged = judge(
                    DISTANCES[kind],
                    self.features[name],
                    vectors,
                    self.patients,
                    whose=whose,
                    resampling=Resampling(self.resamples, seed),
                )
                metrics[f"{kind}_{name}"] = RunMetric(**judged.model_dump(include=PARTS))
        return metrics


def channel_means(base: Base, pictures: np.ndarray) -> list[float]:
    """Mean [C] of the scaled latents of images, encoded again.

    Args:
        base: Base with the autoencoder.
        pictures: [N, R, R, 3] in [0, 1].
    """
    x = 2 * torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() - 1
    return (
        torch.cat([base.moments(part)[0].mean((2, 3)) for part in x.split(8)])
        .double()
        .mean(0)
        .tolist()
    )
