"""Match of table rows and files: by a pattern of the file's name, or by the patient and date of its
header."""

from __future__ import annotations

import fnmatch
import glob
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from latentdrift.attributes.specification import ImageRow
from latentdrift.data.tables.column_map import PLACEHOLDER
from latentdrift.data.tables.pseudonymization import patient_key
from latentdrift.data.tables.tables import is_missing
from latentdrift.errors import InputError

LONGEST_ID = 12
"""Digits to which an id may be filled up in the search for leading zeros."""
EXAMPLES = 20
"""Rows without a file that are tried for an example."""


@dataclass(frozen=True)
class Links:
    """Links between table rows and files.

    Attributes:
        rows_of: Relative path -> numbers of the rows that name it, at least one.
        ambiguous: Relative path -> why no row can be chosen for it.
        rows_without_file: Numbers of the rows that name no file.
        example: A name that a row without a file leads to, and the name of a file without a row,
            for messages; None if all meet.
        cure: What to write in the map, where leading zeros keep rows and files apart.
    """

    rows_of: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    rows_without_file: tuple[int, ...] = ()
    example: tuple[str, str] | None = None
    cure: str | None = None

    @property
    def hint(self) -> str | None:
        """Example of a row and a file that do not match, with a remedy if known; None where all
        match."""
        if self.example is None:
            return None
        cure = (
            f"; they differ by leading zeros: write file: {self.cure} in the map"
            if self.cure
            else ""
        )
        return (
            f"the table leads to names such as '{self.example[0]}', and files are named such as "
            f"'{self.example[1]}'{cure}"
        )


def link(pattern: str, frame: pd.DataFrame, files: Sequence[str]) -> Links:
    """Match table rows with files by a pattern of file names.

    A name in the table may lack its ending or differ in case. It may have folders, of which the
    last ones count. Only a pattern with wildcards may match several files.

    Args:
        pattern: Pattern with column titles as slots.
        frame: Rows of the table.
        files: Relative paths of the files.
    """
    finders = _Names(files, stems=False), _Names(files, stems=True)
    rows: dict[str, list[int]] = defaultdict(list)
    ambiguous: dict[str, str] = {}
    without = []
    for row, cells in zip(frame.index, frame.to_dict("records"), strict=True):
        filled, exact = _fill(pattern, cells)
        matches = next((hits for finder in finders if (hits := finder.find(filled, exact))), [])
        if exact and len(matches) > 1:
            ambiguous |= {
                path: f"row {row} names a file that lies in several folders" for path in matches
            }
        elif not matches:
            without.append(row)
        for path in matches:
            rows[path].append(row)
    rows_of = {
        path: tuple(dict.fromkeys(several))
        for path, several in rows.items()
        if path not in ambiguous
    }
    orphans = [path for path in files if path not in rows]
    example, cure = _example(pattern, frame.loc[without], orphans)
    return Links(rows_of, ambiguous, tuple(without), example, cure)


def _example(
    pattern: str, lost: pd.DataFrame, orphans: Sequence[str]
) -> tuple[tuple[str, str] | None, str | None]:
    """A row and a file that do not meet; where they would with more leading zeros, those two and
    the pattern that does it."""
    stems = _Names(orphans, stems=True), _Names(orphans, stems=False)
    first = None
    for cells in lost.head(EXAMPLES).to_dict("records"):
        filled, _ = _fill(pattern, cells)
        first = first or filled
        for title in [
            title
            for title, form in PLACEHOLDER.findall(pattern)
            if not form and cells[title].isdigit()
        ]:
            for width in range(len(cells[title]) + 1, LONGEST_ID + 1):
                padded = pattern.replace(f"{{{title}}}", f"{{{title}:0>{width}}}")
                example = next(
                    (hits for names in stems if (hits := names.find(*_fill(padded, cells)))), []
                )
                if example:
                    return (str(filled), example[0]), f'"{padded}"'
    return ((first, orphans[0]) if first and orphans else None), None


