"""Cells of a table -> typed values, row by row: an age in years, M or F, findings, a date; a row that makes no sense says why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from latentdrift.data.mapping import Column, TableMap, slug
from latentdrift.data.tables import Table, is_missing, number
from latentdrift.errors import InputError

YEARS_PER = {"years": 1.0, "months": 1 / 12, "weeks": 7 / 365.25, "days": 1 / 365.25}
AGE_SUFFIX = {"y": "years", "m": "months", "w": "weeks", "d": "days"}  # an Age String, 058Y (PS3.5 6.2), or `58 years`
OLDEST = 120.0
"""Years; published tables hold typing errors such as 412."""
SEXES = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "o": "O", "other": "O"}
UNSTATED = {"u", "unknown", "none", "not stated", "x"}
DATE_FORMATS = (
    "%Y-%m-%d", "%Y%m%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d %b %Y", "%d-%b-%Y",
    "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%Y%m%d%H%M%S",
)  # fmt: skip


class CellError(InputError):
    """A cell that rejects its row; `reason` is short enough to be counted."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Rows:
    """The table's rows, typed.

    Attributes:
        values: Row number -> {our name: value}; a missing value has no entry.
        rejected: Row number -> why the row is not used.
        kinds: Further attribute -> "number" or "category".
    """

    values: dict[int, dict[str, Any]]
    rejected: dict[int, CellError]
    kinds: dict[str, str]


def read_rows(table: Table, table_map: TableMap, titles: Mapping[str, str], keep: Sequence[str] = ()) -> Rows:
    """Type every row; `titles` is our name -> their title, as `check_columns` returns it."""
    columns = {name: (column, titles[name]) for name, column in table_map.columns.items() if name in titles}
    columns |= {slug(title): (Column(column=(title,)), title) for title in (*table_map.keep, *keep)}
    kinds = {name: _kind(table, column, title) for name, (column, title) in columns.items() if name not in READERS}
    formats = {name: _date_format(table, column, title) for name, (column, title) in columns.items() if name == "date"}
    rejected = {row: CellError("unreadable row of the table", f"row {row} has {why}") for row, why in table.rejected.items()}
    values: dict[int, dict[str, Any]] = {}
    for row, cells in zip(table.frame.index, table.frame.to_dict("records"), strict=True):
        try:
            values[row] = {
                name: value
                for name, (column, title) in columns.items()
                if (value := _read(name, column, cells[title], table.decimal, kinds.get(name), formats.get(name))) is not None
            }
        except CellError as error:
            rejected[row] = CellError(error.reason, f"row {row} of {table.path.name}: {error}")
    return Rows(values, rejected, kinds)


def translate(name: str, column: Column, cell: str, decimal: str) -> str:
    """The cell under the map's `values`; numbers are compared as numbers, words without case."""
    known = {_key(theirs): ours for theirs, ours in column.values.items()}
    if _key(cell, decimal) in known:
        return known[_key(cell, decimal)]
    raise CellError(f"{name} not in the map", f"the {name} '{cell}' is none of the map's values: {', '.join(column.values)}")


def _read(name: str, column: Column, cell: str, decimal: str, kind: str | None, date_format: str | None) -> Any:
    named = _key(cell, decimal) in {_key(theirs) for theirs in column.values}
    if is_missing(cell) and not named and cell != column.none:
        return None
    if column.values and name != "findings":
        cell = translate(name, column, cell, decimal)
        if is_missing(cell):
            return None
    if name == "date":
        return _date(cell, date_format or "")
    if name in READERS:
        return READERS[name](cell, column, decimal)
    return _number(name, cell, decimal) if kind == "number" else cell


def _key(text: str, decimal: str = ".") -> float | str:
    as_number = number(text, decimal)
    return text.strip().casefold() if as_number is None else as_number


def _number(name: str, cell: str, decimal: str) -> float:
    value = number(cell, decimal)
    if value is None:
        raise CellError(f"{name} is not a number", f"the {name} '{cell}' is not a number")
    return value


