"""What `edit` was asked for, in words: the two prompts of each image, or the instruction."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from latentdrift import prompts
from latentdrift.config import EditOptions
from latentdrift.edit.editors import EDITORS, check, chosen
from latentdrift.edit.sources import Subject
from latentdrift.errors import OptionError
from latentdrift.model.base import Base

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Request:
    """The edit of one image."""

    subject: Subject
    source: str
    """The prompt that describes it."""
    target: str
    """The prompt that describes it as it should be."""
    instruction: str | None
    """What leads from one to the other, where the editor takes that."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """What else the editor takes: `parts` or `sentences` of `counterfactual.edit`."""

    @property
    def told(self) -> str:
        """What the network is told to draw."""
        return self.instruction or self.target

    @property
    def facts(self) -> dict[str, Any]:
        """For the record."""
        said = {} if self.instruction is None else {"instruction": self.instruction}
        return {"source_prompt": self.source, "target_prompt": self.target, **said, **self.words, **self.subject.facts}


@dataclass(frozen=True)
class Wish:
    """What is to change, whoever's image it is."""

    changes: Mapping[str, Any]
    add: tuple[str, ...]
    remove: tuple[str, ...]
    editor: str
    """A row of EDITORS."""
    sentences: int
    """Of each state, where the editor takes sets of them."""
    info: Mapping[str, Any]
    """adapter.json: how prompts are worded."""

    @classmethod
    def of(cls, options: EditOptions, base: Base, info: Mapping[str, Any]) -> Wish:
        """From the options.

        Raises:
            OptionError: An attribute or a value that the adapter's cohort has not, an editor that is not for this network, or
            options that do not go together.
        """
        editor, spec = chosen(options.editor, base), info["attributes"]
        check(editor, options.model_dump())
        changes = dict(prompts.parse_assignment(text, spec) for text in options.set)
        add, remove = (tuple(prompts.parse_finding(text, spec) for text in texts) for texts in (options.add, options.remove))
        return cls(changes, add, remove, editor, options.sentences, info)

    @property
    def facts(self) -> dict[str, Any]:
        """For the record."""
        return {"editor": self.editor, "changes": self.changes, "add": self.add, "remove": self.remove}

    def request(self, subject: Subject) -> Request:
        """In the words of one image.

        Raises:
            OptionError: It would change nothing, or cannot be said.
        """
        describe, manner = self.info["describe"], prompts.Manner.of(self.info["prompt"])
        how: Any = {"add": self.add, "remove": self.remove, "spec": self.info["attributes"]}
        source, target = prompts.pair(describe, subject.attributes, self.changes, **how, **manner.of_edit)
        if not EDITORS[self.editor].instructed:
            return Request(subject, source, target, None, self._words(subject))
        before, after = prompts.states(subject.attributes, self.changes, **how)
        return Request(subject, source, target, prompts.instruction(describe, before, after, manner.instruction or "numerical"))

    def _words(self, subject: Subject) -> dict[str, Any]:
        """What the editor takes beside the two prompts.

        Raises:
            OptionError: There are not so many sentences.
        """
        says = EDITORS[self.editor].says
        if says == "prompts":
            return {}
        how: Any = {"add": self.add, "remove": self.remove, "spec": self.info["attributes"]}
        how |= prompts.Manner.of(self.info["prompt"]).of_edit
        describe, known = self.info["describe"], subject.attributes
        if says == "parts":
            return {"parts": prompts.single_changes(describe, known, self.changes, **how)}
        return {"sentences": prompts.sentence_sets(describe, known, self.changes, n=self.sentences, **how | {"style": "diverse"})}

    def requests(self, subjects: Sequence[Subject]) -> list[Request]:
        """In the words of several; images that the change does not concern are left out.

        Raises:
            OptionError: It concerns none of them.
        """
        kept, refusals = [], []
        for subject in subjects:
            try:
                kept.append(self.request(subject))
            except OptionError as error:
                refusals.append(error)
        if not kept and refusals:
            raise refusals[0]
        if refusals:
            log.info("left out: %d of %d images, the first because %s", len(refusals), len(subjects), refusals[0])
        return kept
