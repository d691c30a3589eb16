"""Critics of anatomy: classifiers of real against ruined images, which judge synthetic ones.

Distances of pooled features do not see where things are: shuffled patches and mixtures of two
patients pass as real. Here every control of CONTROLS has a critic of its own, and one critic knows
all controls. Critics look at coarse structure that keeps its place (edges by cell, and a network's
layers by cell), because fine texture differs between any two ways of making images and hides
whether there is a heart. Critics learn from training images and are tried on held-out real images
and on the same images ruined: what they cannot tell apart there, they do not judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np
from pydantic import Field

from latentdrift.evaluate.critics.structure_views import (
    FOLDS,
    Eye,
    Features,
    Views,
    critic,
    distinct_units,
    pairwise_wins,
    patient_folds,
    views_of,
)
from latentdrift.evaluate.critics.two_sample_test import TwoSample, two_sample
from latentdrift.evaluate.images.controls import CONTROLS
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import FEWEST, draws, interval, part_of
from latentdrift.evaluate.statistics.results import Interval, ResultModel
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling

LEARNED = 150  # images that critics learn from, at most; each is ruined once by every control
TRIED = 200  # held-out real images that critics are tried on, at most
MIN_IMAGES = 8  # real images, of FOLDS patients or more, below which no critic learns (ours)
COARSE = 2  # views of `structure` that show no texture: edge directions and layers
ORDINARY = 0.95  # share of the held-out real images that lie below the limit of ordinary images
NEARER = 0.5  # position from which a set lies nearer to a control than to real images
MAX_BEYOND = (
    0.25  # share beyond the limit up to which a set counts as ordinary; 0.05 is expected (ours)
)


class ControlScore(ResultModel):
    """Score of one kind of ruined images."""

    title: str
    auc: float
    """Area under the ROC curve of ruined against real held-out images; 0.5: no difference."""
    auc_ci: Interval | None
    is_recognised: bool = Field(alias="told")
    """Whether the interval lies above 0.5."""
    position: float | None
    """Mean score of the synthetic set: 0 at real images, 1 at ruined ones."""
    position_ci: Interval | None


class Anatomy(ResultModel):
    """Judgement of the critics in one feature space."""

    n: dict[str, int]
    controls: dict[str, ControlScore]
    beyond: float
    """Share of the synthetic images beyond 95 % of the real ones."""
    beyond_ci: Interval | None
    unseen: list[str]
    """Controls that the critics cannot tell from real images."""
    undecided: list[str]
    """Controls whose position has too wide an interval."""
    nearer: list[str]
    """Controls to which the set is surely nearer than to real images."""

    @classmethod
    def of(
        cls,
        n: dict[str, int],
        controls: dict[str, ControlScore],
        beyond: float,
        beyond_ci: Interval | None,
    ) -> Anatomy:
        """Name the controls that are not recognised, undecided, or nearer than real images.

        Args:
            n: Numbers of images learned from, of real and synthetic images, of real patients, and
                of different synthetic images. An image that is repeated counts once in intervals.
            controls: By row of CONTROLS. A position is None where the control is not recognised;
                its interval is None below FEWEST different synthetic images.
            beyond: Share of the synthetic images beyond the limit under which ORDINARY of the real
                ones lie.
            beyond_ci: Its 95 % interval; None below FEWEST different synthetic images.

        Returns:
            The judgement; in `nearer` the clearest control stands first.
        """
        placed = [
            (control.position_ci, control.title)
            for control in controls.values()
            if control.position_ci
        ]
        return cls(
            n=n,
            controls=controls,
            beyond=beyond,
            beyond_ci=beyond_ci,
            unseen=[one.title for one in controls.values() if not one.is_recognised],
            undecided=[title for ends, title in placed if ends[0] <= NEARER and ends[1] >= 1],
            nearer=[
                title
                for low, title in sorted(((ends[0], title) for ends, title in placed), reverse=True)
                if low > NEARER
            ],
        )


class Critics:
    """Learned from real images and the same images ruined.

    The critic of all controls, which says how far a set lies beyond real images, does not see
    seams: there any other texture lies far beyond.
    """

    def __init__(self, learned: Views) -> None:
        stacked = [
            np.concatenate(parts)
            for parts in zip(learned.real, *learned.ruined.values(), strict=True)
        ]
        self.whole = Eye(learned.real, stacked)
        self.coarse = Eye(learned.real[:COARSE], stacked[:COARSE])
        real = self.whole(learned.real)
        self.by_control = {
            name: critic(real, self.whole(views)) for name, views in learned.ruined.items()
        }
        others = np.concatenate([self.coarse(views[:COARSE]) for views in learned.ruined.values()])
        self.of_all = critic(self.coarse(learned.real[:COARSE]), others)

    def scores(self, views: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Scores of every critic, [N] each, higher for controls; the critic of all controls is
        `all`.

        Args:
            views: From `views_of`.
        """
        components = self.whole(views)
        scores = {name: judge(components) for name, judge in self.by_control.items()}
        return scores | {"all": self.of_all(self.coarse(views[:COARSE]))}


