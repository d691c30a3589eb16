"""Judges images, never models: nothing here knows how a picture was made.

pictures.py     pictures on disk, read when needed       sets.py         a cohort or a folder -> ImageSet
spool.py        numbers of many pictures, kept on disk   store.py        features on disk, kept for the next time
features.py     pictures -> vectors, in a named feature space; selfsupervised.py learns one, entering.py feeds published ones
distances.py    two sets of vectors -> one number        manifold.py     precision, recall, density, coverage
controls.py     real images, ruined on purpose           realism.py      critics of anatomy; realism_section.py shows them
similarity.py   two pictures -> one number               diversity.py    how alike the pictures of one set are
truth.py        an edit against the true change
utility.py      what a classifier learns from pictures: train on synthetic, test on real; network.py, what it is made of
trial.py        arms that learn from real, synthetic or both pictures, tested on the same real patients; classifying.py and
                segmenting.py (a U-Net: segmenter.py), its tasks; reading.py, its numbers; augmentation.py and gan.py: rivals
judges.py       attributes seen in pictures              alignment.py    do they show what was asked for? rules.py: what never is
retrieval.py    does a picture find its own prompt?      scorers.py      how well a prompt goes with a picture
card.py         did edits do what was asked, and nothing else? asked.py reads their records, kinship.py knows repeat visits,
                interventions.py puts them beside real images of the target and later visits; strips.py, pictures in a row
reader.py       can people tell them apart? a blinded study; reader_score.py reads the answers
questions.py    utility, alignment and card, where they are asked for
bootstrap.py    how far each number can be trusted       privacy.py      is it a copy of a training image?
overlay.py      one picture laid over another            disguises.py    copies in disguise, to try the search
identity.py     is a patient known again?                membership.py    does a table of losses betray who was trained on?
gate.py         copies are held back when pictures are made
report.py       all of it, as report.json and one HTML page; scores.py, pairs.py and classes.py fill it, caveats.py warns,
                verdict.py and answer_lights.py light it
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from latentdrift.errors import InputError
from latentdrift.evaluate.pictures import Pictures, fit

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ImageSet:
    """Pictures to judge, all of one size.

    Attributes:
        images: float32 [N, H, W, 3] in [0, 1], an array or `Pictures` on disk; grey pictures have three equal channels.
        patients: whose picture each one is; None where nobody knows, and then every picture counts as its own patient.
        names: what to call each picture in a report; default: its position.
        attributes: one row per picture, if there is a table.
    """

    images: Any
    patients: list[str] | None = None
    names: list[str] = field(default_factory=list)
    attributes: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        images = self.images if isinstance(self.images, Pictures) else np.asarray(self.images, dtype=np.float32)
        if images.ndim != 4 or images.shape[-1] != 3 or len(images) == 0:
            raise InputError(
                f"a set of images has the shape [N, H, W, 3] with N of at least 1; this one has {list(images.shape)}"
            )
        names = list(self.names) or [str(i) for i in range(len(images))]
        for what, values in (("names", names), ("patients", self.patients), ("attribute rows", self.attributes)):
            if values is not None and len(values) != len(images):
                raise InputError(f"{len(images)} images come with {len(values)} {what}; there must be one per image")
        if not isinstance(images, Pictures):
            bad = [name for name, image in zip(names, images, strict=True) if not fit(image)]
            if bad:
                raise InputError(
                    f"{len(bad)} images hold values outside [0, 1] or that are not numbers, the first is {bad[0]}; scale them"
                )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "names", names)

    def __len__(self) -> int:
        return len(self.images)

    def take(self, places: np.ndarray) -> ImageSet:
        """Some of them, by place."""
        images = self.images.take(places) if isinstance(self.images, Pictures) else self.images[places]
        patients = None if self.patients is None else [self.patients[place] for place in places]
        rows = None if self.attributes is None else self.attributes.iloc[places].reset_index(drop=True)
        return ImageSet(images, patients, [self.names[place] for place in places], rows)


def contents(images: ImageSet) -> list[str]:
    """A hash of the pixels of each picture."""
    return [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images.images]
