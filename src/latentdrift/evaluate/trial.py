"""Are the synthetic pictures of use? A trial: classifiers that learned from different pictures, tested on the same real patients.

Every arm takes the same number of optimiser steps, and is repeated over several seeds. What a synthetic set has to beat is
classical augmentation of the real pictures, which costs nothing. Only differences between arms say something, so each is given
beside the arm `real`, over the same resamples of test patients and of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate import ImageSet, classes
from latentdrift.evaluate.bootstrap import FEWEST, draws, groups, interval, rng
from latentdrift.evaluate.contrast import Classes
from latentdrift.evaluate.network import SMALL, Network
from latentdrift.evaluate.utility import LEAST, Labelled, utility
from latentdrift.seeds import derive

MOST = 1000  # pictures of either set that a classifier learns from, and that it is tested on; more are sampled down
LOW = 0.1  # share of the real pictures in the arms that have few
DOSES = (0.25, 0.5)  # shares of the synthetic pictures between none and all
ENOUGH = 20  # test patients of each class, below which nothing is concluded (ours)
REFERENCE = "real"

Progress = Callable[[int, int], None]
Stages = Callable[[Labelled, Labelled, Labelled], list[Labelled]]
"""(real, synthetic, few of the real) -> what is learned, one set after another."""


@dataclass(frozen=True)
class Arm:
    """What a classifier learns from."""

    stages: Stages
    augmentation: str = "none"
    """A row of AUGMENTATIONS."""


ARMS: dict[str, Arm] = {
    REFERENCE: Arm(lambda real, made, few: [real]),
    "real, augmented": Arm(lambda real, made, few: [real], "classical"),
    "synthetic": Arm(lambda real, made, few: [made]),
    "real + synthetic": Arm(lambda real, made, few: [real + made]),
    "real + synthetic, augmented": Arm(lambda real, made, few: [real + made], "classical"),
    "synthetic, then real": Arm(lambda real, made, few: [made, real]),
    "few real": Arm(lambda real, made, few: [few]),
    "few real, augmented": Arm(lambda real, made, few: [few], "classical"),
    "few real + synthetic": Arm(lambda real, made, few: [few + made]),
}
CURVES = ("synthetic", "real + synthetic")  # arms that are also given fewer synthetic pictures


@dataclass(frozen=True)
class Trial:
    """How classifiers are trained.

    Attributes:
        classes: what they tell apart.
        network: what they are made of.
        steps: optimiser steps of each.
        repeats: seeds.
        bootstrap: resamples of test patients behind each interval.
        seed: of everything random.
        device: where they run.
    """

    classes: Classes
    network: Network = SMALL
    steps: int = 200
    repeats: int = 3
    bootstrap: int = 200
    seed: int = 0
    device: str = "cpu"

    @property
    def classifiers(self) -> int:
        """How many are trained."""
        return self.repeats * (len(ARMS) + len(CURVES) * len(DOSES))

    def __call__(
        self, train: ImageSet, test: ImageSet, synthetic: ImageSet, by: str | None, report: Progress = lambda done, total: None
    ) -> dict[str, Any]:
        """Train all of them, and say what came of it; see `report.py` for the fields.

        Args:
            train: real pictures to learn from.
            test: real pictures of other patients.
            synthetic: what is judged.
            by: an attribute for whose values every arm is also tested; None for none.
            report: told how many classifiers are done.

        Raises:
            InputError: Too few pictures of a class in one of the sets, or a table without the attribute.
        """
        real, made, tested = (
            self._known(images, name) for images, name in ((train, "train"), (synthetic, "made"), (test, "test"))
        )
        asked = self._asked(real[0], made[0])
        scores: dict[str, list[np.ndarray]] = {name: [] for name in asked}
        trained: dict[str, list[tuple[int, int]]] = {}
        for repeat in range(self.repeats):
            for place, (name, (stages, augmentation)) in enumerate(asked.items()):
                how: Any = {"steps": self.steps, "network": self.network, "augmentation": augmentation, "device": self.device}
                seed = derive(self.seed, "trial", repeat)
                result = utility(stages(seed), tested[0], seed=seed, bootstrap=0, **how)
                scores[name].append(result.scores)
                trained[name] = result.trained
                report(repeat * len(asked) + place + 1, self.classifiers)
        read = Reading(tested[0], self.bootstrap, self.seed, self.repeats)
        masks = read.subgroups(tested[1], by) if by else {}
        return self._told(read, {name: np.stack(found) for name, found in scores.items()}, trained, by, masks)

    def _known(self, images: ImageSet, what: str) -> tuple[Labelled, ImageSet]:
        """Pictures whose class is known, at most MOST of them."""
        if images.attributes is None or self.classes.attribute not in images.attributes:
            raise InputError(
                f"the {'synthetic' if what == 'made' else 'real'} images have no column '{self.classes.attribute}' to learn "
                f"{self.classes} from; give a cohort that has it"
            )
        labels = self.classes.labels(images.attributes)
        places = np.flatnonzero(~np.isnan(labels))
        places = np.sort(rng(self.seed, "trial", what).permutation(places)[:MOST])
        if not len(places):
            raise InputError(f"no image of the {what} set says whether it is {self.classes}; give a cohort that does")
        some = images.take(places)
        found = Labelled.of(some, labels[places].astype(int), self.network.size)
        found.check("tested" if what == "test" else "trained")
        return found, some

    def _asked(self, real: Labelled, made: Labelled) -> dict[str, tuple[Callable[[int], list[Labelled]], str]]:
        """Name of an arm, or of a point of a curve -> (a seed -> its stages, its augmentation)."""
        doses = {f"{name} @{share}": (ARMS[name], share) for name in CURVES for share in DOSES}
        rows = {name: (arm, 1.0) for name, arm in ARMS.items()} | doses

        def stages(arm: Arm, share: float) -> Callable[[int], list[Labelled]]:
            return lambda seed: arm.stages(real, made if share == 1 else fewer(made, share, seed), fewer(real, LOW, seed))

        return {name: (stages(arm, share), arm.augmentation) for name, (arm, share) in rows.items()}

    def _told(
        self,
        read: Reading,
        scores: Mapping[str, np.ndarray],
        trained: Mapping[str, Sequence[tuple[int, int]]],
        by: str | None,
        masks: Mapping[str, np.ndarray],
    ) -> dict[str, Any]:
        arms = {name: read.arm(scores[name], scores[REFERENCE], masks) | {"trained": trained[name]} for name in ARMS}
        curves = {}
        for name in CURVES:
            points = [(f"{name} @{share}", sum(trained[f"{name} @{share}"][0])) for share in DOSES]
            most = sum(trained[name][0])
            shift = most - sum(trained["synthetic"][0])  # of the pictures, those that are real
            curves[name] = [{"n": n - shift, **read.value(scores[key])} for key, n in [*points, (name, most)]]
        about = {"classes": str(self.classes), "network": self.network.name, "steps": self.steps, "repeats": self.repeats}
        told = {**about, "tested": read.tested, "by": by if masks else None, "arms": arms, "curves": curves}
        return told | {"warnings": warnings(told)}


def fewer(of: Labelled, share: float, seed: int) -> Labelled:
    """A share of the pictures, but LEAST of each class at the least."""
    rarest = min(of.labels.mean(), 1 - of.labels.mean())
    return of.take(max(round(share * len(of)), math.ceil(LEAST / rarest)), seed)


class Reading:
    """Areas under the curve of classifiers that were tested on the same pictures, over the same resamples."""

    def __init__(self, test: Labelled, bootstrap: int, seed: int, repeats: int) -> None:
        self.labels = test.labels
        self.units = groups(len(test), test.patients)
        self.patients = tuple(len(np.unique(self.units[self.labels == label])) for label in (0, 1))
        source = rng(seed, "reading")
        weights = draws(self.units, bootstrap, source, 2) if min(self.patients) >= FEWEST else ()
        self.resamples = [(w, source.integers(repeats, size=repeats)) for w in weights]

    @property
    def tested(self) -> dict[str, Any]:
        """What stands behind every number, (class 0, class 1)."""
        return {"images": [int((self.labels == label).sum()) for label in (0, 1)], "patients": list(self.patients)}

    def subgroups(self, images: ImageSet, by: str) -> dict[str, np.ndarray]:
        """Value of an attribute -> which pictures have it, where both classes have FEWEST patients; ages by decades."""
        places = classes.places(images, by, "real")
        found = {value: np.isin(np.arange(len(images)), some) for value, some in places.items()}
        return {
            v: m for v, m in found.items() if min(len(np.unique(self.units[m & (self.labels == x)])) for x in (0, 1)) >= FEWEST
        }

    def auc(self, scores: np.ndarray, weights: np.ndarray) -> float:
        """Mean over seeds of scores [S, N] under weights of the pictures [N]; NaN where they leave one class alone."""
        from sklearn.metrics import roc_auc_score

        kept = weights > 0
        if len(np.unique(self.labels[kept])) < 2:
            return float("nan")
        return float(np.mean([roc_auc_score(self.labels[kept], one[kept], sample_weight=weights[kept]) for one in scores]))

    def spread(self, statistic: Callable[[np.ndarray, np.ndarray], float], seeds: int) -> tuple[float, list[float] | None]:
        """A statistic of (weights of the pictures [N], seeds), and its 95 % interval; None where there are too few patients."""
        value = statistic(np.ones(len(self.labels)), np.arange(seeds))
        again = [one for one in (statistic(*resample) for resample in self.resamples) if np.isfinite(one)]
        return value, interval(value, again) if len(again) > 1 else None

    def value(self, scores: np.ndarray) -> dict[str, Any]:
        """The mean over seeds with its interval, and the standard deviation from seed to seed."""
        value, ci = self.spread(lambda w, seeds: self.auc(scores[seeds], w), len(scores))
        each = [self.auc(one[None], np.ones(len(self.labels))) for one in scores]
        return {"value": value, "ci": _within(ci), "sd": float(np.std(each, ddof=1)) if len(each) > 1 else None}

    def arm(self, scores: np.ndarray, reference: np.ndarray, masks: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """An arm: its value, its difference from the reference, and the same per subgroup with the largest gap between two."""
        told = self.value(scores)
        if scores is not reference:
            told["difference"], told["difference_ci"] = self.spread(
                lambda w, seeds: self.auc(scores[seeds], w) - self.auc(reference[seeds], w), len(scores)
            )
        if len(masks) > 1:

            def gap(w: np.ndarray, seeds: np.ndarray) -> float:
                each = [self.auc(scores[seeds], w * mask) for mask in masks.values()]
                return max(each) - min(each)

            told["subgroups"] = {value: self.auc(scores, mask.astype(float)) for value, mask in masks.items()}
            told["gap"], ci = self.spread(gap, len(scores))
            told["gap_ci"] = _within(ci)
        return told


def warnings(told: Mapping[str, Any]) -> list[str]:
    """What the trial can and cannot say."""
    found, (without, having) = [], told["tested"]["patients"]
    if min(without, having) < ENOUGH:
        found.append(
            f"Utility of {told['classes']}: too few to conclude. {having} test patients have it and {without} do not; with fewer "
            f"than {ENOUGH} of each, read the table as a rehearsal."
        )
    bounds = told["arms"]["real + synthetic"]["difference_ci"]
    if bounds:
        half = (bounds[1] - bounds[0]) / 2
        found.append(f"Utility of {told['classes']}: a gain or loss of less than {half:.2f} AUC could not have been seen here.")
    floor = told["arms"][REFERENCE]
    if floor["ci"] and floor["ci"][0] <= 0.5:
        found.append(
            f"Utility of {told['classes']}: classifiers of real images do not beat chance (AUC {floor['value']:.2f}), so these "
            "arms say nothing of the synthetic ones; more steps, another network, or more images may."
        )
    if told["repeats"] < 3:
        found.append(f"Utility of {told['classes']}: {told['repeats']} seeds do not show how far a result depends on the seed.")
    return found


def verdict(arm: Mapping[str, Any], tested: Mapping[str, Any]) -> str:
    """An arm against the reference, in words."""
    if "difference" not in arm:
        return "the reference"
    if arm["difference_ci"] is None or min(tested["patients"]) < ENOUGH:
        return "too few test patients to say"
    low, high = arm["difference_ci"]
    return "better than real alone" if low > 0 else "worse than real alone" if high < 0 else "not told apart from real alone"


def _within(ci: list[float] | None) -> list[float] | None:
    return ci and [max(0.0, ci[0]), min(1.0, ci[1])]