def _age(cell: str, column: Column, decimal: str) -> float:
    """Age in years."""
    unit = column.unit or "years"
    if unit not in YEARS_PER:
        raise InputError(f"the age's unit '{unit}' is unknown; known: {', '.join(YEARS_PER)}")
    value, spelt = number(cell, decimal), re.fullmatch(r"(.*\d)\s*([ymwd])[a-z]*\.?", cell.lower())
    if value is None and spelt:
        value, unit = number(spelt[1], decimal), AGE_SUFFIX[spelt[2]]
    if value is None:
        raise CellError("age is not a number", f"the age '{cell}' is not a number")
    if value < 0:
        raise CellError("negative age", f"the age {cell} is negative; an age is 0 to {OLDEST:g} years")
    years = value * YEARS_PER[unit]
    if years > OLDEST:
        raise CellError("age out of range", f"the age {cell} {unit} is above {OLDEST:g} years")
    return round(years, 3)


def _sex(cell: str, column: Column, decimal: str) -> str | None:
    """M, F, or O for other; None where it is not stated."""
    if cell.lower() in UNSTATED:
        return None
    if cell.lower() not in SEXES:
        raise CellError(
            "unknown sex",
            f"the sex '{cell}' is none of {', '.join(SEXES)}; say in the map what it means, as in `values: {{{cell}: F}}`",
        )
    return SEXES[cell.lower()]


def _findings(cell: str, column: Column, decimal: str) -> str:
    """Findings joined with `|`; the map's word for "no finding" stays, because it is not the same as a missing value."""
    parts = [part.strip() for part in cell.split(column.separator) if part.strip()]
    if column.values:
        parts = [part if part == column.none else translate("finding", column, part, decimal) for part in parts]
    return "|".join(dict.fromkeys(parts))


def _days(cell: str, column: Column, decimal: str) -> float:
    return _number("days", cell, decimal)


def _text(cell: str, column: Column, decimal: str) -> str:
    return cell


READERS = {
    "patient": _text, "visit": _text, "view": _text, "modality": _text, "date": _text,
    "age": _age, "sex": _sex, "findings": _findings, "days": _days,
}  # fmt: skip


def _kind(table: Table, column: Column, title: str) -> str:
    if column.type or column.values:
        return column.type or "category"
    cells = [cell for cell in table.frame[title] if not is_missing(cell)]
    return "number" if cells and all(number(cell, table.decimal) is not None for cell in cells) else "category"


def parse_date(text: str) -> str | None:
    """A DICOM date or an ISO one as YYYY-MM-DD, or None."""
    for known in ("%Y%m%d", "%Y-%m-%d"):
        try:
            return datetime.strptime(text[:10].strip(), known).date().isoformat()
        except ValueError:
            continue
    return None


def _date(cell: str, date_format: str) -> str:
    try:
        return datetime.strptime(cell, date_format).date().isoformat()
    except ValueError as error:
        raise CellError("date cannot be read", f"the date '{cell}' is not written as {date_format}") from error


def _date_format(table: Table, column: Column, title: str) -> str:
    """The format that reads most of the column's dates.

    Raises:
        InputError: None does, or two do and disagree (03/04/2011).
    """
    if column.format:
        return column.format
    cells = sorted({cell for cell in table.frame[title] if not is_missing(cell)})
    readings = {known: {cell: day for cell in cells if (day := _reads(cell, known))} for known in DATE_FORMATS}
    most = max(map(len, readings.values()))
    best = [known for known in DATE_FORMATS if len(readings[known]) == most]
    if cells and most == 0:
        raise InputError(
            f"the dates of column '{title}', such as '{cells[0]}', are in no known format; add `format: \"%d.%m.%Y\"`"
        )
    if any(readings[known] != readings[best[0]] for known in best):
        raise InputError(f"the dates of column '{title}' can be read as {' or as '.join(best)}; add `format` to the map")
    return best[0]


def _reads(cell: str, known: str) -> str | None:
    try:
        return datetime.strptime(cell, known).date().isoformat()
    except ValueError:
        return None
