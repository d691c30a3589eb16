"""Spellings of one word that differ only by case, blanks or Unicode form become the most frequent
one."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from latentdrift.attributes.specification import Cell, ImageRow


def unite_spellings(images: Sequence[dict[str, Cell]], names: Collection[str]) -> list[str]:
    """Write each word in one way, in place.

    Args:
        images: Per image, name -> value; findings are joined with `|`.
        names: Names of categories and findings. Kept columns may hold file names, so
            they are left out.

    Returns:
        A sentence for each word that had several spellings.
    """
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for name, value in _texts(images, names):
        for part in value.split("|"):
            counts[name][_folded(part)][part] += 1
    chosen = {
        name: {folded: _usual(spellings) for folded, spellings in words.items()}
        for name, words in counts.items()
    }
    for values in images:
        for name, value in _texts([values], names):
            values[name] = "|".join(
                dict.fromkeys(chosen[name][_folded(part)] for part in value.split("|"))
            )
    return [
        f"{_listed(spellings)} of {name} differ only by case, blanks or Unicode form and count as "
        f"'{_usual(spellings)}'."
        for name, words in counts.items()
        for spellings in words.values()
        if len(spellings) > 1
    ]


def _texts(images: Iterable[ImageRow], names: Collection[str]) -> list[tuple[str, str]]:
    """Names and values of all categories and findings."""
    return [
        (name, value)
        for values in images
        for name, value in values.items()
        if isinstance(value, str) and name in names
    ]


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _usual(spellings: Mapping[str, int]) -> str:
    """The most frequent spelling; of several, the last by code points: small letters before
    capitals."""
    return max(spellings, key=lambda spelling: (spellings[spelling], spelling))


def _listed(spellings: Mapping[str, int]) -> str:
    return ", ".join(f"'{spelling}' ({number})" for spelling, number in sorted(spellings.items()))
