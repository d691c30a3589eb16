"""Critics of anatomy for the pictures that a fit draws."""

from __future__ import annotations

import time

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.evaluate.critics.anatomy_critics import Judge, judge_of
from latentdrift.evaluate.critics.structure_views import views_of
from latentdrift.evaluate.evaluations.realism import anatomy_light
from latentdrift.evaluate.features.features import load_features
from latentdrift.evaluate.images import image_sets
from latentdrift.evaluate.images.controls import CONTROLS
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.statistics.bootstrap import part_by_unit, rng, units_of
from latentdrift.model.adapter_info import PreviewVerdict
from latentdrift.model.base import Base
from latentdrift.progress import ProgressCallback
from latentdrift.resampling import Resampling

IMAGES = 100  # of each split, at most: the critics take seconds then, and not a minute
TIMED = 8  # images whose views are timed
SHARE_OF_VIEWS = 0.85  # of the time in which critics are trained and tried
ADVICE = (
    "Look at the previews before you use this adapter. Other `steps` may do better, or "
    "`method=full` where it was another."
)


class FitCritics:
    """Judges pictures of a fit: critics learn from the training split and are tried on the
    validation split.

    They are trained when the first pictures come. Without a validation split of enough patients
    they are tried on the training split, cross-fitted by patient.

    Args:
        cohort: The cohort of the fit.
        size: Side of the fit's pictures, in pixels.
        seed: Of everything random.
    """

    def __init__(self, cohort: Cohort, size: int, seed: int) -> None:
        self.cohort = cohort
        self.size = size
        self.seed = seed
        self._critics: Judge | str | None = None

    def _train(self, report: ProgressCallback | None) -> Judge | str:
        """Train critics of anatomy; the reason, where there are none.

        Args:
            report: Called with (done, all) of the sets of ruined images; None: not called.
        """
        pocket = Base.load("pocket", device="cpu", precision="fp32")
        spaces = load_features(["pocket"], pocket=pocket.features, pocket_maps=pocket.feature_maps)
        train = self._images("train")
        held_out = self._images("validation") if len(self.cohort.rows("validation")) else train
        resampling = Resampling(seed=self.seed)
        judge = judge_of(held_out, train, spaces["pocket"], resampling, report)
        if isinstance(judge, str) and held_out is not train:
            return judge_of(train, None, spaces["pocket"], resampling, report)
        return judge

    def _images(self, split: str) -> EvaluationImages:
        images = image_sets.from_cohort(self.cohort, split, self.size)
        return images.take(
            part_by_unit(units_of(images), IMAGES, rng(self.seed, "fit critics", split))
        )

    def seconds(self) -> float:
        """Estimate the seconds that the training of critics takes.

        Most of it goes to the views of real and of ruined images; some of them are timed.
        """
        images = sum(min(IMAGES, len(self.cohort.rows(name))) for name in ("train", "validation"))
        pocket = Base.load("pocket", device="cpu", precision="fp32")
        spaces = load_features(["pocket"], pocket=pocket.features, pocket_maps=pocket.feature_maps)
        noise = rng(self.seed, "fit critics", "time").random((TIMED, self.size, self.size, 3))
        began = time.perf_counter()
        views_of(noise, getattr(spaces["pocket"], "spatial", None) or spaces["pocket"])
        each = (time.perf_counter() - began) / TIMED
        return each * images * (1 + len(CONTROLS)) / SHARE_OF_VIEWS

    def __call__(
        self, pictures: np.ndarray, report: ProgressCallback | None = None
    ) -> PreviewVerdict:
        """Judge images by the critics.

        Args:
            pictures: Images [N, H, W, 3] uint8.
            report: Called with (done, all) while the critics are trained; None: not called.
        """
        if self._critics is None:
            self._critics = self._train(report)
        if isinstance(self._critics, str):
            return PreviewVerdict(colour="grey", sentence=self._critics, pictures=len(pictures))
        views = self._critics.views(EvaluationImages(pictures / np.float32(255)))
        colour, sentence = anatomy_light(self._critics(views))
        if colour == "red":
            sentence = f"{sentence} {ADVICE}"
        return PreviewVerdict(colour=colour, sentence=sentence, pictures=len(pictures))
