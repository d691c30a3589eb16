"""Use of synthetic images: networks that learn from different images, tested on the same real
patients.

Every arm takes the same number of optimiser steps, and is repeated over several seeds. What a
synthetic set has to beat is classical augmentation of the real pictures, which costs nothing. Only
differences between arms say something, so each is given beside the arms `real` and `real,
augmented`, over the same resamples of test patients and of seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, Self, TypeVar

import numpy as np

from latentdrift.evaluate.downstream.experiment_statistics import Measure, Reading
from latentdrift.evaluate.downstream.utility_results import Arm, CurvePoint, TestedImages, Utility
from latentdrift.evaluate.images.attribute_words import attribute
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.resampling import Resampling
from latentdrift.seeds import derive

LOW = 0.1  # share of the real pictures in the arms that have few
DOSES = (0.25, 0.5)  # shares of the synthetic pictures between none and all
ENOUGH = 20  # test patients of each group, below which nothing is concluded (ours)
REFERENCE = "real"
AUGMENTED = "real, augmented"
IMITATED = "real + GAN"
COMPARED = {"difference": REFERENCE, "augmented_difference": AUGMENTED, "gan_difference": IMITATED}
"""Arms that other arms are compared with, where they exist."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TaskDescription:
    """Words for reports on a task."""

    classes: str
    """The learned target."""
    groups: list[str]
    """Groups of images."""
    network: str
    measure: str
    """AUC or Dice."""


class TrainingImages(Protocol):
    """Pictures and what is to be learned of them."""

    patients: list[str] | None

    def __len__(self) -> int: ...

    def __add__(self, other: Self) -> Self: ...

    def fewer(self, share: float, seed: int) -> Self:
        """Random share of the images, enough to learn from.

        Args:
            share: Share in (0, 1].
            seed: Seed of the choice.
        """

    @property
    def members(self) -> np.ndarray:
        """Membership of the images in each group, bool [G, N]."""


Data = TypeVar("Data", bound=TrainingImages)


class Task(Protocol[Data]):
    """A task that networks learn: `Classifying` or `Segmenting`."""

    @property
    def about(self) -> TaskDescription:
        """Words for reports."""

    def known(
        self, images: EvaluationImages, what: str, seed: int
    ) -> tuple[Data, EvaluationImages]:
        """Images of a set whose truth is known: as training data, and as a set.

        Args:
            images: The set.
            what: "train", "made" (synthetic) or "test".
            seed: Seed of the choice among too many images.

        Raises:
            InputError: Too few of them.
        """

    def learn(
        self,
        stages: list[Data],
        test: Data,
        *,
        steps: int,
        seed: int,
        augmentation: str,
        device: str,
    ) -> np.ndarray:
        """Train a new network on all stages in turn, and predict every test image.

        Args:
            stages: Training data of each stage.
            test: Test data.
            steps: Optimiser steps over all stages.
            seed: Seed of weights and batches.
            augmentation: Row of AUGMENTATIONS.
            device: Device of the network.

        Returns:
            Predictions or scores [N, ...].
        """

    def score(self, test: Data) -> Measure:
        """Function of predictions and image weights [N] that gives the measure, on these test
        data."""

    def chance(self, train: Data, test: Data) -> float:
        """Measure of a prediction that does not depend on the images.

        Args:
            train: Training data of real images.
            test: Test data.
        """

    def seconds_per_step(self) -> float:
        """Seconds of an optimiser step on this machine, from a few real steps."""


SetName = Literal["real", "synthetic", "few real", "gan"]
"""Set that networks learn from. `few real`: a share LOW of the real images; `gan`: images of a GAN
that learned from the real images."""


@dataclass(frozen=True)
class TrainingPlan:
    """Images that the networks of an arm learn from."""

    stages: tuple[tuple[SetName, ...], ...]
    """Sets of each stage of training; those of one stage are joined."""
    augmentation: str = "none"
    """A row of AUGMENTATIONS."""

    @property
    def gan(self) -> bool:
        """Whether it needs the GAN."""
        return any("gan" in stage for stage in self.stages)


