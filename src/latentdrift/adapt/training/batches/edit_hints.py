"""Hints in editing: made from the image that is edited, and the same on its way to noise and on
both ways back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from latentdrift.adapt.training.batches.hint_batches import hints
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.controlnet_hints import Hint, HintSource, from_file
from latentdrift.data.images.letterbox import Fit
from latentdrift.errors import CohortError, OptionError
from latentdrift.model.model import Model
from latentdrift.record import sha256

log = logging.getLogger(__name__)


class Placed(Protocol):
    """An image to edit."""

    @property
    def row(self) -> int | None:
        """Position in the cohort; None for an image from a file."""


Image = TypeVar("Image", bound=Placed)


@dataclass(frozen=True, eq=False)
class Sourced:
    """Inputs of the ControlNets for each image to edit: one hint per ControlNet, in the stack's
    order."""

    wanted: tuple[Hint, ...] = ()
    files: tuple[Path | None, ...] = ()
    """Files of hints that are given and not made from the image."""
    cohort: Cohort | None = None
    """Cohort whose masks serve as hints, if any."""
    part: Mapping[str, Any] = field(default_factory=dict)
    """`plane` and `position` of the slice, for a given hint that is a volume."""

    def having(self, images: Sequence[Image]) -> list[Image]:
        """Select the images that have every mask; the number of the others is logged.

        Args:
            images: Images to edit.

        Raises:
            CohortError: No image has every mask.
        """
        remaining = list(images)
        for hint in self._masks:
            there = hint.sources(self.cohort) if self.cohort is not None else {}
            remaining = [image for image in remaining if image.row in there]
            if images and not remaining:
                raise CohortError(
                    f"none of {len(images)} images has a hint '{hint}'; give it with "
                    "`hint_image=FILE`"
                )
        if len(remaining) < len(images):
            log.warning(
                "%d of %d images have no mask for the hint and are left out",
                len(images) - len(remaining),
                len(images),
            )
        return remaining

    def sources(self, row: int | None) -> list[HintSource]:
        """Hints of one image for its record.

        Args:
            row: Position of the image in the cohort; None for a file.
        """
        return [HintSource(str(hint), self._hash(hint, file, row)) for hint, file in self._pairs]

    def of(self, picture: np.ndarray, fit: Fit, row: int | None) -> list[Tensor]:
        """Make the hints of one image, one for each ControlNet.

        Args:
            picture: The image [C, R, R] in [0, 1].
            fit: Crop and scale that brought the image to the square.
            row: Position of the image in the cohort; None for a file.

        Returns:
            Hints [3, R, R] in [0, 1].

        Raises:
            InputError, CohortError: A hint cannot be read.
        """
        hints = [self._edges_picture(hint, file, picture, fit, row) for hint, file in self._pairs]
        return [torch.from_numpy(hint).expand(3, -1, -1) for hint in hints]

    @property
    def _pairs(self) -> list[tuple[Hint, Path | None]]:
        return list(zip(self.wanted, self.files, strict=True))

    @property
    def _masks(self) -> list[Hint]:
        """Hints that need a mask of the cohort."""
        return [hint for hint, file in self._pairs if hint.column and file is None]

    def _hash(self, hint: Hint, file: Path | None, row: int | None) -> str | None:
        if file is not None:
            return sha256(file)
        return (
            hint.fingerprint(self.cohort, [row])[0]
            if hint.column and self.cohort is not None and row is not None
            else None
        )

    def _edges_picture(
        self, hint: Hint, file: Path | None, picture: np.ndarray, fit: Fit, row: int | None
    ) -> np.ndarray:
        if file is not None:
            return from_file(file, fit.resolution, hint, beside=fit, **self.part)
        if hint.column and self.cohort is not None and row is not None:
            return hint.picture(self.cohort, row, fit.resolution)
        return hint.of_picture(picture)


def sourced(model: Model, cohort: Path | None, files: Sequence[Path] = (), **part: Any) -> Sourced:
    """Resolve the hints of images to edit; without ControlNets there are none.

    An edge hint comes from the image, an earlier-visit hint is the image itself, and a mask hint is
    the mask of the image's row.

    Args:
        model: The model that edits.
        cohort: Folder of the cohort whose images are edited; None: image files are edited.
        files: Given hints: one for each ControlNet, or one for each that reads a mask.
        part: Values of `Sourced.part`.

    Raises:
        OptionError: Another number of files, or a mask that is not given.
    """
    wanted = tuple(hints(model))
    masks = [place for place, hint in enumerate(wanted) if hint.column]
    if files and len(files) not in (len(wanted), len(masks)):
        some = f", or for {len(masks)} that are shown masks" if 0 < len(masks) < len(wanted) else ""
        raise OptionError(
            f"`hint_image` gives {len(files)} pictures, and this network has {len(wanted)} "
            f"ControlNets; give one for each{some}"
        )
    places = range(len(wanted)) if len(files) == len(wanted) else masks
    given = dict(zip(places, files, strict=False))
    lacking = [wanted[place] for place in masks if place not in given]
    if lacking and cohort is None:
        raise OptionError(
            f"this network needs a hint '{lacking[0]}', which an image file alone does not "
            "have; give it with `hint_image=FILE`, or edit a cohort whose column "
            f"{lacking[0].column} names it"
        )
    whose = Cohort.load(cohort) if lacking and cohort is not None else None
    return Sourced(wanted, tuple(given.get(place) for place in range(len(wanted))), whose, part)
