"""Cells of a table -> typed values, row by row: an age in years, M or F, findings, a date.

A cell that cannot be read is left empty and noted as a `Doubt`; its row and picture stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from latentdrift.attributes.ages import PER_YEAR, UNSTATED, AgeError, parse_age
from latentdrift.attributes.specification import Cell
from latentdrift.data.tables.column_map import Column, TableMap, slug
from latentdrift.data.tables.pseudonymization import patient_key
from latentdrift.data.tables.tables import Table, is_missing, number
from latentdrift.errors import InputError

LISTED = 10
"""Values of a column that a message names."""
SEXES = {
    "m": "M",
    "male": "M",
    "man": "M",
    "f": "F",
    "female": "F",
    "woman": "F",
    "o": "O",
    "other": "O",
}
NOT_FINITE = {
    "inf",
    "+inf",
    "-inf",
    "infinity",
    "+infinity",
    "-infinity",
    "∞",
    "-∞",
    "#div/0!",
    "#name?",
    "#null!",
    "#num!",
    "#ref!",
    "#value!",
    "#n/a!",
    "#error!",
}
"""Cells, in lower case, that a calculation left without a value: infinities, and the errors of
spreadsheets."""
MEASURED = 10
MEASURED_SHARE = 0.95
"""Distinct numbers, and share of numbers among the cells, from which a column is a measurement with
a few odd cells."""
DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%Y%m%d%H%M%S",
)


class CellError(InputError):
    """A cell that cannot be taken; `reason` is short enough to be counted, and never holds the
    cell's text."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Doubt:
    """A cell that is left empty, or stays as it is written though the map's `values` do not name
    it.

    Attributes:
        name: Our name of the attribute.
        cell: The cell's text, which may be anything: for the owner of the data only.
        reason: Short, countable, without the cell's text.
    """

    name: str
    cell: str
    reason: str


NOT_NAMED = "none of the map's values, and stay as they are"


@dataclass(frozen=True)
class Rows:
    """The table's rows, typed.

    Attributes:
        values: Row number -> {our name: value}; a missing value has no entry.
        rejected: Row number -> why the row is not used.
        kinds: Further attribute -> "number" or "category".
        doubts: Row number -> its cells that were left empty or are not in the map.
        ages_read: Row number -> `'>89' as 90`, where the cell of its age is no plain number.
    """

    values: dict[int, dict[str, Cell]]
    rejected: dict[int, CellError]
    kinds: dict[str, str]
    doubts: dict[int, list[Doubt]] = field(default_factory=dict)
    ages_read: dict[int, str] = field(default_factory=dict)


def read_rows(
    table: Table, table_map: TableMap, titles: Mapping[str, str], keep: Sequence[str] = ()
) -> Rows:
    """Convert every row of a table to typed values.

    Args:
        table: The table.
        table_map: Its map.
        titles: Our name of an attribute -> title of its column, from `check_columns`.
        keep: Titles of further columns.
    """
    columns = {
        name: (column, titles[name]) for name, column in table_map.columns.items() if name in titles
    }
    columns |= {slug(title): (Column(column=(title,)), title) for title in (*table_map.keep, *keep)}
    kinds = {
        name: _kind(table, column, title)
        for name, (column, title) in columns.items()
        if name not in READERS
    }
    formats = {
        name: _date_format(table, column, title)
        for name, (column, title) in columns.items()
        if name == "date"
    }
    _check_ages(table, columns)
    rejected = _unreadable(table) | _filtered(table, table_map)
    values: dict[int, dict[str, Cell]] = {}
    doubts: dict[int, list[Doubt]] = {}
    ages_read: dict[int, str] = {}
    for row, cells in zip(table.frame.index, table.frame.to_dict("records"), strict=True):
        if row in rejected:
            continue
        values[row] = {}
        for name, (column, title) in columns.items():
            cell = column.part(cells[title])
            try:
                value, unnamed = _read(
                    name, column, cell, table.decimal, kinds.get(name), formats.get(name)
                )
            except CellError as error:
                doubts.setdefault(row, []).append(Doubt(name, cells[title], error.reason))
                continue
            if unnamed:
                doubts.setdefault(row, []).append(Doubt(name, cells[title], NOT_NAMED))
            if value is not None:
                values[row][name] = value
            if name == "age" and value is not None and number(cell, table.decimal) != value:
                ages_read[row] = f"'{cell}' as {value:g}"
    return Rows(values, rejected, kinds, doubts, ages_read)


