"""`age=85`, `+10`, `age=60:90:5` -> typed values, checked against the attributes that a cohort
had."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from latentdrift.attributes.ages import OLDEST, AgeError, parse_age
from latentdrift.attributes.specification import AttributeValue, AttributeValues, Spec, as_number
from latentdrift.config import EditOptions
from latentdrift.errors import OptionError, unknown
from latentdrift.prompts.phrases import NO_FINDING, SEX_WORDS, is_missing, split_findings

MAX_VALUES = 100
"""Values of a series; ours."""


@dataclass(frozen=True)
class Years:
    """An age that is counted from the image's own."""

    number: float

    def __str__(self) -> str:
        return f"{self.number:+g}"

    def after(self, attributes: AttributeValues) -> float:
        """Age after the change, for an image with these attributes.

        Raises:
            OptionError: The image's age is not known, or the new age is impossible.
        """
        known = attributes.get("age")
        if is_missing(known):
            raise OptionError(
                f"an age change of {self} years needs the image's own age, which is not "
                "known; give it with `given={'age': 70}`"
            )
        own = as_number(known)
        age = own + self.number
        if not 0 <= age <= OLDEST:
            raise OptionError(
                f"an age of {self} years from {own:g} is {age:g}, and ages lie between 0 and "
                f"{OLDEST:g} years; go less far, or set the age itself with `set={{'age': 85}}`"
            )
        return age


AttributeChange = AttributeValue | Years
"""New value of an attribute; an age may be `Years` from the image's own."""


@dataclass(frozen=True)
class Wanted:
    """Changes that `edit` makes."""

    changes: Mapping[str, AttributeChange]
    add: tuple[str, ...]
    remove: tuple[str, ...]
    grid: tuple[tuple[str, tuple[AttributeChange, ...]], ...]
    """Attributes that take several values in turn."""


