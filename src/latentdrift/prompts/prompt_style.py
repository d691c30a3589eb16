"""How the prompts of one adapter are worded: chosen by `fit`, kept in adapter.json, followed by
`generate` and `edit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from latentdrift.attributes.ages import DAYS_PER_YEAR
from latentdrift.attributes.specification import AttributeValues, Spec
from latentdrift.config import FitOptions
from latentdrift.errors import OptionError, unknown
from latentdrift.prompts.edit_prompts import (
    NUMBER_INSTRUCTIONS,
    VOLUMES_INSTRUCTION,
    instruction,
)
from latentdrift.prompts.phrases import attributes_of, is_missing, named, negated
from latentdrift.prompts.prompt_numbers import VolumeChange
from latentdrift.prompts.templates import TEMPLATES, sentence


@dataclass(frozen=True)
class Manner:
    """The choices that adapter.json keeps under "prompt"."""

    style: str = "simple"
    """A row of TEMPLATES."""
    patient_info: bool = True
    """Say age, sex, findings and other attributes."""
    age_encoding: str = "numerical"
    """A row of AGES."""
    negate_findings: bool = False
    """Deny some of the findings that an image has not."""
    caption: str | None = None
    """The column whose text is the prompt, in place of a template."""
    instruction: str | None = None
    """A row of INSTRUCTIONS, where what is said is how one visit becomes a later one."""

    @classmethod
    def of_options(cls, options: FitOptions) -> Manner:
        """Prompt style from the options of `fit`."""
        return cls(
            options.prompt_style,
            options.patient_info,
            options.age_encoding,
            options.negate_findings,
            options.caption,
            options.instruction,
        )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Manner:
        """Prompt style from the entry `prompt` of adapter.json; missing values have their
        defaults."""
        return cls(
            **{field.name: options[field.name] for field in fields(cls) if field.name in options}
        )

    def check(self, spec: Spec, texts: Iterable[str]) -> None:
        """Check that a cohort has what these choices need.

        Args:
            spec: The cohort's attributes.
            texts: Columns of words in the cohort.

        Raises:
            OptionError: No such style or column, nothing to deny, or no place for it.
        """
        if self.style not in TEMPLATES:
            raise unknown("prompt style", self.style, TEMPLATES)
        if self.caption is not None and self.caption not in texts:
            raise unknown("column of words for `caption`", self.caption, texts)
        if self.negate_findings and not self.patient_info:
            raise OptionError(
                "`negate_findings` says what is not found, which `patient_info=False` leaves out; "
                "give one of them"
            )
        if self.negate_findings and "findings" not in spec:
            raise OptionError(
                "`negate_findings` needs findings, and the cohort has none; leave it out, or "
                "import with a `findings:` column"
            )

    def words(
        self,
        describe: str,
        row: AttributeValues,
        spec: Spec,
        index: int,
        *,
        learned: bool = False,
    ) -> str:
        """The prompt of a table's row.

        Args:
            describe: Noun of the images, or the learned word.
            row: Cells of the row.
            spec: The attributes that may stand in a sentence.
            index: Index of the image; it chooses the wording and the negated findings.
            learned: `describe` is a word that is learned, and leads a caption that does not hold
                it.
        """
        text = self._caption(row)
        known = attributes_of(row, spec)
        if not is_missing(text):
            name = named(describe, known)[0]
            return f"{name}: {text}" if learned and name not in text else text
        attributes = negated(known, spec, index) if self.negate_findings else known
        return sentence(
            describe,
            attributes,
            style=self.style,
            index=index,
            patient_info=self.patient_info,
            age_encoding=self.age_encoding,
        )

    def variant(self, index: int) -> int:
        """Part of an image's index that `words` depends on.

        Images of equal attributes and variants have equal prompts.

        Args:
            index: Index of the image.
        """
        return index if self.negate_findings else index % len(TEMPLATES[self.style])

    def instructs(
        self,
        describe: str,
        earlier: AttributeValues,
        later: AttributeValues,
        spec: Spec,
        volumes: VolumeChange | None = None,
    ) -> str:
        """Instruction from one row of a table to a later one: the later row's caption, or
        generated.

        Args:
            describe: Noun of the images.
            earlier: First row.
            later: Second row.
            spec: Attributes of the cohort.
            volumes: Change of the volumes, where instructions say it; None: it is not known.

        Raises:
            OptionError: The rows do not differ in words, or the later one is younger.
        """
        text = self._caption(later)
        if not is_missing(text):
            return text
        return instruction(
            describe,
            attributes_of(earlier, spec),
            attributes_of(later, spec),
            self.instruction or "numerical",
            _years_between(earlier, later),
            volumes,
        )

    @property
    def uses_numbers(self) -> bool:
        """Whether an instruction holds numbers that the network reads beside its words."""
        return self.instruction in NUMBER_INSTRUCTIONS

    @property
    def uses_volumes(self) -> bool:
        """Whether an instruction says how the volumes of a brain change."""
        return self.instruction == VOLUMES_INSTRUCTION

    def _caption(self, row: AttributeValues) -> str:
        """The text of a row, in one line; nothing where prompts are templates."""
        return " ".join(str(row.get(self.caption)).split()) if self.caption else ""


def _years_between(earlier: AttributeValues, later: AttributeValues) -> float | None:
    """Years between two rows of a table by their days; None where these are not known."""
    days = [row.get("days") for row in (earlier, later)]
    if any(is_missing(day) for day in days):
        return None
    first, second = (float(str(day)) for day in days)
    return (second - first) / DAYS_PER_YEAR
