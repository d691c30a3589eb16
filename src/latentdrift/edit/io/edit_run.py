"""EditRun = all edits that `edit` makes, and the model that makes them, an image at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from latentdrift import prompts
from latentdrift.attributes.specification import AttributeValues
from latentdrift.config import EditOptions
from latentdrift.data.cohort.controlnet_hints import HintSource
from latentdrift.data.images.image import Image
from latentdrift.data.images.letterbox import Fit
from latentdrift.edit.core.edit_spec import EditSpec
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.inversions.inversion import INVERSIONS
from latentdrift.edit.inversions.inversion_cache import InversionCache
from latentdrift.edit.io.counterfactual import Counterfactual, edit
from latentdrift.edit.io.edit_facts import EditFacts, ModelFacts
from latentdrift.edit.io.edit_inputs import Entry, Subject
from latentdrift.edit.io.edit_requests import EditPlan, Request
from latentdrift.edit.io.edit_writer import (
    differing,
    is_complete,
    of_seed,
    on_square,
    quarantine,
)
from latentdrift.errors import InputError, OptionError
from latentdrift.model.model import Model

log = logging.getLogger(__name__)

VOLUMES_TABLE = "volumes.csv"
"""Name of the table of volumes in the folder of the edits."""


class Hints(Protocol):
    """Hints of ControlNets for an image; see `edit_hints`."""

    def of(self, picture: np.ndarray, fit: Fit, row: int | None) -> Sequence[Tensor]:
        """Hints [3, R, R] in [0, 1] of one image, one for each ControlNet.

        Args:
            picture: The image [C, R, R] in [0, 1].
            fit: Crop and scale that brought the image to the square.
            row: Position of the image in the cohort; None for a file.
        """

    def sources(self, row: int | None) -> Sequence[HintSource]:
        """Hints of one image for its record.

        Args:
            row: Position of the image in the cohort; None for a file.
        """


def volumes_picture(image: str) -> str:
    """Name of the picture of an image's volumes over the years."""
    return f"{image}-volumes.png"


