"""Attributes <-> text: the sentence for an image, an assignment such as `age=85`, the two sentences of an edit.

A part of a template in square brackets is left out when one of its slots is empty: a missing attribute is never invented.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from latentdrift.errors import OptionError, unknown

Spec = Mapping[str, Mapping[str, Any]]
"""Attribute name -> {"type": "number" | "category" | "findings", "vocabulary": [...], "unit": "years"}, as in cohort.json."""

# {image}: what the picture shows; {who}: "75 year old female"; {what}: "dementia", "mass, nodule and no effusion"
TEMPLATES: dict[str, tuple[str, ...]] = {
    "simple": ("a {image}[ of a {who}][ with {what}]",),
    "diverse": (
        "a {image}[ of a {who}][ with {what}]",
        "the {image}[ of a {who}][ with {what}]",
        "{image}[ of a {who}][ with {what}]",
        "{image}[, {who}][, {what}]",
        "{image}[; {what}][; {who}]",
        "[{who}: ]{image}[, {what}]",
        "[{what}: ]{image}[ of a {who}]",
        "[a {who}, ]a {image}[ with {what}]",
        "a clinical {image}[ of a {who}][ with {what}]",
        "a medical image, {image}[ of a {who}][ with {what}]",
        "this is a {image}[ of a {who}][ with {what}]",
        "this {image}[ of a {who}][ shows {what}]",
        "a {image}[ showing {what}][ in a {who}]",
        "a {image}[ acquired from a {who}][ with {what}]",
        "a {image}[ of a patient, {who}][, with {what}]",
        "one {image}[ from a {who}][, reported as {what}]",
        "a single {image}[ belonging to a {who}][ who has {what}]",
        "a radiology study, {image}[ of a {who}][, finding: {what}]",
        "image type: {image}[, patient: {who}][, label: {what}]",
        "a {image}[ with {what}][, patient is a {who}]",
        "a {image} from a hospital archive[, {who}][, {what}]",
        "a diagnostic {image}[ from the examination of a {who}][ with {what}]",
        "an example of a {image}[ of a {who}][ with {what}]",
        "a {image} as a radiologist sees it[, {who}][ with {what}]",
    ),
}

# M, F, O are DICOM's (0010,0040); U stands in tables for unknown
SEX_WORDS = {"m": "male", "male": "male", "f": "female", "female": "female", "o": "", "u": ""}
NO_FINDING = ("no finding", "no findings", "none", "normal")
_MISSING = {"", "nan", "none", "<na>", "nat"}
_NOT_SPOKEN = {"age", "sex", "findings", "view", "modality"}  # they have their own place in the sentence, or {image} says them
# "a" becomes "an" before a vowel sound
_VOWEL = re.compile(
    r"""\b([aA])\ (?=
      (?!one\b|uni(?![nmd])|us[aeu]|eu)[aeiou]                                # a word, not "one", "unilateral", "usual"
    | 8\d?\b | 1[18]\b                                                       # 8, 80-89, 11, 18
    | (?!SPECT|FLAIR|NIfTI|STIR)[AEFHILMNORSX](?:[A-Z]|-|\b) | [AEIO][a-z]   # an acronym by its first letter: MRI, X-ray
    )""",
    re.VERBOSE,
)


def is_missing(value: Any) -> bool:
    """An empty cell, as a string, None, or a table's not-a-number."""
    return not isinstance(value, (list, tuple)) and str(value).strip().lower() in _MISSING


