"""Excel workbooks -> rows of cells as text.

They are zip archives of XML from anywhere, so their size is checked before they are read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from latentdrift.errors import InputError, LatentDriftError, OptionError

LARGEST_UNPACKED = 500_000_000
"""Bytes of all parts of a workbook. Excel's million of rows by ten columns has about 400 MB."""
MAX_ROWS = 2_000_000
MAX_CELLS = 50_000_000
LISTED = 3
"""Names of an archive's parts that a message shows."""
DETAIL = 100
"""Characters of a parser's complaint that a message shows."""
_MERGED = re.compile(rb'<mergeCell\s[^>]*?ref="([A-Z]{1,3})(\d{1,7}):[A-Z]{1,3}(\d{1,7})"')
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Sheet:
    """A sheet that was read.

    Attributes:
        others: Names of the workbook's other sheets that are not empty.
    """

    name: str
    rows: list[list[str]]
    others: tuple[str, ...]


def read_workbook(path: Path, wanted: str | None = None) -> Sheet:
    """Read one sheet of an Excel workbook.

    Every row of a merged cell has its value. The declared size of a sheet is ignored.

    Args:
        path: The workbook.
        wanted: Name of the sheet; None: the first that is not empty.

    Raises:
        InputError: The workbook is damaged, too large, or not Excel.
        OptionError: It has no sheet of this name.
    """
    with _opened(path) as book:
        names = [sheet.title for sheet in book.worksheets]
        if wanted is not None and wanted not in names:
            raise OptionError(
                f"the workbook {path.name} has no sheet '{wanted}'; its sheets are: "
                f"{', '.join(names)}"
            )
        full = [sheet for sheet in book.worksheets if not _is_empty(sheet)]
        chosen = book[wanted] if wanted is not None else next(iter(full), None)
        if chosen is None:
            return Sheet(next(iter(names), ""), [], ())
        rows = _rows(path, chosen)
        _fill_merged(rows, _merged(path, chosen))
        return Sheet(
            chosen.title, rows, tuple(sheet.title for sheet in full if sheet.title != chosen.title)
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The workbook, opened for reading row by row; whatever its parsers raise becomes a
    sentence."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(path) as archive:
            _check_kind(path, archive.namelist())
            unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked > LARGEST_UNPACKED:
            raise InputError(
                f"the workbook {path.name} unpacks to {unpacked / 1e6:,.0f} MB, and at most "
                f"{LARGEST_UNPACKED / 1e6:,.0f} MB are read; save the sheet as CSV"
            )
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            yield book
        finally:
            book.close()
    except LatentDriftError:
        raise
    except Exception as error:
        detail = " ".join(f"{error}".split())[:DETAIL]
        raise InputError(
            f"the workbook {path.name} is damaged or not Excel ({detail}); save it again as .xlsx "
            "or CSV"
        ) from error


def _check_kind(path: Path, parts: list[str]) -> None:
    """Refuse other zip archives by what they are."""
    if "[Content_Types].xml" in parts:
        return
    if "content.xml" in parts:
        raise InputError(f"the table {path.name} is an OpenDocument sheet; save it as .xlsx or CSV")
    held = ", ".join(parts[:LISTED])
    raise InputError(
        f"the table {path.name} is a zip archive and no workbook; unpack it and give the table in "
        f"it ({held})"
    )


def _is_empty(sheet: Any) -> bool:
    sheet.reset_dimensions()
    rows = islice(
        sheet.iter_rows(values_only=True), MAX_ROWS
    )  # a row may claim to be any, and all before it count as empty
    return not any(value not in (None, "") for row in rows for value in row)


def _rows(path: Path, sheet: Any) -> list[list[str]]:
    """All rows, without their empty ends."""
    sheet.reset_dimensions()
    rows: list[list[str]] = []
    cells = 0
    for read in sheet.iter_rows():
        row = [_text(cell) for cell in read]
        while row and not row[-1]:
            row.pop()
        rows.append(row)
        cells += len(row)
        if len(rows) > MAX_ROWS or cells > MAX_CELLS:
            raise InputError(
                f"the sheet '{sheet.title}' of {path.name} has more than {MAX_ROWS:,} rows or "
                f"{MAX_CELLS:,} cells; leave out what is not needed, or save it in parts"
            )
    return rows


def _text(cell: Any) -> str:
    """A cell as Excel shows it, as far as that matters to a table: leading zeros of its format,
    dates without a time of 0."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.15g}"
    if type(value) is int and re.fullmatch(r"0{2,15}", cell.number_format or ""):
        return f"{value:0{len(cell.number_format)}d}"
    return str(value).strip().removesuffix(" 00:00:00")


def _merged(path: Path, sheet: Any) -> list[tuple[int, int, int]]:
    """Ranges of merged cells over several rows: column, first and last row, all from 0 (ECMA-376
    18.3.1.55)."""
    ranges = []
    with (
        zipfile.ZipFile(path) as archive,
        archive.open(sheet._worksheet_path) as part,
    ):  # openpyxl reads them only with all cells
        rest = b""
        while chunk := part.read(_CHUNK):
            text = rest + chunk
            ranges += _MERGED.findall(text)
            rest = text[text.rfind(b"<") :]
    spans = [(_column(letters), int(first) - 1, int(last) - 1) for letters, first, last in ranges]
    return [span for span in spans if span[2] > span[1]]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1


def _fill_merged(rows: list[list[str]], spans: list[tuple[int, int, int]]) -> None:
    """Give every row of a merged cell the value of its first; a title over several columns stays
    where it is."""
    for column, first, last in spans:
        value = rows[first][column] if first < len(rows) and column < len(rows[first]) else ""
        for row in rows[first + 1 : last + 1] if value else ():
            row += [""] * (column + 1 - len(row))
            row[column] = value