@dataclass(frozen=True, eq=False)
class EditRun:
    """Edits of images by a model."""

    model: Model
    """With the drift that an edit of so many steps takes (`with_start_drift`)."""
    options: EditOptions
    plan: EditPlan
    hints: Hints
    requests: Sequence[Request]

    @property
    def model_facts(self) -> ModelFacts:
        """Drift, base and adapters of the model."""
        return ModelFacts.of(self.model)

    @property
    def inversion_cache(self) -> InversionCache:
        """Cache of the run's inversions."""
        return InversionCache(
            self.options.inversions or self.options.out / "cache", self.model_facts.to_dict()
        )

    @property
    def share(self) -> float:
        """Share of the sampling steps that an edit runs, in (0, 1]."""
        return 1.0 if EDITORS[self.plan.editor].draws else self.options.strength

    @property
    def detail(self) -> bool:
        """Whether changes are added to the original images."""
        return EDITORS[self.plan.editor].keeps(self.model.base, self.options.detail)

    def folder(self, request: Request) -> Path:
        """Folder of one counterfactual."""
        return self.options.out / request.name

    def facts(self, request: Request) -> EditFacts:
        """Everything that determines an edit."""
        hints = self.hints.sources(request.entry.row)
        return EditFacts(self.options, self.detail, request, self.model_facts, hints)

    def missing(self) -> list[Request]:
        """Requests whose edit is not written yet."""
        return [
            request
            for request in self.requests
            if not any(is_complete(place, self.facts(request)) for place in self._places(request))
        ]

    def check_free(self) -> None:
        """Check that `out` holds no edits of other images under equal names.

        The number of edits that are made again is logged.

        Raises:
            InputError: It holds such an edit.
        """
        other = {
            request.name: differing(self.folder(request), self.facts(request))
            for request in self.requests
        }
        if clash := next((name for name, facts in other.items() if "image" in facts), None):
            raise InputError(
                f"{self.options.out / clash} holds an edit of another image, or of this image in "
                "another window; give another `out`"
            )
        again = [facts for facts in other.values() if facts]
        if again:
            names = ", ".join(dict.fromkeys(name for facts in again for name in facts))
            log.info(
                "%d of %d edits in %s are made again because these settings differ: %s",
                len(again),
                len(other),
                self.options.out,
                names,
            )

    def _places(self, request: Request) -> tuple[Path, Path]:
        """Possible folders of an edit: in `out`, or in quarantine."""
        return self.folder(request), quarantine(self.options.out) / request.name

    def completed(self) -> list[Request]:
        """Requests whose edit is written and not in quarantine."""
        return [
            request
            for request in self.requests
            if is_complete(self.folder(request), self.facts(request))
        ]

    def square_picture(self, request: Request, name: str) -> np.ndarray:
        """Written picture of an edit on the model's square, [R, R, 3] in [0, 1].

        Args:
            request: The edit.
            name: Name of the picture, as "counterfactual".
        """
        return on_square(self.folder(request) / f"{name}.png", request.entry.read().fit)

    def pictures_of_seeds(self, request: Request) -> list[str]:
        """Names of the counterfactual's pictures that are on disk, one for each seed.

        Args:
            request: The edit.
        """
        first = self.options.seed
        further = [of_seed(seed) for seed in range(first + 1, first + self.options.seeds)]
        folder = self.folder(request)
        return ["counterfactual", *(name for name in further if (folder / f"{name}.png").is_file())]

    def output_names(self, requests: Iterable[Request]) -> set[str]:
        """Names of the folders and files right below `out` that edits of this call make.

        Args:
            requests: The edits.
        """
        names: set[str] = set()
        for request in requests:
            image = request.entry.name
            names |= {request.name, f"{image}-strip.png", f"{image}.{self.options.animate}"}
            names |= {volumes_picture(image), VOLUMES_TABLE}
        return names

    @property
    def spec(self) -> EditSpec:
        """Options that the editor uses."""
        return EditSpec.of_options(self.options)

    def make(
        self, request: Request, cache: InversionCache, spec: EditSpec | None = None
    ) -> tuple[Subject, Counterfactual]:
        """Make one edit.

        Args:
            request: The edit.
            cache: Cache of inversions.
            spec: Numbers and choices in place of the run's own, to measure the cost of an edit.
        """
        subject = request.entry.open()
        counterfactual = edit(
            self.model,
            subject.tensor(),
            request.source,
            request.network_prompt,
            editor=self.plan.editor,
            spec=spec or self.spec,
            parts=request.parts or (),
            sentences=request.sentences or ((), ()),
            mask=subject.mask(),
            hints=self.hints.of(subject.picture(), subject.fit, request.entry.row),
            cache=cache,
        )
        return subject, counterfactual

    def back(self, request: Request, read: Callable[[], Subject] | None = None) -> Request:
        """Request that undoes an edit: from its written counterfactual to the attributes of the
        original.

        Args:
            request: The edit.
            read: Reads the image to edit back; None: the written counterfactual.

        Raises:
            OptionError: The original lacks a changed attribute, or only an instruction states the
                change.
        """
        entry = request.entry
        changes = request.change.changes
        change = self.plan
        unknown = [name for name in changes if prompts.is_missing(entry.attributes.get(name))]
        if unknown:
            raise OptionError(
                f"`reverse` edits back to the {unknown[0]} of image {entry.name}, which is not "
                "known; give it with `given`, or leave `reverse` out"
            )
        before, after = prompts.states(
            entry.attributes,
            changes,
            add=change.add,
            remove=change.remove,
            spec=change.info.attributes,
        )
        written = self.folder(request) / "counterfactual.png"
        undone = replace(
            change,
            changes={name: before[name] for name in changes},
            add=change.remove,
            remove=change.add,
            grid=(),
        )
        return replace(undone, instruction=None).request(
            replace(
                entry,
                attributes=after,
                read=read or partial(_edited_subject, entry, written, after),
                sha256=None,
            )
        )

    def folder_back(self, request: Request) -> Path:
        """Folder of the edit that undoes a request, where `evaluate` reads it."""
        return self.folder(request) / "reverse" / request.entry.name

    def inversions(self, requests: Sequence[Request]) -> int:
        """Number of inversions for these requests: one for each image, and for each seed if it
        matters."""
        name = EDITORS[self.plan.editor].inversion(self.options.inversion)
        row = INVERSIONS.get(name or "")
        images = len({request.entry.name for request in requests})
        return 0 if row is None else images * (self.options.seeds if "seed" in row.options else 1)


def _edited_subject(entry: Entry, path: Path, attributes: AttributeValues) -> Subject:
    """A counterfactual as the image to edit, in the geometry of its original."""
    from PIL import Image as Pillow

    with Pillow.open(path) as file:
        image = Image(np.asarray(file), (0.0, 255.0))
    return replace(entry.read(), image=image, attributes=attributes)