def unite(rows: Rows, numbers: Sequence[int], none: str | None = None) -> dict[str, Cell]:
    """Unite several rows of one image: findings are joined, empty cells are skipped, all other
    values must agree.

    Args:
        rows: The table's rows.
        numbers: Numbers of the picture's rows, none of them rejected.
        none: The word for "no finding", which a finding of another row overrules.

    Raises:
        CellError: The rows differ; the columns are named.
    """
    united: dict[str, Cell] = {}
    differing: list[str] = []
    for row in numbers:
        for name, value in rows.values[row].items():
            known = united.setdefault(name, value)
            if name == "findings":
                parts = [*str(known).split("|"), *str(value).split("|")]
                united[name] = "|".join(dict.fromkeys(parts))
            elif value != known and not (
                name == "patient" and patient_key(str(value)) == patient_key(str(known))
            ):
                differing.append(name)
    if differing:
        names = ", ".join(dict.fromkeys(differing))
        which = ", ".join(map(str, numbers))
        raise CellError(
            f"its rows differ in {names}", f"rows {which} are of one picture and differ in {names}"
        )
    if len(numbers) > 1 and "findings" in united:
        present = [part for part in str(united["findings"]).split("|") if part != none]
        united["findings"] = "|".join(present) or united["findings"]
    return united


def _filtered(table: Table, table_map: TableMap) -> dict[int, CellError]:
    """Rows that `keep_rows` leaves out.

    Raises:
        InputError: No row has one of the values that are to be kept.
    """
    rejected = {}
    for title, wanted in table_map.keep_rows.items():
        cells = table.frame[title]
        keys = {_key(value) for value in wanted}
        present = {_key(cell, table.decimal) for cell in cells}
        absent = next((value for value in wanted if _key(value) not in present), None)
        if absent is not None:
            known = [cell for cell, _ in Counter(cells).most_common(LISTED) if cell]
            raise InputError(
                f"keep_rows: no row has {title} '{absent}'; its values are: {', '.join(known)}"
            )
        for row, cell in cells.items():
            if _key(cell, table.decimal) not in keys:
                rejected[row] = CellError(
                    "left out by keep_rows",
                    f"row {row} has {title} '{cell}', which keep_rows leaves out",
                )
    return rejected


def translate(column: Column, cell: str, decimal: str) -> str | None:
    """Replace a cell by the map's `values`; numbers compare as numbers, words without case.

    Args:
        column: Rules of the column.
        cell: Text of the cell.
        decimal: Decimal sign of the table.

    Returns:
        The replacement; None where `values` does not name the cell.
    """
    if not column.values:
        return None
    known = {_key(theirs): ours for theirs, ours in column.values.items()}
    return known.get(_key(cell, decimal))


def _read(
    name: str, column: Column, cell: str, decimal: str, kind: str | None, date_format: str | None
) -> tuple[Cell, bool]:
    """A cell's value (None: missing), and whether it is a word that the map's `values` leave out.

    Raises:
        CellError: The cell is not missing and cannot be read.
    """
    named = translate(column, cell, decimal)
    if is_missing(cell) and named is None and cell != column.none:
        return None, False
    if named is None and cell.lower() in NOT_FINITE:
        raise CellError("not a finite number", f"'{cell}' is no value")
    if name == "findings":
        return _findings(cell, column, decimal), bool(column.values) and _unnamed(
            cell, column, decimal
        )
    if named is not None and is_missing(named):
        return None, False
    value = _typed(name, column, cell if named is None else named, decimal, kind, date_format)
    return value, bool(column.values) and named is None and name not in READERS


def read_outright(name: str, column: Column, text: str) -> Cell:
    """Parse a value that a map gives for a folder or for all images, by the rules of cells.

    Args:
        name: Our name of the attribute.
        column: Its rules.
        text: The value.

    Raises:
        CellError: It cannot be parsed.
    """
    if name == "date":
        return parse_date(text)
    return _read(name, column, column.part(text), ".", column.type or "category", None)[0]


def _typed(
    name: str, column: Column, cell: str, decimal: str, kind: str | None, date_format: str | None
) -> Cell:
    if name == "date":
        return _date(cell, date_format or "", column.format is None)
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


def _age(cell: str, column: Column, decimal: str) -> float | None:
    """Age in years, by the one rule for ages."""
    unit = column.unit or "years"
    if unit not in PER_YEAR:
        raise InputError(f"the age's unit '{unit}' is unknown; known: {', '.join(PER_YEAR)}")
    try:
        return parse_age(cell, unit, decimal)
    except AgeError as error:
        raise CellError(error.reason, str(error)) from error


def _sex(cell: str, column: Column, decimal: str) -> str | None:
    """M, F, or O for other; None where it is not stated."""
    if cell.lower() in UNSTATED:
        return None
    if cell.lower() not in SEXES:
        raise CellError("unknown sex", f"the sex '{cell}' is none of {', '.join(SEXES)}")
    return SEXES[cell.lower()]


