"""Requests of `edit` in words: the two prompts of each image, or the instruction."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

from latentdrift import prompts
from latentdrift.attributes.specification import AttributeValues
from latentdrift.config import EditOptions
from latentdrift.edit.core.edit_spec import EditSpec, given_options
from latentdrift.edit.editors.editors import EDITORS, check, chosen
from latentdrift.edit.io.attribute_sweep import check_animation
from latentdrift.edit.io.edit_inputs import Entry
from latentdrift.errors import OptionError
from latentdrift.longitudinal.tissue_volumes import change_in_percent, tissue_volumes
from latentdrift.longitudinal.visit_intervals import VisitInterval, years_between
from latentdrift.longitudinal.volume_model import VolumeModel
from latentdrift.model.adapter_info import AdapterInfo
from latentdrift.model.model import Model

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EditChange:
    """What an edit changes in one image."""

    editor: str
    """A row of EDITORS."""
    changes: AttributeValues = field(default_factory=dict)
    """Values of attributes after the edit."""
    add: tuple[str, ...] = ()
    """Findings that are added."""
    remove: tuple[str, ...] = ()
    """Findings that are removed."""

    def to_dict(self) -> dict[str, Any]:
        """JSON values for a record."""
        return {
            "editor": self.editor,
            "changes": self.changes,
            "add": self.add,
            "remove": self.remove,
        }


@dataclass(frozen=True, eq=False)
class Request:
    """The edit of one image."""

    entry: Entry
    source: str
    """The prompt that describes it."""
    target: str
    """The prompt that describes it as it should be; empty where only a free instruction says so."""
    instruction: str | None
    """Instruction from one state to the other, for an editor that takes it."""
    change: EditChange
    parts: Sequence[str] | None = None
    """Prompts with one change each, for an editor that takes them; as in `counterfactual.edit`."""
    sentences: tuple[Sequence[str], Sequence[str]] | None = None
    """Sentences about source and target, for an editor that takes sets of them."""
    step: Mapping[str, prompts.AttributeChange] = field(default_factory=dict)
    """The values of a grid that it is; empty without one."""

    @property
    def name(self) -> str:
        """Name of the edit's folder."""
        return "-".join(
            [
                self.entry.name,
                *(f"{prompts.slug(name)}-{_slug(value)}" for name, value in self.step.items()),
            ]
        )

    @property
    def title(self) -> str:
        """Title for a reader: "age 85, dementia"."""
        return ", ".join(
            f"{name} {_format_value(value)}" if _is_number(value) else str(value)
            for name, value in self.step.items()
        )

    @property
    def network_prompt(self) -> str:
        """Text that the network receives: the instruction, or the target prompt."""
        return self.instruction or self.target

    def to_dict(self) -> dict[str, Any]:
        """Changes, prompts, and hashes of image and mask, as JSON values for a record."""
        texts = {
            "source_prompt": self.source,
            "target_prompt": self.target,
            "instruction": self.instruction,
        }
        return {
            **self.change.to_dict(),
            **{name: text for name, text in texts.items() if text},
            **({} if self.parts is None else {"parts": self.parts}),
            **({} if self.sentences is None else {"sentences": self.sentences}),
            "image": self.entry.sha256,
            "mask": self.entry.mask_sha256,
        }


def _is_number(value: prompts.AttributeChange) -> TypeGuard[float | prompts.Years]:
    return isinstance(value, int | float | prompts.Years)


def _format_value(value: float | prompts.Years) -> str:
    return str(value) if isinstance(value, prompts.Years) else f"{value:g}"


def _slug(value: prompts.AttributeChange) -> str:
    """A value as part of a folder's name; a sign is part of it."""
    text = _format_value(value) if _is_number(value) else str(value)
    return prompts.slug(
        text.replace("+", "plus ").replace("-", "minus ") if _is_number(value) else text
    )


