"""Numbers with their nouns."""

from __future__ import annotations


def count(n: int, noun: str) -> str:
    """Say a number with its noun: `1 patient`, `2 patients`.

    Args:
        n: The number.
        noun: Singular; its plural ends in s.
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