def _findings(cell: str, column: Column, decimal: str = ".") -> str | None:
    """Findings joined with `|`; the map's word for "no finding" stays, because it is not the same
    as a missing value."""
    parts = [
        part if part == column.none else translate(column, part, decimal) or part
        for part in _parts(cell, column)
    ]
    return "|".join(dict.fromkeys(parts)) or None


def _unnamed(cell: str, column: Column, decimal: str) -> bool:
    """Whether the map's `values` leave out one of a cell's findings."""
    return any(
        part != column.none and translate(column, part, decimal) is None
        for part in _parts(cell, column)
    )


def _parts(cell: str, column: Column) -> list[str]:
    return [part.strip() for part in cell.split(column.separator) if part.strip()]


def _days(cell: str, column: Column, decimal: str) -> float:
    return _number("days", cell, decimal)


def _text(cell: str, column: Column, decimal: str) -> str:
    return cell


READERS = {
    "patient": _text,
    "visit": _text,
    "view": _text,
    "modality": _text,
    "date": _text,
    "age": _age,
    "sex": _sex,
    "findings": _findings,
    "days": _days,
}


def _kind(table: Table, column: Column, title: str) -> str:
    """Type of a further column: numbers where all finite cells, or nearly all cells of a
    measurement, are numbers."""
    if column.type or column.values:
        return column.type or "category"
    cells = [
        cell
        for cell in table.frame[title]
        if not is_missing(cell) and cell.lower() not in NOT_FINITE
    ]
    numbers = [value for cell in cells if (value := number(cell, table.decimal)) is not None]
    measured = len(set(numbers)) > MEASURED and len(numbers) >= MEASURED_SHARE * len(cells)
    return "number" if cells and (len(numbers) == len(cells) or measured) else "category"


def parse_date(text: str) -> str | None:
    """Convert a date YYYYMMDD or YYYY-MM-DD to YYYY-MM-DD; None for other text."""
    for known in ("%Y%m%d", "%Y-%m-%d"):
        try:
            return datetime.strptime(text[:10].strip(), known).date().isoformat()
        except ValueError:
            continue
    return None


def _date(cell: str, date_format: str, guessed: bool) -> str:
    """The day in the column's format; where that was guessed, also the only day that any known
    format reads."""
    days = {_reads(cell, date_format)} - {None} or {
        _reads(cell, known) for known in DATE_FORMATS if guessed
    } - {None}
    if len(days) != 1:
        raise CellError("date cannot be read", f"the date '{cell}' is not written as {date_format}")
    return str(days.pop())


def _unreadable(table: Table) -> dict[int, CellError]:
    """Rows that the table's file does not give whole, and why."""
    return {
        row: CellError("unreadable row of the table", f"row {row} has {why}")
        for row, why in table.rejected.items()
    }


def _check_ages(table: Table, columns: Mapping[str, tuple[Column, str]]) -> None:
    """Refuse a column of birth dates as ages."""
    if "age" not in columns:
        return
    title = columns["age"][1]
    if are_dates(table.frame[title]):
        raise InputError(
            f"the column '{title}' holds dates, and an age is a number of years; write the age at "
            "the time of the scan into the table"
        )


def are_dates(cells: Iterable[str]) -> bool:
    """Whether all cells that are not missing are dates in a known format, and at least one is."""
    present = {cell for cell in cells if not is_missing(cell)}
    return bool(present) and all(
        any(_reads(cell, known) for known in DATE_FORMATS) for cell in present
    )


def _date_format(table: Table, column: Column, title: str) -> str:
    """The format that reads most of the column's dates.

    Raises:
        InputError: None does, or two do and disagree (03/04/2011).
    """
    if column.format:
        return column.format
    cells = sorted({cell for cell in table.frame[title] if not is_missing(cell)})
    readings = {
        known: {cell: day for cell in cells if (day := _reads(cell, known))}
        for known in DATE_FORMATS
    }
    largest = max(map(len, readings.values()))
    best = [known for known in DATE_FORMATS if len(readings[known]) == largest]
    if cells and largest == 0:
        raise InputError(
            f"the dates of column '{title}', such as '{cells[0]}', are in no known format; add "
            '`format: "%d.%m.%Y"`'
        )
    if any(readings[known] != readings[best[0]] for known in best):
        raise InputError(
            f"the dates of column '{title}' can be read as {' or as '.join(best)}; add `format` to "
            "the map"
        )
    return best[0]


def _reads(cell: str, known: str) -> str | None:
    try:
        return datetime.strptime(cell, known).date().isoformat()
    except ValueError:
        return None
