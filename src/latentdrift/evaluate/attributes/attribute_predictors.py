"""Judges of attributes: small networks that learned from real pictures to say how old, of which
sex, with what finding.

They look at synthetic pictures and at edits and guided none of them, so that nobody marks their own
work. One network judges all attributes of a cohort, and the mean of several is taken. The classes
of an attribute weigh the same, so that log-odds of 0 are the threshold. How good the judges are is
measured on held-out real pictures, and stands beside whatever they say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentdrift.attributes.specification import Spec
from latentdrift.errors import InputError
from latentdrift.evaluate.downstream.augmentation import AUGMENTATIONS
from latentdrift.evaluate.downstream.class_labels import Classes
from latentdrift.evaluate.downstream.tstr import BATCH, looked_at, predict
from latentdrift.evaluate.features.classifier import SMALL, Network
from latentdrift.evaluate.features.optimization import minimize
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import part_of, rng
from latentdrift.seeds import derive, generator

# training pictures of a number, and of each side of a class, below which nothing is learned (ours)
MIN_IMAGES = 10
MAX_IMAGES = 5000  # training pictures; more are sampled down


@dataclass(frozen=True)
class Output:
    """One thing that is judged: a number (`value` is None), or whether an attribute has a value."""

    attribute: str
    value: str | None = None
    unit: str = ""
    other: str | None = None
    """The only other value, where an attribute has two."""

    @property
    def name(self) -> str:
        """Name of the output: the attribute, or `attribute=value`."""
        return self.attribute if self.value is None else f"{self.attribute}={self.value}"

    def truths(self, rows: pd.DataFrame) -> np.ndarray:
        """Labels of this output in a table, float [N]: a number, or 1 and 0; NaN where the cell is
        empty."""
        if self.attribute not in rows:
            return np.full(len(rows), np.nan)
        if self.value is None:
            result: np.ndarray = pd.to_numeric(rows[self.attribute], errors="coerce").to_numpy(
                dtype=float
            )
            return result
        return Classes(self.attribute, self.value).labels(rows)


def outputs(spec: Spec, rows: pd.DataFrame) -> tuple[list[Output], list[str]]:
    """Outputs that a table can teach, and the names of those with too few images.

    Of a category with two values one is judged, of more each against the rest, and each finding.

    Args:
        spec: A cohort's attributes.
        rows: Table of the training images.
    """
    candidates = []
    for name, kind in spec.items():
        if kind.is_number:
            candidates.append(Output(name, None, kind.unit or ""))
        elif kind.type == "category" and len(kind.words) == 2:
            candidates.append(Output(name, kind.words[0], other=kind.words[1]))
        else:
            candidates += [Output(name, word, kind.unit or "") for word in kind.words]
    able = {output: _enough(output, output.truths(rows)) for output in candidates}
    return [output for output, enough in able.items() if enough], [
        output.name for output, enough in able.items() if not enough
    ]


def _enough(output: Output, truth: np.ndarray) -> bool:
    known = truth[~np.isnan(truth)]
    if output.value is None:
        return len(known) >= MIN_IMAGES and float(np.ptp(known)) > 0
    return min(int(known.sum()), int((1 - known).sum())) >= MIN_IMAGES


@dataclass(frozen=True, eq=False)
class Judges:
    """Trained judges: call them with pictures for what they see.

    Attributes:
        outputs: The K predicted outputs.
        left_out: Names of attributes that had too few pictures.
        networks: The mean of these is the judgement.
        size: Pixels on a side at which they look.
        centre, scale: [K] of the numbers; 0 and 1 for classes.
    """

    outputs: list[Output]
    left_out: list[str]
    networks: list[nn.Module]
    size: int
    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def learn(
        cls,
        images: EvaluationImages,
        spec: Spec,
        *,
        network: Network = SMALL,
        steps: int = 200,
        repeats: int = 3,
        seed: int = 0,
        device: str = "cpu",
    ) -> Judges:
        """Train attribute predictors on real images with their table.

        Args:
            images: Training images with attributes.
            spec: Attributes to learn.
            network: Kind of network.
            steps: Optimiser steps of each network.
            repeats: Number of networks, whose predictions are averaged.
            seed: Seed of weights and batches.
            device: Device of the networks.

        Raises:
            InputError: No table, or too few images for any attribute.
        """
        if images.attributes is None:
            raise InputError(
                "judges of attributes learn from real images with a table; give a cohort"
            )
        images = images.take(part_of(len(images), MAX_IMAGES, rng(seed, "judges")))
        rows = images.attributes
        assert rows is not None
        learnable, left_out = outputs(spec, rows)
        if not learnable:
            raise InputError(
                f"none of the attributes {', '.join(spec) or '(there are none)'} has {MIN_IMAGES} "
                "training images of each of its classes, so no judge can learn it; give more "
                "training images"
            )
        truth = np.stack([output.truths(rows) for output in learnable], 1)
        numbers = np.array([output.value is None for output in learnable])
        centre, scale = (
            np.where(numbers, of(truth, 0), other)
            for of, other in ((np.nanmean, 0.0), (np.nanstd, 1.0))
        )
        x = looked_at(images, network.size)
        y = torch.from_numpy((truth - centre) / scale).float()
        are_numbers = torch.from_numpy(numbers)
        seeds = [derive(seed, "judges", repeat) for repeat in range(repeats)]
        networks = [_learn(network, x, y, are_numbers, steps, own, device) for own in seeds]
        return cls(learnable, left_out, networks, network.size, centre, scale)

    def __call__(self, images: EvaluationImages) -> np.ndarray:
        """float64 [N, K]: numbers in their unit, log-odds of classes, in the order of `outputs`."""
        x = looked_at(images, self.size)
        result: np.ndarray = (
            np.mean([predict(network, x) for network in self.networks], axis=0) * self.scale
            + self.centre
        )
        return result

    def truths(self, rows: pd.DataFrame | None, n: int) -> np.ndarray:
        """Labels of all outputs in a table.

        Args:
            rows: The table; None: no label is known.
            n: Number of images.

        Returns:
            float [n, K]; NaN where a label is unknown.
        """
        if rows is None:
            return np.full((n, len(self.outputs)), np.nan)
        return np.stack([output.truths(rows) for output in self.outputs], 1)


def _learn(
    design: Network,
    x: Tensor,
    y: Tensor,
    numbers: Tensor,
    steps: int,
    seed: int,
    device: str,
) -> nn.Module:
    """Train a network on images x [N, 3, H, W] and outputs y [N, K]; NaN in y does not count.

    The loss is the squared error of `numbers` [K], and the cross-entropy of classes, both sides of
    which weigh the same.
    """
    network = design.make(seed, len(numbers)).to(device)
    source = generator(seed, "judges")
    known = ~y.isnan()
    ones = torch.where(known, y, 0).sum(0)
    weight = torch.where(numbers, 1.0, (known.sum(0) - ones) / ones.clamp(min=1)).to(device)
    kind = numbers.to(device)

    def batch_loss() -> Tensor:
        places = torch.randint(len(x), (BATCH,), generator=source)
        is_known = known[places].to(device)
        target = torch.where(known[places], y[places], 0).to(device)
        prediction = network(2 * AUGMENTATIONS["light"](x[places], source).to(device) - 1)
        squared = functional.mse_loss(prediction, target, reduction="none")
        entropy = functional.binary_cross_entropy_with_logits(
            prediction, target, pos_weight=weight, reduction="none"
        )
        return (torch.where(kind, squared, entropy) * is_known).sum() / BATCH

    network.train()
    minimize(batch_loss, network.parameters(), steps, rate=design.rate)
    network.eval()
    return network