class _Names:
    """Paths, sorted by their last part, so that a pattern's fixed beginning is found by
    bisection."""

    def __init__(self, files: Sequence[str], *, stems: bool) -> None:
        self.paths = sorted(files, key=lambda path: _last(path, stems))
        self.names = [_last(path, stems) for path in self.paths]

    def find(self, pattern: str | None, exact: bool) -> list[str]:
        if pattern is None:
            return []
        folder, _, last = _folded(pattern).rpartition("/")
        if exact:
            hits = self.paths[bisect_left(self.names, last) : bisect_right(self.names, last)]
            depth = {path: _agreement(_folder(path).split("/"), folder.split("/")) for path in hits}
            return [path for path in hits if depth[path] == max(depth.values())]
        start = re.split(r"[*?[]", last, maxsplit=1)[0]
        span = range(bisect_left(self.names, start), bisect_right(self.names, start + "\U0010ffff"))
        named = [self.paths[i] for i in span if fnmatch.fnmatchcase(self.names[i], last)]
        return [
            path
            for path in named
            if not folder or fnmatch.fnmatchcase(_folder(path), f"*/{folder}")
        ]


def _folder(path: str) -> str:
    return "/" + _folded(path).rpartition("/")[0]


def _folded(path: str) -> str:
    """A path as it is compared: without case, and in one Unicode form, since macOS writes names in
    another than tables do."""
    return unicodedata.normalize("NFC", path).casefold()


def _agreement(ours: list[str], theirs: list[str]) -> int:
    depth = 0
    while depth < min(len(ours), len(theirs)) and ours[-1 - depth] == theirs[-1 - depth]:
        depth += 1
    return depth


def _last(path: str, stem: bool) -> str:
    name = _folded(path).rpartition("/")[2]
    return (name.removesuffix(".gz").rpartition(".")[0] or name) if stem else name


def _fill(pattern: str, cells: Mapping[str, str]) -> tuple[str | None, bool]:
    """The pattern with the row's cells in place, and whether it is one name; None where a cell is
    missing."""
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
                f"'{{{title}:{form}}}' in the file pattern cannot be used ({error}); an example: "
                f"{{ID:0>8}}"
            ) from error
    return PLACEHOLDER.sub(lambda match: parts[match[1]], pattern).removeprefix("./"), exact


@dataclass(frozen=True)
class HeaderLinks:
    """Rows by patient, and by patient and date, for files whose header says both.

    Ids are compared without case and blanks. A number also without leading zeros, where only one
    patient on each side has it.
    """

    by_patient: Mapping[str, list[int]]
    by_date: Mapping[tuple[str, str], list[int]]
    same_number: Mapping[str, str]
    """Id of a header -> the table's id of the same number."""

    @classmethod
    def of(cls, rows: Mapping[int, ImageRow], headers: Iterable[str | None] = ()) -> HeaderLinks:
        """Index rows by patient and date.

        Args:
            rows: Number of a row -> typed values.
            headers: Patient ids of all DICOM headers; None is skipped.
        """
        by_patient = defaultdict(list)
        by_date = defaultdict(list)
        for row, values in rows.items():
            if "patient" in values:
                patient = patient_key(str(values["patient"]))
                by_patient[patient].append(row)
                if "date" in values:
                    by_date[patient, str(values["date"])].append(row)
        theirs, ours = (
            _only(sorted(ids))
            for ids in (by_patient.keys(), {patient_key(who) for who in headers if who})
        )
        return cls(
            by_patient,
            by_date,
            {who: theirs[number] for number, who in ours.items() if number in theirs},
        )

    def find(self, patient: str | None, date: str | None) -> tuple[tuple[int, ...], str]:
        """Rows for the patient and date of a header.

        Args:
            patient: Patient id; None: unknown.
            date: Date YYYY-MM-DD; None: unknown.

        Returns:
            Numbers of the rows, and the reason where there are none.
        """
        key = patient_key(patient or "")
        who = key if key in self.by_patient else self.same_number.get(key)
        if who is None:
            return (), "no row in the table"
        return tuple(self.by_date.get((who, date or ""), []) or self.by_patient[who]), ""


def _only(ids: Iterable[str]) -> dict[str, str]:
    """Number without leading zeros -> the only id that stands for it."""
    numbers = {who: who.lstrip("0") or "0" for who in ids if who.isdigit()}
    counts = Counter(numbers.values())
    return {number: who for who, number in numbers.items() if counts[number] == 1}
