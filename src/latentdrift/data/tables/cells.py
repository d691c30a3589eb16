"""Cells of the CSV files that we write.

Spreadsheets run a cell that begins with `=`, `+`, `-` or `@`. Such a cell gets a quote in front.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(
    r"'*[=+\-@](?![+\-]*$)"
)  # OWASP, CSV injection; words of signs alone, as in HER2 `++`, are no formulas
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def defuse(text: str) -> str:
    """Escape text that a spreadsheet would run as a formula; `restore` undoes it."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restore(text: str) -> str:
    """Undo `defuse`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