@dataclass(frozen=True)
class EditPlan:
    """Requested change, the same for all images."""

    changes: Mapping[str, prompts.AttributeChange]
    add: tuple[str, ...]
    remove: tuple[str, ...]
    editor: str
    """A row of EDITORS."""
    sentences: int
    """Number of sentences about each state, for an editor that takes sets of them."""
    info: AdapterInfo
    """adapter.json: how prompts are worded."""
    grid: tuple[tuple[str, tuple[prompts.AttributeChange, ...]], ...] = ()
    """Attributes that take several values in turn."""
    instruction: str | None = None
    """In free words, where the editor takes one."""
    volume_model: VolumeModel | None = None
    """Model that predicts how volumes change, where instructions say it."""

    @classmethod
    def of(cls, options: EditOptions, model: Model) -> EditPlan:
        """Build the plan from the options of `edit`.

        Args:
            options: Options of `edit`.
            model: Model that edits.

        Raises:
            OptionError: An attribute or value that the adapter's cohort lacks, an editor for
                another kind of network, or options that do not go together.
        """
        editor = chosen(options.editor, model.base)
        spec = model.info.attributes
        check(editor, EditSpec.of_options(options), given_options(options))
        check_animation(options.animate, options.grid)
        wanted = prompts.parse_wanted(options, spec)
        if wanted.grid and options.instruction:
            raise OptionError(
                "`instruction` is one text for all, and `grid` would draw the same picture at "
                "every step: give one"
            )
        change = wanted.changes, wanted.add, wanted.remove
        return cls(
            *change,
            editor,
            options.sentences,
            model.info,
            wanted.grid,
            options.instruction,
            model.volume_model,
        )

    @property
    def steps(self) -> Iterator[dict[str, prompts.AttributeChange]]:
        """All combinations of the grid's values, the last attribute fastest; a single empty one
        without a grid."""
        for values in itertools.product(*(values for _, values in self.grid)):
            yield dict(zip((name for name, _ in self.grid), values, strict=True))

    def request(
        self, entry: Entry, step: Mapping[str, prompts.AttributeChange] | None = None
    ) -> Request:
        """Request for one image.

        Args:
            entry: The image.
            step: Values of the grid; None: none.

        Raises:
            OptionError: It would change nothing, or no prompt can state it.
        """
        known = entry.attributes
        wanted = {**self.changes, **(step or {})}
        changes = {
            name: value.after(known) if isinstance(value, prompts.Years) else value
            for name, value in wanted.items()
        }
        describe = self.info.describe
        manner = self.info.prompt.manner()
        spec = self.info.attributes
        if manner.uses_numbers:
            return self._request_in_numbers(entry, changes, step or {})
        if self.instruction and not (
            changes or self.add or self.remove
        ):  # what should come of it is not known
            source = prompts.sentence(
                describe, known, style=manner.style, age_encoding=manner.age_encoding
            )
            target = ""
        else:
            source, target = prompts.pair(
                describe,
                known,
                changes,
                add=self.add,
                remove=self.remove,
                spec=spec,
                style=manner.style,
                age_encoding=manner.age_encoding,
                negate_findings=manner.negate_findings,
            )
        change = EditChange(self.editor, changes, self.add, self.remove)
        if not EDITORS[self.editor].takes_instruction:
            request = Request(entry, source, target, None, change, step=step or {})
            return self._with_further_prompts(request, known, changes)
        if self.instruction:
            return Request(entry, source, target, self.instruction, change, step=step or {})
        before, after = prompts.states(known, changes, add=self.add, remove=self.remove, spec=spec)
        instruction = prompts.instruction(
            describe, before, after, manner.instruction or "numerical"
        )
        return Request(entry, source, target, instruction, change, step=step or {})

    def _request_in_numbers(
        self,
        entry: Entry,
        changes: AttributeValues,
        step: Mapping[str, prompts.AttributeChange],
    ) -> Request:
        """Request for a network that reads the numbers of an instruction; its source prompt is the
        instruction of no change.

        Raises:
            OptionError: It would change nothing, or the age is not known.
        """
        describe = self.info.describe
        manner = self.info.prompt.manner()
        before, after = prompts.states(
            entry.attributes, changes, add=self.add, remove=self.remove, spec=self.info.attributes
        )
        if before == after and not self.instruction:
            raise OptionError(
                f"the edit changes nothing of image {entry.name}; set, add or remove something "
                "that differs"
            )
        wording = str(manner.instruction)
        none = prompts.VolumeChange(0, 0) if manner.uses_volumes else None
        unchanged = prompts.instruction(describe, before, before, wording, 0, none)
        elapsed = None if "age" in changes else 0.0
        instruction = self.instruction or prompts.instruction(
            describe, before, after, wording, elapsed, self._volume_change(entry, before, after)
        )
        target = (
            ""
            if before == after
            else prompts.sentence(
                describe, after, style=manner.style, age_encoding=manner.age_encoding
            )
        )
        change = EditChange(self.editor, changes, self.add, self.remove)
        return Request(entry, unchanged, target, instruction, change, step=step)

    def _volume_change(
        self, entry: Entry, before: AttributeValues, after: AttributeValues
    ) -> prompts.VolumeChange | None:
        """Change of the volumes that is predicted for an image; None where instructions do not say
        it, and for an image without a head.

        Raises:
            OptionError: The adapter has no volume model.
        """
        if not self.info.prompt.manner().uses_volumes:
            return None
        if self.volume_model is None:
            raise OptionError(
                "this adapter was trained with the volumes of brains, and its volume-model.json is "
                "missing; copy the whole adapter folder, or give `instruction` with the volumes"
            )
        volumes = tissue_volumes(entry.open().picture().mean(0))
        interval = VisitInterval(years_between(before, after), before, after)
        return change_in_percent(volumes, self.volume_model.predict(volumes, interval))

    def _with_further_prompts(
        self, request: Request, known: AttributeValues, changes: AttributeValues
    ) -> Request:
        """The request with what the editor takes beside the two prompts.

        Raises:
            OptionError: There are not so many sentences.
        """
        says = EDITORS[self.editor].says
        if says == "prompts":
            return request
        spec = self.info.attributes
        manner = self.info.prompt.manner()
        describe = self.info.describe
        if says == "parts":
            parts = prompts.single_changes(
                describe,
                known,
                changes,
                add=self.add,
                remove=self.remove,
                spec=spec,
                style=manner.style,
                age_encoding=manner.age_encoding,
                negate_findings=manner.negate_findings,
            )
            return replace(request, parts=parts)
        sentences = prompts.sentence_sets(
            describe,
            known,
            changes,
            n=self.sentences,
            add=self.add,
            remove=self.remove,
            spec=spec,
            style="diverse",
            age_encoding=manner.age_encoding,
            negate_findings=manner.negate_findings,
        )
        return replace(request, sentences=sentences)

    def requests(self, entries: Sequence[Entry]) -> list[Request]:
        """Requests for several images, with all steps of the grid; images that it does not apply to
        are left out.

        Args:
            entries: The images.

        Raises:
            OptionError: It applies to no image, or two steps of the grid have one name.
        """
        accepted = []
        refusals = []
        steps = list(self.steps)
        for entry in entries:
            for step in steps:
                try:
                    accepted.append(self.request(entry, step))
                except OptionError as error:
                    refusals.append(error)
        if not accepted and refusals:
            raise refusals[0]
        if len({request.name for request in accepted}) < len(accepted):
            raise OptionError(
                "two values of `grid` would have folders of one name; edit them one after the "
                "other with `set`"
            )
        if refusals:
            what = "edits" if self.grid else "images"
            log.info(
                "left out: %d of %d %s, the first because %s",
                len(refusals),
                len(entries) * len(steps),
                what,
                refusals[0],
            )
        self._warn_of_departures(accepted)
        return accepted

    def _warn_of_departures(self, requests: Sequence[Request]) -> None:
        """Say where the prompts, before and after, depart from those of training."""
        before = [dict(request.entry.attributes) for request in requests]
        after = [
            known | dict(request.change.changes)
            for known, request in zip(before, requests, strict=True)
        ]
        if EDITORS[
            self.editor
        ].takes_instruction:  # says the change, and of the source what is known
            before = []
        for sentence in prompts.departures([*before, *after], self.info.training, "given"):
            log.warning(sentence)