def parse_wanted(options: EditOptions, spec: Spec) -> Wanted:
    """Parse the options `set`, `age`, `add`, `remove` and `grid` of `edit`.

    Args:
        options: Options of `edit`.
        spec: Attributes of the adapter's cohort.

    Raises:
        OptionError: An unknown attribute or value, an attribute given twice, no change at all, or a
            model without attributes.
    """
    wanted = [
        name for name in ("set", "age", "add", "remove", "grid", "given") if getattr(options, name)
    ]
    if wanted and not spec:
        raise OptionError(
            f"`{wanted[0]}` speaks of attributes, and {options.adapter} knows none: it is a base, "
            "or was not fitted on a cohort; give an adapter that `fit` made"
        )
    changes: list[tuple[str, AttributeChange]] = [
        parse_assignment(text, spec) for text in options.set
    ]
    if options.age is not None:
        changes.append(("age", parse_years(options.age, spec)))
    grid = tuple(
        (name, tuple(values))
        for name, values in (parse_series(text, spec) for text in options.grid)
    )
    names = [name for name, _ in (*changes, *grid)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise OptionError(
            f"the {twice} of the counterfactual is given twice, by `set`, `age` or `grid`; "
            "give it once"
        )
    add, remove = (
        tuple(parse_finding(text, spec) for text in texts)
        for texts in (options.add, options.remove)
    )
    if both := next((finding for finding in add if finding in remove), None):
        raise OptionError(f"`add` and `remove` both name '{both}'; leave one of them out")
    if not (changes or grid or add or remove or options.instruction):
        raise OptionError(
            "nothing is to change; say what with `set`, `age`, `add`, `remove`, `grid` or "
            "`instruction`"
        )
    return Wanted(dict(changes), add, remove, grid)


def parse_years(text: str, spec: Spec) -> Years:
    """Parse a change of age, `+10` or `-5`, in years from each image's own age.

    Args:
        text: The option `age`.
        spec: Attributes of the adapter's cohort.

    Raises:
        OptionError: The cohort had no ages, or the text is not a sign and a number.
    """
    if "age" not in spec:
        raise unknown("attribute", "age", spec)
    if not re.fullmatch(r"[+-]\d+(\.\d+)?", text.strip()):
        raise OptionError(
            f"`age={text}` is no number of years from an image's own age: write +10 or -5, or "
            "`set={'age': 85}`"
        )
    return Years(float(text))


def parse_series(text: str, spec: Spec) -> tuple[str, list[AttributeChange]]:
    """Parse a series of values.

    Args:
        text: `age=60:90:5` (start, stop and step, both ends included), `age=+5,+10` or
            `diagnosis=dementia,no dementia`.
        spec: Attributes of the adapter's cohort.

    Returns:
        The attribute and its values, as of `parse_assignment`; `Years` where an age has a sign.

    Raises:
        OptionError: As `parse_assignment`; an empty range, too many values, or a repeated value.
    """
    name, equals, listed = (part.strip() for part in text.partition("="))
    if not (name and equals and listed):
        raise OptionError(
            f"'{text}' is not a series; write name=start:stop:step or name=value,value, for "
            "example age=60:90:5"
        )
    attribute = {known.lower(): known for known in spec}.get(name.lower(), name)
    values = [part.strip() for part in listed.split(",") if part.strip()]
    if attribute in spec and spec[attribute].is_number and ":" in listed:
        values = _range(text, listed)
    if len(values) > MAX_VALUES:
        raise OptionError(
            f"'{text}' has {len(values)} values; a series has at most {MAX_VALUES}: take a "
            "longer step"
        )
    signed = attribute == "age" and any(value[0] in "+-" for value in values)
    parsed: list[AttributeChange] = [
        parse_years(value, spec) if signed else parse_assignment(f"{name}={value}", spec)[1]
        for value in values
    ]
    if len(set(parsed)) < len(parsed) or not parsed:
        raise OptionError(
            f"'{text}' names no value, or one twice; a series has each of its values once"
        )
    return attribute, parsed


def _range(text: str, option: str) -> list[str]:
    """Values of start:stop:step as they would be written out, the stop among them where a whole
    number of steps leads to it."""
    parts = [part.strip() for part in option.split(":")]
    try:
        start, stop, step = (float(part) for part in parts)
        steps = (stop - start) / step
    except (ValueError, ZeroDivisionError):
        steps = math.nan
    if not 0 <= steps < math.inf:
        raise OptionError(
            f"'{text}' is not a range that leads anywhere; write start:stop:step, for example "
            "age=60:90:5"
        )
    if steps >= MAX_VALUES:
        raise OptionError(
            f"'{text}' has {steps + 1:.0f} values; a series has at most {MAX_VALUES}: take "
            "a longer step"
        )
    sign = "+" if parts[0][0] in "+-" else ""
    return [f"{round(start + step * i, 6):{sign}.12g}" for i in range(math.floor(steps + 1e-9) + 1)]


def parse_assignment(text: str, spec: Spec) -> tuple[str, str | float]:
    """Parse a value of an attribute, `age=85` -> ("age", 85.0).

    Args:
        text: The assignment.
        spec: Attributes of the adapter's cohort, with which it is checked.

    Raises:
        OptionError: No `=`, an unknown attribute or value, text that is no number, or an impossible
            age.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise OptionError(f"'{text}' is not an assignment; write name=value, for example age=85")
    name = {known.lower(): known for known in spec}.get(name.lower(), name)
    if name not in spec:
        raise unknown("attribute", name, spec)
    attribute = spec[name]
    if attribute.is_number:
        return name, _number(name, value, attribute.unit)
    if attribute.type == "findings":
        return name, _findings(value, spec)
    return name, _word(name, value, attribute.words)


def _findings(value: str, spec: Spec) -> str:
    """Findings joined with `|`; a word that says there are none stands alone."""
    findings = [parse_finding(part, spec) for part in split_findings(value)]
    none = next((finding for finding in findings if finding.lower() in NO_FINDING), None)
    if none and len(findings) > 1:
        raise OptionError(
            f"findings={value}: '{none}' says that there are no findings, and others are named; "
            "leave one out"
        )
    return "|".join(findings)


def parse_finding(text: str, spec: Spec) -> str:
    """Spell a finding as in the cohort's vocabulary.

    Args:
        text: The finding, in any case.
        spec: Attributes of the adapter's cohort.

    Raises:
        OptionError: The cohort has no findings, or not this one.
    """
    if "findings" not in spec:
        known = ", ".join(sorted(spec))
        raise OptionError(
            f"unknown attribute 'findings'; known: {known} ('{text}' would be a finding, and this "
            "adapter's cohort has none)"
        )
    return _word("finding", text.strip(), spec["findings"].words)


def _word(kind: str, value: str, vocabulary: Iterable[str]) -> str:
    """The entry of the vocabulary that `value` means; M and male mean the same."""
    fold = {entry.lower(): entry for entry in vocabulary}
    if kind == "sex":
        fold = {SEX_WORDS.get(lower) or lower: entry for lower, entry in fold.items()}
        value = SEX_WORDS.get(value.lower()) or value
    if fold and value.lower() not in fold:
        raise unknown(kind, value, fold.values())
    return fold.get(value.lower(), value)


def _number(name: str, value: str, unit: str | None) -> float:
    if name == "age":
        return _age(value)
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(
            f"{name}={value}: '{value}' is not a number; give it in {unit or 'digits'}, for "
            f"example {name}=70"
        )
    return number


def _age(value: str) -> float:
    """Years, by the one rule for ages; an age that is not known is no value to assign."""
    try:
        years = parse_age(value)
    except AgeError as error:
        raise OptionError(
            f"age={value}: an age lies between 0 and {OLDEST:g} years; {error}"
        ) from error
    if years is None:
        raise OptionError(
            f"age={value}: '{value}' is not a number; give it in years, for example age=70"
        )
    return years


def parse_emphasis(text: str) -> tuple[str, float]:
    """Parse `dementia=2` into the word and its factor.

    Raises:
        OptionError: Another form, or a factor that is not a finite number from 0 on.
    """
    word, _, factor = text.rpartition("=")
    try:
        value = float(factor)
    except ValueError:
        value = -1.0
    if not word or not 0 <= value < float("inf"):
        raise OptionError(
            f"`emphasis={text}` is not understood; write WORD=FACTOR, such as dementia=2, with a "
            "factor from 0 on"
        )
    return word, value
