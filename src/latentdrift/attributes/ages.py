"""Ages as people write them -> years: `58`, `058Y`, `58,5`, `2y6m`, `6 months`, `90+`, `> 89`, `90
or older`.

This is the one rule for DICOM headers, tables and the command line. Ages over 89 are often capped
to one open group (HIPAA's safe harbour, 45 CFR 164.514(b)(2)(i)(C)). A capped age counts as the
lowest age of its group.
"""

from __future__ import annotations

import re
import unicodedata

from latentdrift.errors import InputError

OLDEST = 120.0
"""Years. Published tables and headers hold typing errors such as 238 or 412."""
CAPPED_FROM = 80.0
"""Years from which an open group (`85+`) is a capped age. Lower ones (`18+`) are groups of unlike
ages, such as `45-50`."""
LONGEST = 60
"""Characters of an age; longer texts are not searched."""
DAYS_PER_YEAR = 365.25
PER_YEAR = {"years": 1.0, "months": 12.0, "weeks": DAYS_PER_YEAR / 7, "days": DAYS_PER_YEAR}
UNSTATED = {
    "",
    "?",
    "-",
    "--",
    ".",
    "#n/a",
    "#na",
    "missing",
    "n.a.",
    "n/a",
    "na",
    "nan",
    "nil",
    "none",
    "null",
    "not available",
    "not known",
    "not reported",
    "not stated",
    "u",
    "unk",
    "unknown",
    "unspecified",
    "x",
}
"""Words of a person that say: no age is given."""

_UNITS = {
    "years": r"years|year|yrs|yr|yo|y/o|y\.o|y",
    "months": r"months|month|mths|mth|mos|mo|m",
    "weeks": r"weeks|week|wks|wk|w",
    "days": r"days|day|d",
}
_UNIT = (
    "(?:"
    + "|".join(f"(?P<{name}>(?:{words})(?![a-z]))" for name, words in _UNITS.items())
    + r")\.?"
)
_NUMBER = r"(?:\d+(?:[.,]\d*)?|[.,]\d+)"
_PART = re.compile(rf"\s*(?P<number>{_NUMBER})\s*{_UNIT}\s*(?:and\s+|,\s*)?")
_PLAIN = re.compile(rf"\+?({_NUMBER}(?:e[+-]?\d+)?)")
_ZERO_YEARS = re.compile(rf"[0.,]+\s*(?:{_UNITS['years']})\.?")
"""`000Y` of a header or a table: a newborn's age is written in days, weeks or months (PS3.5 table
6.2-1, AS)."""
_ANY_UNIT = "(?:" + "|".join(_UNITS.values()) + r")\.?"
_AGE = rf"{_NUMBER}(?:\s*{_ANY_UNIT}(?![a-z]))?"
_ABOVE = re.compile(rf"(?:>|over|above|more than|older than|greater than)\s*({_AGE})")
_FROM = re.compile(
    rf"(?:>=|=>|≥|⩾|at least|from)\s*({_AGE})"
    rf"|({_AGE})\s*(?:\+|plus|(?:and|or|&)\s*(?:older|over|above|more|up|greater)|\(?capped\)?)"
)
_RANGE = re.compile(
    rf"{_AGE}\s*(?:-|/|to|\.\.)\s*{_AGE}|(?:<|<=|=<|≤|under|below|up to|less than|younger "
    rf"than)\s*{_AGE}"
)
_DASHES = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212), "-")
_THOUSANDS = {
    ".": re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])"),
    ",": re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3})+(?![\d.])"),
}  # by decimal sign


class AgeError(InputError):
    """An age that cannot be taken.

    Attributes:
        reason: The kind of trouble, without the text itself, which may be anything.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def parse_age(text: str, unit: str | None = "years", decimal: str = ".") -> float | None:
    """Read an age.

    Args:
        text: The age. A unit in the text wins over `unit`.
        unit: Unit of a bare number, a key of PER_YEAR; None where a bare number is no age, as in an
            Age String (PS3.5 6.2).
        decimal: Decimal sign, which says whether `1,500` is 1500 or 1.5.

    Returns:
        Years, 0 to OLDEST; None where the text says that the age is not known.

    Raises:
        AgeError: No age, a range, a negative one, or one above OLDEST.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).translate(_DASHES)
    text = plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}…"
    if plain in UNSTATED:
        return None
    if len(plain) > LONGEST:
        raise AgeError(
            "age is not a number",
            f"the age '{text}' is not a number; give it in {unit or 'years'}, as in 58",
        )
    plain = _THOUSANDS[decimal].sub(lambda match: re.sub(r"\D", "", match[0]), plain)
    plain = re.sub(r"^(aged|age)\s+|\s+(old|of age)(?=$|\s)", "", plain)
    open_group = _ABOVE.fullmatch(plain) or _FROM.fullmatch(plain)
    if open_group:
        return _lowest(
            text, next(filter(None, open_group.groups())), unit, above=bool(_ABOVE.fullmatch(plain))
        )
    if _RANGE.fullmatch(plain):
        raise AgeError("age is a range", f"the age '{text}' is a range; give one age in years")
    negative = plain.startswith("-") and _amount(plain[1:], unit or "years") is not None
    if negative:
        raise AgeError("negative age", f"the age '{text}' is negative; give 0 to {OLDEST:g} years")
    years = _amount(plain, unit)
    if years is None and _PLAIN.fullmatch(plain):
        raise AgeError(
            "age without a unit",
            f"the age '{text}' has no unit; an age is written as 065Y, 018M, 006W or 010D",
        )
    if years is None:
        raise AgeError(
            "age is not a number",
            f"the age '{text}' is not a number; give it in {unit or 'years'}, as in 58",
        )
    if years == 0 and _ZERO_YEARS.fullmatch(plain):
        raise AgeError(
            "age of 0 years",
            f"the age '{text}' stands for no age; write a newborn's in days, as 003D, or as a bare "
            "0",
        )
    return _checked(text, years)


def _amount(plain: str, unit: str | None) -> float | None:
    """Years of `58`, `058y` or `2y6m`, or None where the text is nothing of this kind."""
    bare = _PLAIN.fullmatch(plain)
    if bare:
        return float(bare[1].replace(",", ".")) / PER_YEAR[unit] if unit else None
    years = 0.0
    position = 0
    units = list(PER_YEAR)
    while position < len(plain):
        part = _PART.match(plain, position)
        named = next((name for name in units if part and part[name]), None)
        if part is None or named is None:
            return None
        years += float(part["number"].replace(",", ".")) / PER_YEAR[named]
        position = part.end()
        units = units[units.index(named) + 1 :]
    return years


def _lowest(text: str, bound: str, unit: str | None, *, above: bool) -> float:
    """The lowest age of an open group: 90 of `90+`, and of `>89` in completed years."""
    years = _amount(bound, unit or "years")
    if years is None or years < CAPPED_FROM:
        raise AgeError(
            "age is a range",
            f"the age '{text}' is an open group; it is an age from {CAPPED_FROM:g} years only",
        )
    return _checked(text, years // 1 + 1 if above else years)


def _checked(text: str, years: float) -> float:
    if years > OLDEST:
        raise AgeError(
            "age out of range", f"the age '{text}' is above {OLDEST:g} years; give a lower one"
        )
    return round(years, 3)