def attributes_of(row: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """The attributes of a table row that are named in `spec` and not missing."""
    return {name: row[name] for name in spec if name in row and not is_missing(row[name])}


def sentence(
    describe: str, attributes: Mapping[str, Any], *, style: str = "simple", index: int = 0, patient_info: bool = True
) -> str:
    """The prompt of an image: "a brain MRI of a 75 year old female with dementia".

    Args:
        describe: What the pictures show, e.g. "brain MRI".
        attributes: Name -> value; missing ones leave the sentence.
        style: A row of TEMPLATES.
        index: Which wording, modulo the number of the style's templates.
        patient_info: Say age, sex, findings and other attributes; the view is the picture's, and always said.
    """
    if style not in TEMPLATES:
        raise unknown("prompt style", style, TEMPLATES)
    known = {name: value for name, value in attributes.items() if not is_missing(value)}
    view = str(known.get("view", ""))
    image = describe if view.lower() in describe.lower() else f"{view} {describe}"
    slots = {"image": image, "who": _who(known) if patient_info else "", "what": _join(_what(known)) if patient_info else ""}
    template = TEMPLATES[style][index % len(TEMPLATES[style])]
    kept = re.sub(r"\[([^\]]*?\{(\w+)\}[^\]]*)\]", lambda part: part[1] if slots[part[2]] else "", template)
    return _VOWEL.sub(r"\1n ", kept.format(**slots)).strip()


def _who(attributes: Mapping[str, Any]) -> str:
    sex = str(attributes.get("sex", ""))
    words = [_age(float(attributes["age"]))] if "age" in attributes else []
    return " ".join(filter(None, [*words, SEX_WORDS.get(sex.lower(), sex)]))


def _age(years: float) -> str:
    return f"{round(years * 12)} month old" if years < 1 else f"{int(years)} year old"


def _what(attributes: Mapping[str, Any]) -> list[str]:
    """Findings first, then every other attribute by its value; a yes or no by its name; a number by both."""
    spoken = list(split_findings(attributes.get("findings", "")))
    for name, value in attributes.items():
        if name in _NOT_SPOKEN:
            continue
        word, title = str(value), name.replace("_", " ")
        if isinstance(value, bool) or word.lower() in {"yes", "no", "true", "false"}:
            spoken.append(title if word.lower() in {"yes", "true"} else f"no {title}")
        elif isinstance(value, (int, float)):
            spoken.append(f"{title} {value:g}")
        else:
            spoken.append(word)
    return spoken


def phrase(name: str, value: Any) -> str:
    """How a prompt says one attribute: "female", "no dementia"."""
    return SEX_WORDS.get(str(value).lower(), str(value)) if name == "sex" else _join(_what({name: value}))


def _join(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def split_findings(value: Any) -> tuple[str, ...]:
    """Findings of a cell: `a|b` or a list of names; an empty cell has none."""
    if is_missing(value):
        return ()
    return tuple(part.strip() for part in (value.split("|") if isinstance(value, str) else value) if part.strip())


def parse_assignment(text: str, spec: Spec) -> tuple[str, Any]:
    """`age=85` -> ("age", 85.0), checked against the attributes that the adapter's cohort had.

    Raises:
        OptionError: No `=`, an unknown attribute or value, a number that is none, an age that cannot be.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise OptionError(f"'{text}' is not an assignment; write name=value, for example age=85")
    name = {known.lower(): known for known in spec}.get(name.lower(), name)
    if name not in spec:
        raise unknown("attribute", name, spec)
    kind, vocabulary = spec[name]["type"], spec[name].get("vocabulary") or []
    if kind == "number":
        return name, _number(name, value, spec[name].get("unit"))
    if kind == "findings":
        return name, "|".join(parse_finding(part, spec) for part in split_findings(value))
    return name, _word(name, value, vocabulary)


def parse_finding(text: str, spec: Spec) -> str:
    """A finding as the cohort's vocabulary spells it.

    Raises:
        OptionError: The cohort has no findings, or not this one.
    """
    if "findings" not in spec:
        raise unknown("attribute", "findings", spec)
    return _word("finding", text.strip(), spec["findings"].get("vocabulary") or [])


def _word(kind: str, value: str, vocabulary: Iterable[Any]) -> str:
    """The entry of the vocabulary that `value` means; M and male mean the same."""
    fold = {str(entry).lower(): str(entry) for entry in vocabulary}
    if kind == "sex":
        fold = {SEX_WORDS.get(lower) or lower: entry for lower, entry in fold.items()}
        value = SEX_WORDS.get(value.lower()) or value
    if fold and value.lower() not in fold:
        raise unknown(kind, value, fold.values())
    return fold.get(value.lower(), value)


def _number(name: str, value: str, unit: str | None) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"{name}={value}: '{value}' is not a number; give it in {unit or 'digits'}, for example {name}=70")
    if name == "age" and not 0 <= number <= 130:
        raise OptionError(f"age={value}: an age lies between 0 and 130 years; give one in that range, for example age=85")
    return number


def pair(
    describe: str,
    attributes: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
    spec: Spec | None = None,
    style: str = "simple",
    index: int = 0,
    patient_info: bool = True,
) -> tuple[str, str]:
    """The source and the target sentence of an edit, in the same wording.

    Args:
        describe: What the pictures show.
        attributes: What is known of the source image; where it says nothing, the target speaks only of the change.
        changes: Attributes of the counterfactual, as `parse_assignment` returns them.
        add: Findings that the counterfactual has and the source has not.
        remove: Findings that the source has and the counterfactual has not; where none is left, the vocabulary's own
            word for "no finding" is said, if it has one.
        spec: The cohort's attributes.
        style: A row of TEMPLATES.
        index: Which wording.
        patient_info: As in `sentence`; an edit needs it, except for a change of the view.

    Raises:
        OptionError: Nothing would change, a finding to add is there already, or one to remove is known not to be there.
    """
    source, target = dict(attributes), {**attributes, **changes}
    if add or remove:
        source["findings"], target["findings"] = _edit_findings(target.get("findings", ""), tuple(add), tuple(remove), spec or {})
    options: dict[str, Any] = {"style": style, "index": index, "patient_info": patient_info}
    before, after = sentence(describe, source, **options), sentence(describe, target, **options)
    if before == after:
        raise OptionError(f"the edit changes nothing: both prompts read '{before}'; set, add or remove something that differs")
    return before, after


def _edit_findings(cell: Any, add: tuple[str, ...], remove: tuple[str, ...], spec: Spec) -> tuple[str, str]:
    """The findings before and after, as cells. A source whose findings are unknown is taken to have what is removed."""
    known = split_findings(cell)
    present = [finding for finding in known if finding.lower() not in NO_FINDING]
    lower = [finding.lower() for finding in present]
    for finding in add:
        if finding.lower() in lower:
            raise OptionError(f"cannot add '{finding}': the image has it already; its findings: {', '.join(present)}")
    for finding in remove:
        if known and finding.lower() not in lower:
            raise OptionError(f"cannot remove '{finding}': the image has not got it; its findings: {', '.join(known)}")
    gone = [finding.lower() for finding in remove]
    after = [finding for finding in present if finding.lower() not in gone] + list(add)
    vocabulary = spec.get("findings", {}).get("vocabulary") or []
    healthy = [str(entry) for entry in vocabulary if str(entry).lower() in NO_FINDING]
    return "|".join(known or remove), "|".join(after or healthy[:1])
