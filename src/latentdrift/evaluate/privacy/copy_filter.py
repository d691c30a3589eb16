"""The gate: synthetic pictures that are copies of training pictures are held back before they
leave.

An edit is near its own patient, and is meant to be. So it is held against all other training
patients: whose image it repeats must not be handed out in its stead.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import CohortError
from latentdrift.evaluate.features.nearest_neighbours import same
from latentdrift.evaluate.images.image_sets import EvaluationImages, from_rows
from latentdrift.evaluate.images.registration import Overlaid
from latentdrift.evaluate.privacy.copy_detection import Ruler


@dataclass(frozen=True)
class Gate:
    """A cohort that a model was trained on, and what the model says of its training.

    Attributes:
        cohort: Its train split is where copies are looked for, its other splits set the threshold.
        trained_on: Fingerprints of the cohorts that the model's adapters were trained on.
    """

    cohort: Cohort
    trained_on: Collection[str]

    @classmethod
    def of(cls, cohort: Cohort, trained_on: Collection[str]) -> Gate:
        """Open a gate against copies from the training split of a cohort.

        Args:
            cohort: Cohort of the training images.
            trained_on: Fingerprints of the cohorts that the model was trained on, where known.

        Raises:
            CohortError: There are no training images.
        """
        if not len(cohort.rows("train")):
            raise CohortError(
                f"cohort {cohort.folder} has no image in its train split, so `gate` has nothing to "
                "compare with"
            )
        return cls(cohort, trained_on)

    @property
    def matches(self) -> bool:
        """Whether the model was trained on this cohort alone."""
        return set(self.trained_on) == {self.cohort.fingerprint}

    @property
    def doubt(self) -> str | None:
        """Sentence where the model was not trained on this cohort alone; None where it was."""
        if self.matches:
            return None
        if not self.trained_on:
            statement = "the model does not say which cohort it was trained on"
        elif self.cohort.fingerprint in self.trained_on:
            statement = (
                f"the model was trained on {len(set(self.trained_on)) - 1} more cohort(s) than "
                "this one"
            )
        else:
            statement = (
                "the model says that it was trained on another cohort, or on another split of it"
            )
        return (
            f"`gate={self.cohort.folder}`: {statement}; copies of images that are not in its train "
            "split cannot be found"
        )

    def judge(self, synthetic: EvaluationImages, size: int) -> Verdict:
        """Search synthetic images for copies of training images.

        Args:
            synthetic: Synthetic images.
            size: Pixels on a side, of both sets.
        """
        train, held_out = self._sides(size)
        ruler = Ruler.of(train, held_out or train)
        return self._verdict(ruler, ruler.nearest(synthetic.images))

    def judge_edits(
        self, originals: EvaluationImages, changed: EvaluationImages, size: int
    ) -> Verdict:
        """Look for copies of other training patients than an edit's own, all `size` pixels on a
        side.

        Its own patient is the one of whom the original is a training picture; of others' originals
        every training picture is another patient's.

        Args:
            originals: Edited images [N].
            changed: The counterfactuals [N].
            size: Pixels on a side of the compared images.
        """
        train, held_out = self._sides(size)
        ruler = Ruler.of(train, held_out or train)
        before = ruler.nearest(originals.images)
        own = ruler.thresholds.similarity(before) > ruler.thresholds.threshold
        known = train.patients if train.patients is not None else train.names
        whose = np.array(
            [
                known[place] if is_own else ""
                for place, is_own in zip(before.index, own, strict=True)
            ],
            dtype=str,
        )
        after = ruler.nearest(changed.images, same(whose, np.asarray(known, dtype=str)))
        return self._verdict(ruler, after, int(own.sum()))

    def _sides(self, size: int) -> tuple[EvaluationImages, EvaluationImages | None]:
        """Pictures of the train split, and of the others, if there are any."""
        train = self.cohort.rows("train")
        others = self.cohort.rows()
        others = others[others["split"] != "train"]
        return from_rows(self.cohort, train, size), from_rows(self.cohort, others, size) if len(
            others
        ) else None

    def _verdict(self, ruler: Ruler, nearest_train: Overlaid, own: int | None = None) -> Verdict:
        table = self.cohort.rows()
        files = tuple(self.cohort.rows("train")["file_name"])
        thresholds = ruler.thresholds
        others = len(table) - len(files)
        return Verdict(
            self,
            thresholds.threshold,
            thresholds.similarity(nearest_train),
            nearest_train,
            len(files),
            others,
            files,
            own,
        )


@dataclass(frozen=True)
class Verdict:
    """Result of the gate for N synthetic images."""

    gate: Gate
    threshold: float
    similarity: np.ndarray
    nearest: Overlaid
    train: int
    held_out: int
    files: tuple[str, ...]
    """Names of the training images."""
    own: int | None = None
    """Number of originals that are training images themselves, for edits."""

    @property
    def copies(self) -> tuple[int, ...]:
        """Positions of the images that are copies."""
        return tuple(int(i) for i in np.flatnonzero(self.similarity > self.threshold))

    def why(self, position: int) -> dict[str, float | str | bool]:
        """Row of the quarantine's table for a copy: similarity, training image, and whether
        mirrored."""
        return {
            "similarity": round(float(self.similarity[position]), 4),
            "training_image": self.files[self.nearest.index[position]],
            "mirrored": bool(self.nearest.mirrored[position]),
        }

    def to_dict(self) -> dict[str, Any]:
        """Content for cohort.json and record.json; no single image is named."""
        return {
            "cohort": self.gate.cohort.fingerprint,
            "matches": self.gate.matches,
            "threshold": self.threshold,
            "train": self.train,
            "held_out": self.held_out,
            "drawn": len(self.similarity),
            "quarantined": len(self.copies),
            **({} if self.own is None else {"of_training_images": self.own}),
        }

    @property
    def sentence(self) -> str:
        """Sentence with the number of copies and the reason."""
        generated = len(self.similarity)
        others = "" if self.own is None else " of other patients"
        above = (
            f"similarity above {self.threshold:.3f} to one of {self.train} training images{others}"
        )
        if not self.copies:
            return f"gate: none of {generated} images is a copy ({above})"
        return f"gate: {len(self.copies)} of {generated} images are held back as copies ({above})"