ARMS: dict[str, TrainingPlan] = {
    REFERENCE: TrainingPlan((("real",),)),
    AUGMENTED: TrainingPlan((("real",),), "classical"),
    "synthetic": TrainingPlan((("synthetic",),)),
    "real + synthetic": TrainingPlan((("real", "synthetic"),)),
    "real + synthetic, augmented": TrainingPlan((("real", "synthetic"),), "classical"),
    "synthetic, then real": TrainingPlan((("synthetic",), ("real",))),
    "few real": TrainingPlan((("few real",),)),
    "few real, augmented": TrainingPlan((("few real",),), "classical"),
    "few real + synthetic": TrainingPlan((("few real", "synthetic"),)),
    "GAN alone": TrainingPlan((("gan",),)),
    IMITATED: TrainingPlan((("real", "gan"),)),
}
CURVES = ("synthetic", "real + synthetic")  # arms that are also given fewer synthetic pictures


@dataclass(frozen=True)
class Runs:
    """Scores of all trained networks.

    Attributes:
        scores: Arm or point of a curve -> scores of the test images, one array for each seed.
        trained: Arm or point -> images of each group in each stage.
        doses: Share of the synthetic images -> their number.
    """

    scores: dict[str, list[np.ndarray]]
    trained: dict[str, list[list[int]]]
    doses: dict[float, int]


@dataclass(frozen=True)
class Trial(Generic[Data]):
    """Settings of the training of all networks.

    Attributes:
        task: Task that they learn.
        steps: Optimiser steps of each.
        repeats: Seeds.
        resampling: Resamples of test patients behind each interval.
        seed: Seed of the networks and their training.
        device: Where they run.
        gan: (lesson of real pictures, lesson of synthetic ones) -> as many pictures as these, by a
            GAN; None: no such arms.
    """

    task: Task[Data]
    steps: int = 200
    repeats: int = 3
    resampling: Resampling = Resampling()
    seed: int = 0
    device: str = "cpu"
    gan: Callable[[Data, Data], Data] | None = None

    @property
    def arms(self) -> dict[str, TrainingPlan]:
        """Rows of ARMS in this comparison; those with a GAN only if it is trained."""
        return {name: arm for name, arm in ARMS.items() if self.gan or not arm.gan}

    @property
    def learners(self) -> int:
        """Number of networks that are trained."""
        return self.repeats * (len(self.arms) + len(CURVES) * len(DOSES))

    def __call__(
        self,
        train: EvaluationImages,
        test: EvaluationImages,
        synthetic: EvaluationImages,
        by: str | None,
        report: Progress = lambda done, total: None,
    ) -> Utility:
        """Train all networks, and compare them.

        Args:
            train: Real pictures to learn from.
            test: Real pictures of other patients.
            synthetic: Synthetic images.
            by: An attribute for whose values every arm is also tested; None for none.
            report: Called with the number of networks trained so far and in total.

        Raises:
            InputError: Too few pictures in one of the sets, or a table without the attribute.
        """
        real, _ = self.task.known(train, "train", self.seed)
        synthetic_images, _ = self.task.known(synthetic, "made", self.seed)
        tested, test_images = self.task.known(test, "test", self.seed)
        runs = self._train(real, synthetic_images, tested, report)
        read = Reading(
            self.task.score(tested),
            tested.members,
            tested.patients,
            resampling=self.resampling,
            repeats=self.repeats,
        )
        masks = read.subgroups(test_images, by) if by else {}
        scores = {name: np.stack(each) for name, each in runs.scores.items()}
        about = self.task.about
        utility = Utility(
            classes=about.classes,
            groups=about.groups,
            network=about.network,
            measure=about.measure,
            steps=self.steps,
            repeats=self.repeats,
            tested=read.tested,
            arms=self._results(read, scores, masks, runs.trained),
            by=by if masks else None,
            chance=self.task.chance(real, tested),
            curves={name: _curve(name, read, scores, runs.doses) for name in CURVES},
            warnings=[],
        )
        return utility.model_copy(update={"warnings": warnings(utility)})

    def _train(self, real: Data, synthetic: Data, tested: Data, report: Progress) -> Runs:
        """Train every arm with every seed.

        Args:
            real: Real training images.
            synthetic: Synthetic training images.
            tested: Real test images.
            report: Called with the number of networks trained so far and in total.
        """
        arms = self._arms_and_points()
        gan = self.gan(real, synthetic) if self.gan else None
        runs = Runs({name: [] for name in arms}, {}, {})
        for repeat in range(self.repeats):
            seed = derive(self.seed, "trial", repeat)
            for place, (name, (arm, share)) in enumerate(arms.items()):
                dose = synthetic if share == 1 else synthetic.fewer(share, seed)
                sets: dict[SetName, Data] = {"real": real, "synthetic": dose}
                sets["few real"] = real.fewer(LOW, seed)
                if gan is not None:
                    sets["gan"] = gan
                stages = [_joined([sets[name] for name in stage]) for stage in arm.stages]
                scores = self.task.learn(
                    stages,
                    tested,
                    steps=self.steps,
                    seed=seed,
                    augmentation=arm.augmentation,
                    device=self.device,
                )
                runs.scores[name].append(scores)
                runs.trained[name] = [stage.members.sum(1).tolist() for stage in stages]
                runs.doses[share] = len(dose)
                report(repeat * len(arms) + place + 1, self.learners)
        return runs

    def _arms_and_points(self) -> dict[str, tuple[TrainingPlan, float]]:
        """Name of an arm, or of a point of a curve -> (the arm, its share of the synthetic
        pictures)."""
        return {name: (arm, 1.0) for name, arm in self.arms.items()} | {
            _point(name, share): (ARMS[name], share) for name in CURVES for share in DOSES
        }

    def _results(
        self,
        read: Reading,
        scores: Mapping[str, np.ndarray],
        masks: Mapping[str, np.ndarray],
        trained: Mapping[str, list[list[int]]],
    ) -> dict[str, Arm]:
        """Results of every arm, with its differences from the arms of COMPARED."""
        others = {
            field: (name, read.series(scores[name]))
            for field, name in COMPARED.items()
            if name in scores
        }
        arms = {}
        for name in self.arms:
            beside = {
                field: series
                for field, (other, series) in others.items()
                if name not in (other, REFERENCE)
            }
            arms[name] = read.arm(scores[name], beside, masks, trained[name])
        return arms


