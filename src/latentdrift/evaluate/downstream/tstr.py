"""Train on synthetic, test on real: a classifier learns from images and is tested on real ones.

The classifier is by default a small network that starts from nothing, so its score says what the
pictures taught it. It takes the same number of optimiser steps whatever the number of pictures:
more of them are never more training (de Wilde et al. 2024).

    real                       utility([real], test)
    synthetic                  utility([synthetic], test)
    real + synthetic           utility([real.take(n, seed) + synthetic.take(n, seed)], test)
    synthetic, then real       utility([synthetic, real], test)
    dose curve                 utility([synthetic.take(n, seed)], test) over n
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdrift.errors import InputError
from latentdrift.evaluate.downstream.augmentation import AUGMENTATIONS
from latentdrift.evaluate.downstream.class_labels import MIN_IMAGES
from latentdrift.evaluate.features.classifier import SIZE, SMALL, Network
from latentdrift.evaluate.features.optimization import minimize
from latentdrift.evaluate.features.resizing import resize
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.auc import auc
from latentdrift.evaluate.statistics.bootstrap import rng
from latentdrift.resampling import Resampling
from latentdrift.seeds import generator

BATCH = 32  # pictures per step, half of each class (A batch of 32: de Wilde et al. 2024)
STEPS = 400
CHUNK = 64  # pictures that are read at a time


@dataclass(frozen=True)
class Labelled:
    """Pictures of two classes, as the classifier sees them.

    Attributes:
        x: float32 [N, 3, S, S] in [0, 1].
        labels: int [N], 1 for the class that is looked for and 0 for the rest.
        patients: Patient of each picture; None: unknown.
    """

    x: Tensor
    labels: np.ndarray
    patients: list[str] | None = None

    @classmethod
    def of(
        cls, pictures: EvaluationImages, labels: Sequence[int] | np.ndarray, size: int = SIZE
    ) -> Labelled:
        """Resize images, and attach their labels.

        Args:
            pictures: Images of any size.
            labels: 0 or 1 for each.
            size: Pixels on a side.

        Raises:
            InputError: Not one label of 0 or 1 for each image.
        """
        marks = np.asarray(labels)
        if len(marks) != len(pictures) or not np.isin(marks, (0, 1)).all():
            raise InputError(
                f"{len(pictures)} pictures come with {len(marks)} labels, "
                f"{sorted(set(marks.tolist()))[:5]} among them; give each picture a 1 or a 0"
            )
        return cls(looked_at(pictures, size), marks.astype(int), pictures.patients)

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: Labelled) -> Labelled:
        """Both; patients stay only where both sets know them."""
        patients = (
            None
            if self.patients is None or other.patients is None
            else [*self.patients, *other.patients]
        )
        return Labelled(
            torch.cat([self.x, other.x]), np.concatenate([self.labels, other.labels]), patients
        )

    def take(self, n: int, seed: int) -> Labelled:
        """Random choice of at most n images; the shares of the classes stay, to one image."""
        ones = round(n * self.labels.mean())
        wanted = {0: n - ones, 1: ones}
        source = rng(seed, "take")
        places = np.sort(
            np.concatenate(
                [
                    source.permutation(np.flatnonzero(self.labels == label))[:limit]
                    for label, limit in wanted.items()
                ]
            )
        )
        patients = None if self.patients is None else [self.patients[place] for place in places]
        return Labelled(self.x[places], self.labels[places], patients)

    def fewer(self, share: float, seed: int) -> Labelled:
        """Random share of the images, with at least MIN_IMAGES of each class.

        Args:
            share: Share in (0, 1].
            seed: Seed of the choice.
        """
        rarest = min(self.labels.mean(), 1 - self.labels.mean())
        return self.take(max(round(share * len(self)), math.ceil(MIN_IMAGES / rarest)), seed)

    @property
    def members(self) -> np.ndarray:
        """Images of class 0 and images of class 1, bool [2, N]."""
        return np.stack([self.labels == label for label in (0, 1)])

    def check(self, use: str) -> None:
        """Check that each class has enough images.

        Args:
            use: "trained" or "tested", for the message.

        Raises:
            InputError: Fewer than MIN_IMAGES images of a class.
        """
        ones = int(self.labels.sum())
        if min(ones, len(self) - ones) < MIN_IMAGES:
            raise InputError(
                f"a classifier is {use} on at least {MIN_IMAGES} pictures of each class, and these "
                f"are {ones} of the class that is looked for and {len(self) - ones} of the rest; "
                "take another class, or more pictures"
            )


def looked_at(pictures: EvaluationImages, size: int) -> Tensor:
    """Resize images to [N, 3, size, size] in [0, 1], CHUNK images at a time."""
    parts = range(0, len(pictures), CHUNK)
    return torch.cat([resize(pictures.images[first : first + CHUNK], size) for first in parts])


@dataclass(frozen=True)
class ClassifierScores:
    """Scores of a classifier on the test images."""

    scores: np.ndarray
    """[M], the log-odds of class 1 for each test picture."""
    auc: float
    ci: list[float] | None
    """95 % interval of the AUC over resampled patients."""
    trained: list[tuple[int, int]]
    """Pictures of (class 0, class 1) in each stage."""
    tested: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """Content for the files of a bench, without the scores of single images."""
        return {"value": self.auc, "ci": self.ci, "trained": self.trained, "tested": self.tested}


def utility(
    train: Sequence[Labelled],
    test: Labelled,
    *,
    steps: int = STEPS,
    seed: int = 0,
    resampling: Resampling | None = Resampling(),
    device: str = "cpu",
    network: Network = SMALL,
    augmentation: str = "light",
) -> ClassifierScores:
    """Train a classifier in one or several stages, and test it.

    Args:
        train: Training images of each stage; the stages share the steps.
        test: Real pictures of patients whom `train` does not hold.
        steps: Optimiser steps in all.
        seed: Seed of network, batches and augmentation; equal seeds give equal scores.
        resampling: Resamples of test patients behind the interval; None: no interval.
        device: Where the network runs.
        network: Kind of network; the images have its size.
        augmentation: A row of AUGMENTATIONS.

    Raises:
        InputError: Before work starts: too few pictures of a class, or fewer steps than stages.
    """
    for stage in train:
        stage.check("trained")
    test.check("tested")
    if not 0 < len(train) <= steps:
        raise InputError(
            f"{steps} steps cannot be shared by {len(train)} stages; give at least one stage, and "
            "a step for each"
        )
    learner = network.make(seed, 1).to(device)
    bounds = [round(steps * place / len(train)) for place in range(len(train) + 1)]
    for place, stage in enumerate(train):
        part = bounds[place + 1] - bounds[place]
        learn(
            learner,
            stage,
            part,
            generator(seed, "utility", place),
            rate=network.rate,
            augmentation=augmentation,
        )
    scores = score(learner, test.x)
    value, ci = auc(test.labels, scores, test.patients, resampling)
    return ClassifierScores(scores, value, ci, [_counts(stage) for stage in train], _counts(test))


def learn(
    network: nn.Module,
    stage: Labelled,
    steps: int,
    source: torch.Generator,
    *,
    rate: float = SMALL.rate,
    augmentation: str = "light",
) -> None:
    """Train a classifier on batches with equally many images of each class.

    Args:
        network: Network with one logit; it is changed.
        stage: Training images.
        steps: Optimiser steps.
        source: Generator of batches and augmentation.
        rate: Learning rate at the start; it falls to 0 by a cosine.
        augmentation: Row of AUGMENTATIONS.
    """
    device = next(network.parameters()).device
    members = [torch.from_numpy(np.flatnonzero(stage.labels == label)) for label in (0, 1)]
    target = torch.arange(2, dtype=torch.float32, device=device).repeat_interleave(BATCH // 2)

    def batch_loss() -> Tensor:
        places = torch.cat(
            [own[torch.randint(len(own), (BATCH // 2,), generator=source)] for own in members]
        )
        x = AUGMENTATIONS[augmentation](stage.x[places], source).to(device)
        return functional.binary_cross_entropy_with_logits(network(2 * x - 1)[:, 0], target)

    network.train()
    minimize(batch_loss, network.parameters(), steps, rate=rate)
    network.eval()


def score(network: nn.Module, x: Tensor) -> np.ndarray:
    """Log-odds [N] of class 1, float64, for images x [N, 3, S, S] in [0, 1]."""
    return predict(network, x)[:, 0]


@torch.inference_mode()
def predict(network: nn.Module, x: Tensor) -> np.ndarray:
    """Outputs [N, outputs] of a network, float64, for images x [N, 3, S, S] in [0, 1]."""
    device = next(network.parameters()).device
    return (
        torch.cat([network(2 * part.to(device) - 1).cpu() for part in x.split(BATCH)])
        .double()
        .numpy()
    )


def seconds_per_step(network: Network = SMALL) -> float:
    """Seconds of an optimiser step on this machine, from a few real steps on grey images."""
    stage = Labelled(torch.full((2, 3, network.size, network.size), 0.5), np.arange(2))
    tried = 3
    learner = network.make(0, 1)
    learn(learner, stage, 1, generator(0))  # the first step warms up
    began = time.perf_counter()
    learn(learner, stage, tried, generator(0))
    return (time.perf_counter() - began) / tried


def _counts(of: Labelled) -> tuple[int, int]:
    ones = int(of.labels.sum())
    return len(of) - ones, ones