class Judge:
    """Critics that were tried on held-out real images, ready for synthetic sets.

    Args:
        held_out: Real images that critics are tried on.
        learned: Real images of other patients to learn from; None: critics learn from `held_out`,
            cross-fitted.
        space: Features of images [N, SEEN, SEEN, 3] in [0, 1].
        resampling: Resamples behind each interval, and the seed of folds and subsets.
    """

    def __init__(
        self, held_out: Views, learned: Views | None, space: Features, resampling: Resampling
    ) -> None:
        self.held_out = held_out
        self.space = space
        self.resampling = resampling
        everyone = np.arange(len(held_out.units))
        if learned is None:
            self.folds = [*patient_folds(held_out.units, resampling.rng("realism", "folds"))]
            self.critics = [
                Critics(held_out.take(np.setdiff1d(everyone, fold))) for fold in self.folds
            ]
        else:
            self.folds = [everyone]
            self.critics = [Critics(learned)]
        self.learned = len((learned or held_out).units)
        self.real = self._held_out(held_out.real)
        self.ruined = {name: self._held_out(views) for name, views in held_out.ruined.items()}

    def _held_out(self, views: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Scores of held-out images, each by critics that did not learn from its patient."""
        held_out_scores: dict[str, np.ndarray] = {
            name: np.empty(len(views[0])) for name in [*CONTROLS, "all"]
        }
        for fold, critics in zip(self.folds, self.critics, strict=True):
            for name, scores in critics.scores([view[fold] for view in views]).items():
                held_out_scores[name][fold] = scores
        return held_out_scores

    def views(self, synthetic: EvaluationImages) -> list[np.ndarray]:
        """Views of a synthetic set, from at most TRIED random images."""
        chosen = synthetic.take(
            part_of(len(synthetic), TRIED, self.resampling.rng("realism", "synthetic"))
        )
        return views_of(chosen.images, self.space)

    def __call__(self, views: Sequence[np.ndarray]) -> Anatomy:
        """Judge a synthetic set, from its `views`."""
        every = [critics.scores(views) for critics in self.critics]
        synthetic_scores = {
            name: np.mean([scores[name] for scores in every], axis=0) for name in every[0]
        }
        units = distinct_units(views)
        controls = {name: self._control(name, synthetic_scores[name], units) for name in CONTROLS}
        n = {"learned": self.learned, "real": len(self.held_out.units), "synthetic": len(units)}
        n |= {"patients": self.held_out.patients, "different": int(units.max()) + 1}
        return Anatomy.of(n, controls, *self._beyond(synthetic_scores["all"], units))

    def two_sample(self, views: Sequence[np.ndarray]) -> TwoSample | None:
        """Two-sample test of a synthetic set against held-out real images.

        Args:
            views: From `views`.

        Returns:
            The test; None for fewer than FOLDS different synthetic images.
        """
        if distinct_units(views).max() + 1 < FOLDS:
            return None
        return two_sample(self.held_out, views, self.resampling)

    def _draws(self, units: np.ndarray, *path: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Resamples: weights of the real images by patient, and of the synthetic images by unit."""
        source, synthetic_source = (self.resampling.rng("realism", *path, side) for side in "ab")
        real = draws(self.held_out.units, self.resampling.n, source)
        synthetic = draws(units, self.resampling.n, synthetic_source)
        return zip(real, synthetic, strict=True)

    def _control(self, name: str, synthetic: np.ndarray, units: np.ndarray) -> ControlScore:
        """Score of a control, with the position of a synthetic set where it is recognised."""
        real = self.real[name]
        ruin = self.ruined[name][name]
        wins = pairwise_wins(real, ruin)
        resamples = [*self._draws(units, name)]
        area = float(wins.mean())
        area_ci = None
        if self.held_out.patients >= FEWEST:
            area_ci = interval(area, [float(w @ wins @ w / w.sum() ** 2) for w, _ in resamples])
        is_recognised = area_ci is not None and area_ci[0] > 0.5

        def position(w: np.ndarray, v: np.ndarray) -> float:
            start = np.average(real, weights=w)
            end = np.average(ruin, weights=w)
            return float((np.average(synthetic, weights=v) - start) / (end - start))

        value = None
        ends = None
        if is_recognised:
            value = position(np.ones(len(real)), np.ones(len(synthetic)))
            ends = _ends([position(w, v) for w, v in resamples], units)
        return ControlScore(
            title=CONTROLS[name].title,
            auc=area,
            auc_ci=area_ci,
            told=is_recognised,
            position=value,
            position_ci=ends,
        )

    def _beyond(self, synthetic: np.ndarray, units: np.ndarray) -> tuple[float, list[float] | None]:
        real = self.real["all"]

        def share(w: np.ndarray, v: np.ndarray) -> float:
            limit = np.quantile(np.repeat(real, w.astype(int)), ORDINARY)
            return float(np.average(synthetic > limit, weights=v))

        value = share(np.ones(len(real)), np.ones(len(synthetic)))
        return value, _ends([share(w, v) for w, v in self._draws(units, "beyond")], units)


def judge_of(
    real: EvaluationImages,
    train: EvaluationImages | None,
    space: Any,
    resampling: Resampling = Resampling(),
    report: ProgressCallback | None = None,
) -> Judge | str:
    """A judge of realism in a feature space, or a sentence that says why there is none.

    Args:
        real: Held-out real images.
        train: Real images of other patients to learn from; without them critics learn from `real`,
            cross-fitted.
        space: A row of FEATURES; its features by cell are taken where it has any.
        resampling: Resamples behind each interval, and the seed of controls and subsets.
        report: Called with (done, all) of the sets of ruined images, which take most of the time;
            None: not called.
    """
    if not _enough(real):
        return (
            f"No judge of realism: {len(real)} real images of {_patients(real)} patients are too "
            f"few. {MIN_IMAGES} images of {FOLDS} patients are the least."
        )
    by_cell = getattr(space, "spatial", None) or space
    seed = resampling.seed
    learns_from_train = train is not None and _enough(train) and not _shared(real, train)
    total = len(CONTROLS) * (2 if learns_from_train else 1)
    done = count(1)

    def on_control() -> None:
        if report:
            report(next(done), total)

    learned = None
    if train is not None and learns_from_train:
        learned = Views.of(train, by_cell, LEARNED, seed, "train", on_control=on_control)
    held_out = Views.of(real, by_cell, TRIED, seed, "real", on_control=on_control)
    return Judge(held_out, learned, by_cell, resampling)


def _ends(replicates: Sequence[float], units: np.ndarray) -> list[float] | None:
    """The 95 % interval of a number of synthetic images; None below FEWEST units of them."""
    if units.max() + 1 < FEWEST:
        return None
    return [float(end) for end in np.quantile(replicates, [0.025, 0.975])]


def _patients(images: EvaluationImages) -> int:
    return len(images) if images.patients is None else len(set(images.patients))


def _enough(images: EvaluationImages) -> bool:
    return len(images) >= MIN_IMAGES and _patients(images) >= FOLDS


def _shared(a: EvaluationImages, b: EvaluationImages) -> bool:
    """Whether a patient stands in both sets, as far as anybody knows."""
    return a.patients is None or b.patients is None or not set(a.patients).isdisjoint(b.patients)