def _joined(sets: Sequence[Data]) -> Data:
    """Images of all sets."""
    first, *others = sets
    for other in others:
        first = first + other
    return first


def _curve(
    name: str, read: Reading, scores: Mapping[str, np.ndarray], doses: Mapping[float, int]
) -> list[CurvePoint]:
    """Values of an arm over the number of synthetic images."""
    points = []
    for share in (*DOSES, 1.0):
        mean = read.mean(scores[_point(name, share)])
        points.append(CurvePoint(n=doses[share], value=mean.value, ci=mean.ci, sd=mean.sd))
    return points


def _point(name: str, share: float) -> str:
    """A point of a curve, the last of which is the arm."""
    return name if share == 1 else f"{name} @{share}"


def warnings(utility: Utility) -> list[str]:
    """Sentences on the limits of a comparison."""
    sentences = []
    what = f"Utility ({attribute(utility.classes)})"
    patients = utility.tested.patients
    if min(patients) < ENOUGH:
        each = ", ".join(
            f"{n} test patients {group}" for n, group in zip(patients, utility.groups, strict=True)
        )
        sentences.append(
            f"{what}: too few to conclude. There are {each}; with fewer than {ENOUGH} of each, "
            "read the table as a rehearsal."
        )
    bounds = utility.arms["real + synthetic"].difference_ci
    if bounds:
        half = (bounds[1] - bounds[0]) / 2
        sentences.append(
            f"{what}: a gain or loss of less than {half:.2f} {utility.measure} could not have "
            "been seen here."
        )
    reference = utility.arms[REFERENCE]
    if not better_than_chance(reference.ci, utility.chance):
        sentences.append(
            f"{what}: learners of real images do not beat chance ({utility.measure} "
            f"{reference.value:.2f}, chance {utility.chance:.2f}), so "
            "these arms say nothing of the synthetic ones; more steps, another network, or more "
            "images may."
        )
    if utility.repeats < 3:
        sentences.append(
            f"{what}: {utility.repeats} seeds do not show how far a result depends on the seed."
        )
    return sentences


def better_than_chance(ci: Sequence[float] | None, chance: float) -> bool:
    """Whether networks that learned from real images may be better than chance.

    Args:
        ci: 95 % interval of the arm REFERENCE; None: unknown, which counts as better.
        chance: Value without looking at the images.
    """
    return ci is None or ci[0] > chance


def verdict(arm: Arm, tested: TestedImages) -> str:
    """Compare an arm with the reference in words.

    Args:
        arm: The arm.
        tested: Numbers of test images and patients of each group.
    """
    if arm.difference is None:
        return "the reference"
    if arm.difference_ci is None:
        return "too few test patients to say"
    low, high = arm.difference_ci
    if min(tested.patients) < ENOUGH:
        few = "too few test patients to say"
        return (
            f"worse than real alone, of few test patients (fewer than {ENOUGH})"
            if high < 0
            else few
        )
    return (
        "better than real alone"
        if low > 0
        else "worse than real alone"
        if high < 0
        else "no difference to real alone was seen"
    )
