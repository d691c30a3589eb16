"""One attribute in words: an age, a sex, findings and what is not found, any other category or
number."""

from __future__ import annotations

import re
from collections.abc import Callable

from latentdrift.attributes.specification import (
    AttributeValue,
    AttributeValues,
    Spec,
    as_number,
    words_of,
)
from latentdrift.errors import OptionError, unknown
from latentdrift.seeds import derive

UNITS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def in_words(number: int) -> str:
    """Spell an integer from 0 to 199: "seventy-seven"."""
    if number >= 100:
        return f"one hundred {in_words(number - 100)}" if number > 100 else "one hundred"
    if number < 20:
        return UNITS[number]
    return TENS[number // 10 - 2] + (f"-{UNITS[number % 10]}" if number % 10 else "")


def decade(number: int) -> str:
    """Decade of a number: "70 to 79"."""
    return f"{number // 10 * 10} to {number // 10 * 10 + 9}"


# How an age in whole years is said; numerical and word as in the paper on Latent Drifting, the
# decade is ours.
AGES: dict[str, Callable[[int], str]] = {"numerical": str, "word": in_words, "decade": decade}

# M, F, O are DICOM's (0010,0040); U stands in tables for unknown
SEX_WORDS = {"m": "male", "male": "male", "f": "female", "female": "female", "o": "", "u": ""}
NO_FINDING = (
    "no finding",
    "no findings",
    "none",
    "normal",
    "no abnormality",
    "no abnormalities",
    "unremarkable",
    "ohne befund",
    "o.b.",
    "o. b.",
    "kein befund",
    "unauffällig",
    "normalbefund",
    "aucune anomalie",
    "sans anomalie",
    "sin hallazgos",
    "sin alteraciones",
    "nessuna anomalia",
)
NEGATIONS = 2
"""Findings that a sentence denies at most: it has to stay within the text encoder's 75 tokens."""
SLOT = re.compile(r"\{([^{}]+)\}")
"""In what pictures are called: the attribute whose value is part of the word."""
_MISSING = {"", "nan", "none", "<na>", "nat"}
_NOT_SPOKEN = {
    "age",
    "sex",
    "findings",
    "view",
    "modality",
}  # they have their own place in the sentence, or {image} says them
# "a" becomes "an" before a vowel sound
_VOWEL = re.compile(
    r"""
      # a word, but not "one", "unilateral", "usual"
      (?!one\b|uni(?![nmd])|us[aeu]|eu)[aeiou]
      # 8, 80-89, 11, 18
    | 8\d?\b | 1[18]\b
      # an acronym by its first letter: MRI, X-ray
    | (?!SPECT|FLAIR|NIfTI|STIR)[AEFHILMNORSX](?:[A-Z]|-|\b) | [AEIO][a-z]
    """,
    re.VERBOSE,
)


def article(words: str) -> str:
    """Prefix words with their article: "a brain MRI", "an 80 year old"."""
    return f"an {words}" if _VOWEL.match(words) else f"a {words}"


def join(words: list[str]) -> str:
    """Join words as a list: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def is_missing(value: AttributeValue) -> bool:
    """Whether a cell is empty: a blank string, None, or a table's NaN."""
    return not isinstance(value, (list, tuple)) and str(value).strip().lower() in _MISSING


def attributes_of(row: AttributeValues, spec: Spec) -> dict[str, AttributeValue]:
    """Attributes of a table row that are not missing.

    Args:
        row: Cells by column name.
        spec: Attributes of the cohort; other columns are left out.
    """
    return {name: row[name] for name in spec if name in row and not is_missing(row[name])}


def named(describe: str, attributes: AttributeValues) -> tuple[str, dict[str, AttributeValue]]:
    """Noun of an image, and its remaining attributes.

    A slot as in `<cohort-{diagnosis}>` is filled with the word of the image's value.

    Args:
        describe: Noun, with slots or without.
        attributes: Attributes of the image.

    Raises:
        OptionError: The attribute of a slot is not known.
    """
    result = dict(attributes)
    for name in SLOT.findall(describe):
        value = result.pop(name, "")
        if is_missing(value):
            raise OptionError(
                f"the pictures are called '{describe}', by a word for each {name}, and that of "
                "this one is not known: give it"
            )
        describe = describe.replace(f"{{{name}}}", slug(value))
    return describe, result


def slug(value: object) -> str:
    """Convert a value to a part of a word: "no dementia" becomes "no-dementia"."""
    return re.sub(r"[^\w]+", "-", str(value).strip().lower()).strip("-")


def image(describe: str, attributes: AttributeValues) -> str:
    """Noun of an image with its view: "axial brain MRI".

    Args:
        describe: Noun; a view in it is not repeated.
        attributes: Attributes of the image.
    """
    view = attributes.get("view", "")
    return (
        describe
        if is_missing(view) or str(view).lower() in describe.lower()
        else f"{view} {describe}"
    )


def age(years: float, encoding: str = "numerical") -> tuple[str, str]:
    """Number and unit of an age in words: ("77", "year").

    Args:
        years: Age in years. Below one it counts in months, except by decade.
        encoding: Row of AGES.

    Raises:
        OptionError: An unknown encoding.
    """
    if encoding not in AGES:
        raise unknown("age encoding", encoding, AGES)
    if years < 1 and encoding != "decade":
        return AGES[encoding](round(years * 12)), "month"
    return AGES[encoding](int(years)), "year"


def sex(value: AttributeValue) -> str:
    """Word for a sex: "male" or "female", empty for other and unknown; further text is
    unchanged."""
    return SEX_WORDS.get(str(value).lower(), str(value))


def who(attributes: AttributeValues, encoding: str = "numerical") -> str:
    """Words for the patient, "75 year old female"; empty where neither age nor sex is known.

    Args:
        attributes: Attributes of the image.
        encoding: Row of AGES.
    """
    words = (
        ["{} {} old".format(*age(as_number(attributes["age"]), encoding))]
        if "age" in attributes
        else []
    )
    return " ".join(filter(None, [*words, sex(attributes.get("sex", ""))]))


def conditions(attributes: AttributeValues) -> list[str]:
    """Words for findings, then for the other attributes.

    A category is named by its value, yes and no by the attribute's name, a number by both.
    """
    spoken = list(split_findings(attributes.get("findings", "")))
    for name, value in attributes.items():
        if name in _NOT_SPOKEN or is_missing(value):
            continue
        word = str(value)
        title = name.replace("_", " ")
        if isinstance(value, bool) or word.lower() in {"yes", "no", "true", "false"}:
            spoken.append(title if word.lower() in {"yes", "true"} else f"no {title}")
        elif isinstance(value, (int, float)):
            spoken.append(f"{title} {value:g}")
        else:
            spoken.append(word)
    return spoken


def phrase(name: str, value: AttributeValue) -> str:
    """Words of a prompt for one attribute: "female", "no dementia"."""
    return sex(value) if name == "sex" else join(conditions({name: value}))


def split_findings(value: AttributeValue) -> tuple[str, ...]:
    """Findings of a cell, `a|b` or a list of names; none for an empty cell."""
    if is_missing(value):
        return ()
    parts = value if isinstance(value, list | tuple) else str(value).split("|")
    return tuple(part.strip() for part in parts if part.strip())


def absent(cell: AttributeValue, spec: Spec) -> list[str]:
    """Findings of the vocabulary that an image is known not to have.

    A cell that names findings, or no finding, lists all of them. An empty cell is unknown, so
    nothing is absent.

    Args:
        cell: Findings of the image.
        spec: Attributes of the cohort.
    """
    named = {finding.lower() for finding in split_findings(cell)}
    positive = [
        word
        for word in words_of(spec, "findings")
        if word.lower() not in NO_FINDING and not word.lower().startswith("no ")
    ]
    return (
        [word for word in positive if not named & {word.lower(), f"no {word.lower()}"}]
        if named
        else []
    )


def negated(attributes: AttributeValues, spec: Spec, index: int) -> dict[str, AttributeValue]:
    """Add some absent findings to the attributes, as "no effusion".

    Args:
        attributes: Attributes of the image.
        spec: Attributes of the cohort.
        index: Index of the image; it chooses at most NEGATIONS findings.
    """
    chosen = sorted(
        absent(attributes.get("findings"), spec),
        key=lambda finding: derive(index, "negation", finding),
    )[:NEGATIONS]
    if not chosen:
        return dict(attributes)
    findings = [*split_findings(attributes["findings"]), *(f"no {finding}" for finding in chosen)]
    return {**attributes, "findings": "|".join(findings)}
