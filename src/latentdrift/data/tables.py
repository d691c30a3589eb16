"""Tables as people export them: CSV, TSV or Excel in any encoding, separator, line ends and decimal sign -> rows of strings.

Nothing is typed here: cells stay text, and `mapping.py` says what they mean. `number` is the one reading of a number.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from latentdrift.errors import InputError

SUFFIXES = (".csv", ".tsv", ".txt", ".tab", ".xlsx", ".xlsm")
SEPARATORS = (";", "\t", "|", ",")
MISSING = {"", "na", "n/a", "n.a.", "nan", "null", "#n/a", "#na", "?", "-", "--", ".", "missing"}
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with that of UTF-16 LE
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+")
_THOUSANDS = {",": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"), ".": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?")}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        path: Where it came from.
        frame: Stripped strings, "" where a cell is empty; the index is the row's number in the file, counted from 1.
        decimal: The decimal sign of the table's numbers, "." or ",".
        rejected: Rows that could not be read: number -> reason.
    """

    path: Path
    frame: pd.DataFrame
    decimal: str
    rejected: dict[int, str]


def read_table(path: Path, encoding: str | None = None) -> Table:
    """Read CSV, TSV or Excel by content.

    Raises:
        InputError: The file is missing, empty, or neither text nor an Excel workbook.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the table {path} cannot be read ({error.strerror}); check --table") from error
    if data.startswith(b"PK\x03\x04"):
        rows = _excel_rows(path)
    elif data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(f"the table {path.name} is in the old Excel format (.xls); save it as .xlsx or CSV")
    else:
        rows = _text_rows(decode(data, path.name, encoding))
    return _assemble(path, rows)


def decode(data: bytes, name: str = "the table", encoding: str | None = None) -> str:
    """Bytes -> text: the given encoding, or that of the byte order mark, UTF-16 by its zeros, UTF-8, Windows-1252, Latin-1."""
    marked = next((known for mark, known in BOMS if data.startswith(mark)), None)
    if encoding or marked:
        candidates = [encoding or marked or ""]
    elif b"\0" in data[:4096]:
        even, odd = data[:4096:2].count(0), data[1:4096:2].count(0)
        candidates = ["utf-16-be" if even > odd else "utf-16-le"] if max(even, odd) > 0.1 * len(data[:4096]) else []
    else:
        candidates = ["utf-8", "cp1252", "latin-1"]
    for candidate in candidates:
        try:
            return data.decode(candidate)
        except UnicodeDecodeError:
            continue
        except LookupError as error:
            raise InputError(
                f"unknown encoding '{candidate}' for {name}; known ones: utf-8, utf-16, cp1252, latin-1 …"
            ) from error
    detail = f"is not text in the encoding '{encoding}'" if encoding else "is neither a text table nor an Excel workbook"
    raise InputError(f"{name} {detail}; save it as CSV (UTF-8) or .xlsx")


def number(text: str, decimal: str = ".") -> float | None:
    """A number as people write it (`0,696`, `1.234,5`, `1 234`, `−3`), or None where the text is no number."""
    plain = re.sub(r"(?<=\d)[\s'’](?=\d{3}(\D|$))", "", text.strip()).replace("−", "-")
    thousands = "," if decimal == "." else "."
    if _THOUSANDS[thousands].fullmatch(plain):
        plain = plain.replace(thousands, "")
    plain = plain.replace(",", ".")
    return float(plain) if _NUMBER.fullmatch(plain) else None


def is_missing(text: str) -> bool:
    """Whether a cell says that there is no value."""
    return text.strip().lower() in MISSING


def _text_rows(text: str) -> list[list[str]]:
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    announced = re.match(r'"?sep=(.)"?\n', text)  # the first line that Excel writes for itself
    if announced:
        return _parse(text[announced.end() :], announced[1])
    return _parse(text, separator(text))


def _parse(text: str, sep: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text), delimiter=sep, skipinitialspace=sep != "\t")
    try:
        return [[cell.strip() for cell in row] for row in reader]
    except csv.Error as error:
        raise InputError(
            f"the table cannot be read past line {reader.line_num} ({error}); is a quotation mark left open there?"
        ) from error


def separator(text: str) -> str:
    """The separator under which most rows have as many cells as the header, and that is most cells; "," for a single column."""

    start = "\n".join(text.split("\n", 200)[:200])

    def score(sep: str) -> tuple[float, int]:
        rows = [row for row in _parse(start, sep) if any(row)]
        header = next((len(row) for row in rows if sum(map(bool, row)) > 1), 0)
        return (round(sum(len(row) == header for row in rows) / len(rows), 1), header) if header else (0.0, 0)

    best = max(SEPARATORS, key=score)
    return best if score(best)[1] > 1 else ","


def _excel_rows(path: Path) -> list[list[str]]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
        raise InputError(f"the workbook {path.name} is damaged or not Excel ({error}); save it again as .xlsx or CSV") from error
    for sheet in book.worksheets:
        rows = [[_excel_cell(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
        if any(map(any, rows)):
            return rows
    return []


def _excel_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value).strip().removesuffix(" 00:00:00")  # a date without a time


def _assemble(path: Path, rows: list[list[str]]) -> Table:
    """Header, then rows; blank rows, title lines above the header and empty columns are left out."""
    numbered = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    head = next((i for i, (_, row) in enumerate(numbered) if sum(map(bool, row)) > 1), 0)
    if len(numbered) < head + 2:
        raise InputError(f"the table {path.name} has no rows below its header; it needs one header row and one row per image")
    header, body = numbered[head][1], numbered[head + 1 :]
    rejected = {number: f"{len(row)} cells where the header has {len(header)}" for number, row in body if any(row[len(header) :])}
    kept = {number: (row + [""] * len(header))[: len(header)] for number, row in body if number not in rejected}
    frame = pd.DataFrame(list(kept.values()), index=list(kept), columns=_names(header), dtype=object)
    used = [name for name, title in zip(frame.columns, header, strict=True) if title or any(frame[name])]
    return Table(path, frame[used], _decimal(frame), rejected)


def _names(header: list[str]) -> list[str]:
    """Column titles made unique: a second `Age` becomes `Age (2)`, an empty title `column 3`."""
    seen: Counter[str] = Counter()
    names = []
    for position, title in enumerate([" ".join(title.split()) for title in header], start=1):
        seen[title] += bool(title)
        names.append(f"column {position}" if not title else title if seen[title] == 1 else f"{title} ({seen[title]})")
    return names


def _decimal(frame: pd.DataFrame) -> str:
    cells = [cell for name in frame for cell in frame[name] if "," in cell or "." in cell]
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    points = sum(bool(_DECIMAL_POINT.fullmatch(cell)) for cell in cells)
    only_thousands = all(_THOUSANDS[","].fullmatch(cell) for cell in commas)
    return "," if len(commas) > points and not only_thousands else "."
