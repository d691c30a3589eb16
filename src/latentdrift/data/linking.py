"""Which row of the table belongs to which file: by a pattern of the file's name, or by the patient and date of its header."""

from __future__ import annotations

import fnmatch
import glob
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from latentdrift.data.mapping import PLACEHOLDER
from latentdrift.data.tables import is_missing
from latentdrift.errors import InputError


@dataclass(frozen=True)
class Links:
    """Relative path -> row number, and the paths for which there is more than one candidate."""

    row_of: dict[str, int] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    rows_without_file: tuple[int, ...] = ()


def link(pattern: str, frame: pd.DataFrame, files: Sequence[str]) -> Links:
    """Fill the pattern with each row's cells and find the files that it matches.

    A name in the table may be whole or without its ending, in any case, alone or with folders, of which the last ones count:
    tables often carry the paths of another machine. Only a pattern with wildcards may match several files.
    """
    finders = _Names(files, stems=False), _Names(files, stems=True)
    rows: dict[str, list[int]] = defaultdict(list)
    ambiguous: dict[str, str] = {}
    without = []
    for row, cells in zip(frame.index, frame.to_dict("records"), strict=True):
        filled, exact = _fill(pattern, cells)
        found = next((hits for finder in finders if filled and (hits := finder.find(filled, exact))), [])
        if exact and len(found) > 1:
            ambiguous |= {path: f"row {row} names a file that lies in several folders" for path in found}
        elif not found:
            without.append(row)
        for path in found:
            rows[path].append(row)
    ambiguous |= {path: f"rows {', '.join(map(str, several))} all name it" for path, several in rows.items() if len(several) > 1}
    row_of = {path: several[0] for path, several in rows.items() if path not in ambiguous}
    return Links(row_of, ambiguous, tuple(without))


class _Names:
    """Paths, sorted by their last part, so that a pattern's fixed beginning is found by bisection."""

    def __init__(self, files: Sequence[str], *, stems: bool) -> None:
        self.paths = sorted(files, key=lambda path: _last(path, stems))
        self.names = [_last(path, stems) for path in self.paths]

    def find(self, pattern: str, exact: bool) -> list[str]:
        folder, _, last = pattern.casefold().rpartition("/")
        if exact:
            hits = self.paths[bisect_left(self.names, last) : bisect_right(self.names, last)]
            depth = {path: _agreement(_folder(path).split("/"), folder.split("/")) for path in hits}
            return [path for path in hits if depth[path] == max(depth.values())]
        start = re.split(r"[*?[]", last, maxsplit=1)[0]
        span = range(bisect_left(self.names, start), bisect_right(self.names, start + "\U0010ffff"))
        named = [self.paths[i] for i in span if fnmatch.fnmatchcase(self.names[i], last)]
        return [path for path in named if not folder or fnmatch.fnmatchcase(_folder(path), f"*/{folder}")]


def _folder(path: str) -> str:
    return "/" + path.casefold().rpartition("/")[0]


def _agreement(ours: list[str], theirs: list[str]) -> int:
    depth = 0
    while depth < min(len(ours), len(theirs)) and ours[-1 - depth] == theirs[-1 - depth]:
        depth += 1
    return depth


def _last(path: str, stem: bool) -> str:
    name = path.casefold().rpartition("/")[2]
    return (name.removesuffix(".gz").rpartition(".")[0] or name) if stem else name


def _fill(pattern: str, cells: Mapping[str, str]) -> tuple[str | None, bool]:
    """The pattern with the row's cells in place, and whether it is one name; None where a cell is missing."""
    fixed = PLACEHOLDER.sub("", pattern)
    exact = not any(sign in fixed for sign in "*?[")
    parts: dict[str, str] = {}
    for title, form in PLACEHOLDER.findall(pattern):
        if is_missing(cells[title]):
            return None, exact
        cell = cells[title].replace("\\", "/")
        try:
            parts[title] = format(cell, form) if exact else glob.escape(format(cell, form))
        except ValueError as error:
            raise InputError(
                f"'{{{title}:{form}}}' in the file pattern cannot be used ({error}); an example: {{ID:0>8}}"
            ) from error
    return PLACEHOLDER.sub(lambda match: parts[match[1]], pattern).removeprefix("./"), exact


@dataclass(frozen=True)
class HeaderLinks:
    """Rows by patient, and by patient and date, for files whose header says both."""

    by_patient: Mapping[str, list[int]]
    by_date: Mapping[tuple[str, str], list[int]]

    @classmethod
    def of(cls, rows: Mapping[int, Mapping[str, Any]]) -> HeaderLinks:
        """Index typed rows by their `patient` and `date`."""
        by_patient, by_date = defaultdict(list), defaultdict(list)
        for row, values in rows.items():
            if "patient" in values:
                by_patient[values["patient"]].append(row)
                if "date" in values:
                    by_date[values["patient"], values["date"]].append(row)
        return cls(by_patient, by_date)

    def find(self, patient: str | None, date: str | None) -> tuple[int | None, str]:
        """The row of a header, or None and the reason."""
        if not patient or patient not in self.by_patient:
            return None, "no row in the table"
        several = self.by_date.get((patient, date or ""), []) or self.by_patient[patient]
        return (several[0], "") if len(several) == 1 else (None, "more than one row in the table")
