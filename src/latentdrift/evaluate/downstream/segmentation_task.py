"""A trial's task: outlining structures in cohorts of images with masks, by the Dice coefficient."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentdrift.data.cohort import masks as files
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError, InputError, OptionError
from latentdrift.evaluate.downstream import unet
from latentdrift.evaluate.downstream.augmentation_experiment import TaskDescription
from latentdrift.evaluate.downstream.experiment_statistics import Measure
from latentdrift.evaluate.downstream.tstr import looked_at
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import part_of, rng
from latentdrift.seeds import generator

MAX_IMAGES = 1000  # pictures of a set that are learned from or tested on; more are sampled down
MIN_IMAGES = 2  # pictures with a mask, of each set
WRITTEN = "mask"  # the column in which `generate` keeps the mask that each image was drawn from


@dataclass(frozen=True)
class Masked:
    """Images and their masks for the segmenter; see `augmentation_experiment.TrainingImages`.

    Attributes:
        x: float32 [N, 3, S, S] in [0, 1].
        masks: Int64 [N, S, S] below `labels`, 0 outside.
        labels: Number of labels, with 0 for the outside.
        patients: Patient of each picture; None: unknown.
    """

    x: Tensor
    masks: Tensor
    labels: int
    patients: list[str] | None = None

    def __len__(self) -> int:
        return len(self.masks)

    def __add__(self, other: Masked) -> Masked:
        """Both; patients stay only where both sets know them."""
        patients = (
            None
            if self.patients is None or other.patients is None
            else [*self.patients, *other.patients]
        )
        return Masked(
            torch.cat([self.x, other.x]),
            torch.cat([self.masks, other.masks]),
            self.labels,
            patients,
        )

    def fewer(self, share: float, seed: int) -> Masked:
        """Random share of the images, at least MIN_IMAGES.

        Args:
            share: Share in (0, 1].
            seed: Seed of the choice.
        """
        places = np.sort(
            rng(seed, "take").permutation(len(self))[: max(round(share * len(self)), MIN_IMAGES)]
        )
        patients = None if self.patients is None else [self.patients[place] for place in places]
        return Masked(self.x[places], self.masks[places], self.labels, patients)

    @property
    def members(self) -> np.ndarray:
        """Images that have each label except 0, bool [labels - 1, N]."""
        return np.stack(
            [(self.masks == label).flatten(1).any(1).numpy() for label in range(1, self.labels)]
        )


@dataclass(frozen=True, eq=False)
class MaskSource:
    """Masks of a set of images.

    Attributes:
        cohort: Cohort of the images.
        column: Column that names the masks.
        positions: Row of each image in the cohort.
    """

    cohort: Cohort
    column: str
    positions: Sequence[int]

    @property
    def masked(self) -> set[int]:
        """Positions whose row names a mask."""
        named = set(files.positions(self.cohort, self.column, "utility=mask"))
        return named & set(self.positions)


@dataclass(frozen=True, eq=False)
class Segmenting:
    """Outlining what masks mark; see `augmentation_experiment.Task`.

    Attributes:
        sources: `train`, `made` and `test` -> the masks of the set.
        values: Labels of the masks, except 0.
        column: As it was asked for.
    """

    sources: Mapping[str, MaskSource]
    values: tuple[int, ...]
    column: str

    @classmethod
    def of(cls, real: Cohort, synthetic: Path, column: str, split: str | None) -> Segmenting:
        """Find the masks of real and synthetic images.

        Args:
            real: Cohort of real images.
            synthetic: Cohort of synthetic images. Their masks stand in `column`, or where
                `generate` writes them.
            column: Column that names the masks of real images.
            split: Test split; None: all images.

        Raises:
            OptionError: No such column, or synthetic images without masks.
            CohortError: A mask is missing or damaged, or all training masks are empty.
        """
        if not image_sets.is_cohort(synthetic):
            raise OptionError(
                f"`utility=mask={column}` needs masks of the synthetic images, and {synthetic} is "
                "not a cohort"
            )
        synthetic_cohort = Cohort.load(synthetic)
        theirs = column if column in synthetic_cohort.rows() else WRITTEN
        if theirs not in synthetic_cohort.rows():
            raise OptionError(
                f"`utility=mask={column}` needs masks of the synthetic images, and cohort "
                f"{synthetic} has neither a column {column} nor a column {WRITTEN}; `generate` "
                "keeps masks that a ControlNet was shown (`latentdrift fit --hint mask=COLUMN`)"
            )
        sources = {}
        columns = {
            "train": (real, column, "train"),
            "test": (real, column, split),
            "made": (synthetic_cohort, theirs, None),
        }
        for what, (cohort, name, rows) in columns.items():
            files.positions(cohort, name, "utility=mask")
            positions = [int(place) for place in cohort.rows(rows).index]
            sources[what] = MaskSource(cohort, name, positions)
        masked = sorted(sources["train"].masked)
        labels = set(files.check_labels(real, column, masked))
        if not labels - {0}:
            raise CohortError(
                f"no mask that column {column} of the train split of cohort {real.folder} names "
                "has anything but 0 in it"
            )
        return cls(sources, tuple(sorted(labels - {0})), column)

    @property
    def about(self) -> TaskDescription:
        """Words for reports."""
        groups = [f"with label {value}" for value in self.values]
        return TaskDescription(f"mask={self.column}", groups, "small U-Net", "Dice")

    def known(
        self, images: EvaluationImages, what: str, seed: int
    ) -> tuple[Masked, EvaluationImages]:
        """Images with a mask, at most MAX_IMAGES: as training data, and as a set.

        Args:
            images: The set.
            what: "train", "made" (synthetic) or "test".
            seed: Seed of the choice among more images.

        Raises:
            InputError: Fewer than MIN_IMAGES, or a label without a test image.
            CohortError: A mask has a label that no training mask has.
        """
        source = self.sources[what]
        masked = source.masked
        places = np.flatnonzero([position in masked for position in source.positions])
        places = part_of(places, MAX_IMAGES, rng(seed, "trial", what))
        if len(places) < MIN_IMAGES:
            raise InputError(
                f"a segmenter needs at least {MIN_IMAGES} images with a mask of each set, and "
                f"{len(places)} {what} images name one in column {source.column} of "
                f"{source.cohort.folder}"
            )
        some = images.take(places)
        labels = [self._numbered(source, source.positions[int(place)]) for place in places]
        masks = torch.from_numpy(np.stack(labels))
        training_set = Masked(
            looked_at(some, unet.SIZE), masks, 1 + len(self.values), some.patients
        )
        lost = [
            value
            for value, own in zip(self.values, training_set.members, strict=True)
            if not own.any()
        ]
        if lost and what == "test":
            raise InputError(
                f"no test image has the label {lost[0]} in its mask at {unet.SIZE} pixels, "
                "so its segmentation cannot be scored; take the label out of the masks in "
                f"column {source.column} of {source.cohort.folder}, or test on other patients"
            )
        return training_set, some

    def _numbered(self, source: MaskSource, position: int) -> np.ndarray:
        """A mask in which the values are 0, 1, 2, ...: int64 [S, S]."""
        cohort = source.cohort
        mask = files.fitted(cohort, position, source.column, unet.SIZE)
        other = sorted(set(np.unique(mask).tolist()) - {0, *self.values})
        if other:
            name = cohort.rows()[source.column].iloc[position]
            raise CohortError(
                f"the mask {cohort.folder / name} has the label "
                f"{other[0]}, and the masks of the train split have 0, "
                f"{', '.join(map(str, self.values))}; write it with those labels"
            )
        return np.searchsorted(np.array((0, *self.values)), mask)

    def learn(
        self,
        stages: list[Masked],
        test: Masked,
        *,
        steps: int,
        seed: int,
        augmentation: str,
        device: str,
    ) -> np.ndarray:
        """Train a segmenter on all stages, and score the test images.

        Args:
            stages: Training data of each stage.
            test: Test data.
            steps: Optimiser steps over all stages.
            seed: Seed of weights and batches.
            augmentation: Row of AUGMENTATIONS.
            device: Device of the network.

        Returns:
            Dice coefficients [N, L] of every label; NaN where the image does not have it.
        """
        network = unet.segmenter(seed, test.labels).to(device)
        bounds = [round(steps * place / len(stages)) for place in range(len(stages) + 1)]
        for place, stage in enumerate(stages):
            part = bounds[place + 1] - bounds[place]
            source = generator(seed, "segmenting", place)
            unet.learn(
                network, stage.x, stage.masks, test.labels, part, source, augmentation=augmentation
            )
        return unet.dice(unet.predict(network, test.x), test.masks, test.labels)

    def score(self, test: Masked) -> Measure:
        """Function of Dice coefficients and image weights -> mean Dice, see `mean_dice`."""
        return mean_dice

    def chance(self, train: Masked, test: Masked) -> float:
        """Dice of one mask for all images: the most frequent label of training masks at each pixel.

        Args:
            train: Training data.
            test: Test data.
        """
        counts = torch.stack([(train.masks == label).sum(0) for label in range(train.labels)])
        same = counts.argmax(0).expand(len(test), -1, -1)
        return mean_dice(unet.dice(same, test.masks, test.labels), np.ones(len(test)))

    def seconds_per_step(self) -> float:
        """Seconds of an optimiser step on this machine, from a few real steps on grey images."""
        tried = 3
        labels = 1 + len(self.values)
        x = torch.full((2, 3, unet.SIZE, unet.SIZE), 0.5)
        masks = torch.zeros((2, unet.SIZE, unet.SIZE)).long()
        network = unet.segmenter(0, labels)
        unet.learn(
            network, x, masks, labels, 1, generator(0), augmentation="none"
        )  # the first step warms up
        began = time.perf_counter()
        unet.learn(network, x, masks, labels, tried, generator(0), augmentation="none")
        return (time.perf_counter() - began) / tried


def mean_dice(scores: np.ndarray, weights: np.ndarray) -> float:
    """Mean over labels of the weighted mean over the images that have the label.

    Args:
        scores: Dice coefficients [N, L]; NaN where the image does not have the label.
        weights: Weight of each image [N].

    Returns:
        The mean; NaN where the weights leave a label out.
    """
    there = np.isfinite(scores) * weights[:, None]
    sizes = there.sum(0)
    if not sizes.all():
        return float("nan")
    return float(((np.nan_to_num(scores) * there).sum(0) / sizes).mean())
