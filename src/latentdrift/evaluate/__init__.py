"""Judges images, never models: nothing here knows how a picture was made.

features.py     pictures -> vectors, in a named feature space
distances.py    two sets of vectors -> one number        similarity.py   two pictures -> one number
utility.py      what a classifier learns from pictures: train on synthetic, test on real
bootstrap.py    how far each number can be trusted       privacy.py      is it a copy of a training image?
overlay.py      one picture laid over another            disguises.py    copies in disguise, to try the search
identity.py     is a patient known again?                membership.py    does a table of losses betray who was trained on?
gate.py         copies are held back when pictures are made
report.py       all of it, as report.json and one HTML page
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from latentdrift.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ImageSet:
    """Pictures to judge, all of one size.

    Attributes:
        images: float32 [N, H, W, 3] in [0, 1]; grey pictures have three equal channels.
        patients: whose picture each one is; None where nobody knows, and then every picture counts as its own patient.
        names: what to call each picture in a report; default: its position.
        attributes: one row per picture, if there is a table.
    """

    images: np.ndarray
    patients: list[str] | None = None
    names: list[str] = field(default_factory=list)
    attributes: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        images = np.asarray(self.images, dtype=np.float32)
        if images.ndim != 4 or images.shape[-1] != 3 or len(images) == 0:
            raise InputError(
                f"a set of images has the shape [N, H, W, 3] with N of at least 1; this one has {list(images.shape)}"
            )
        names = list(self.names) or [str(i) for i in range(len(images))]
        for what, values in (("names", names), ("patients", self.patients), ("attribute rows", self.attributes)):
            if values is not None and len(values) != len(images):
                raise InputError(f"{len(images)} images come with {len(values)} {what}; there must be one per image")
        bad = [name for name, image in zip(names, images, strict=True) if not (np.isfinite(image).all() and _in_unit(image))]
        if bad:
            raise InputError(
                f"{len(bad)} images hold values outside [0, 1] or that are not numbers, the first is {bad[0]}; scale them"
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "names", names)

    def __len__(self) -> int:
        return len(self.images)


def _in_unit(image: np.ndarray) -> bool:
    return bool(image.min() >= -1e-6 and image.max() <= 1 + 1e-6)
