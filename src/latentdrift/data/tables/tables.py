"""Tables as people export them: CSV, TSV or Excel in any encoding, separator, line ends and decimal
sign -> rows of strings.

Nothing is typed here: cells stay text, and `mapping.py` says what they mean. `number` is the one
reading of a number.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from latentdrift.data.tables.cells import restore
from latentdrift.data.tables.workbooks import MAX_CELLS, MAX_ROWS, read_workbook
from latentdrift.errors import InputError, OptionError

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
LARGEST = 1_000_000_000
"""Bytes of a text table; a row for each of a million images has about 200 MB."""
COMPRESSED = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf",
    b"\x28\xb5\x2f\xfd",
)  # gzip, bzip2, xz, 7-Zip, Zstandard
LFS_POINTER = b"version https://git-lfs"  # github.com/git-lfs/git-lfs, docs/spec.md
_INVISIBLE = re.compile(
    "[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
)  # Unicode annex 9, and zero widths
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_DECIMAL_POINT = re.compile(r"[+-]?\d+\.\d+")
_WHOLE = re.compile(r"[+-]?\d+[.,]0")
_THOUSANDS = {
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"),
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        path: Where it came from.
        frame: Stripped strings, "" where a cell is empty; the index is the row's number in the
            file, counted from 1.
        decimal: The decimal sign of the table's numbers, "." or ",".
        rejected: Rows that could not be read: number -> reason.
        sheet: Of a workbook, the sheet that was read.
        other_sheets: Of a workbook, its other sheets that are not empty.
    """

    path: Path
    frame: pd.DataFrame
    decimal: str
    rejected: dict[int, str]
    sheet: str | None = None
    other_sheets: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """Sheet in words: ` from its sheet 'A' (`sheet` chooses another: B, C)`; empty for a single
        sheet."""
        others = ", ".join(self.other_sheets)
        return (
            f" from its sheet '{self.sheet}' (`sheet` chooses another: {others})" if others else ""
        )


def read_table(path: Path, encoding: str | None = None, sheet: str | None = None) -> Table:
    """Read CSV, TSV or Excel by content.

    Args:
        path: The table.
        encoding: Encoding of a text table; None: it is detected.
        sheet: Sheet of a workbook; None: the first that is not empty.

    Raises:
        InputError: The file is missing, empty, too large, or neither text nor an Excel workbook.
        OptionError: The workbook has no such sheet, or the table is no workbook and a sheet is
            named.
    """
    try:
        with open(path, "rb") as handle:
            data = handle.read(LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"the table {path} cannot be read ({error.strerror}); check `table`"
        ) from error
    if data.startswith(b"PK\x03\x04"):
        book = read_workbook(path, sheet)
        return replace(_assemble(path, book.rows), sheet=book.name, other_sheets=book.others)
    if sheet is not None:
        raise OptionError(
            f"`sheet` names a sheet of a workbook, and the table {path.name} is none; leave it out"
        )
    _check_content(path, data)
    return _assemble(path, _text_rows(decode(data, path.name, encoding)))


def _check_content(path: Path, data: bytes) -> None:
    """Refuse what often lies in a table's place, and what is too large to read."""
    start = data[:1024].lstrip(codecs.BOM_UTF8).lstrip().lower()
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(
            f"the table {path.name} is in the old Excel format (.xls) or protected by a password; "
            "save it as .xlsx or CSV"
        )
    if data.startswith(COMPRESSED):
        raise InputError(
            f"the table {path.name} is compressed; unpack it and give the table itself"
        )
    if start.startswith(LFS_POINTER):
        raise InputError(
            f"the table {path.name} is a Git-LFS pointer, not the table itself; get the table with "
            "`git lfs pull`"
        )
    if start.startswith((b"<!doctype html", b"<html")):
        raise InputError(
            f"the table {path.name} is a web page, as a failed download leaves it; download the "
            "table itself"
        )
    if len(data) > LARGEST or data.count(b"\n") > MAX_ROWS:
        raise InputError(
            f"the table {path.name} has more than {LARGEST / 1e9:g} GB or {MAX_ROWS:,} rows; "
            "leave out what no image needs"
        )


def clean(text: str) -> str:
    """Normalise text: Unicode form NFC, one line, no surrounding blanks, no marks of writing
    direction."""
    if text.isascii() and text.isprintable():
        return text.strip()
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return _CONTROL.sub(" ", visible).strip()


def decode(data: bytes, name: str = "the table", encoding: str | None = None) -> str:
    """Decode bytes to text.

    The encoding is given, or found by byte order mark, by the zeros of UTF-16, or by trying UTF-8,
    Windows-1252 and Latin-1.

    Args:
        data: Content of the file.
        name: Name of the file, for messages.
        encoding: Encoding; None: find it.

    Raises:
        InputError: An unknown encoding, or bytes that it cannot decode.
    """
    marked = next((known for mark, known in BOMS if data.startswith(mark)), None)
    if encoding or marked:
        candidates = [encoding or marked or ""]
    elif b"\0" in data[:4096]:
        even = data[:4096:2].count(0)
        odd = data[1:4096:2].count(0)
        candidates = (
            ["utf-16-be" if even > odd else "utf-16-le"]
            if max(even, odd) > 0.1 * len(data[:4096])
            else []
        )
    else:
        candidates = ["utf-8", "cp1252", "latin-1"]
    for candidate in candidates:
        try:
            return data.decode(candidate)
        except UnicodeDecodeError:
            continue
        except LookupError as error:
            raise InputError(
                f"unknown encoding '{candidate}' for {name}; known ones: utf-8, utf-16, cp1252, "
                "latin-1 …"
            ) from error
    detail = (
        f"is not text in the encoding '{encoding}'"
        if encoding
        else "is neither a text table nor an Excel workbook"
    )
    raise InputError(f"{name} {detail}; save it as CSV (UTF-8) or .xlsx")


def number(text: str, decimal: str = ".") -> float | None:
    """Parse a number as people write it: `0,696`, `1.234,5`, `1 234`, `−3`.

    Args:
        text: The text.
        decimal: Decimal sign, "." or ",".

    Returns:
        The number; None where the text is no finite number.
    """
    plain = re.sub(r"(?<=\d)[\s'’](?=\d{3}(\D|$))", "", text.strip()).replace("−", "-")
    thousands = "," if decimal == "." else "."
    if _THOUSANDS[thousands].fullmatch(plain):
        plain = plain.replace(thousands, "")
    plain = plain.replace(",", ".")
    value = float(plain) if _NUMBER.fullmatch(plain) else math.inf
    return value if math.isfinite(value) else None


def is_missing(text: str) -> bool:
    """Whether a cell is empty, or one of the words for a missing value."""
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
            f"the table cannot be read past line {reader.line_num} ({error}); is a quotation mark "
            "left open there?"
        ) from error


def separator(text: str) -> str:
    """Find the separator of a CSV text: most rows have as many cells as the header.

    Among equals the one with most cells is taken; "," for a single column.

    Args:
        text: Content of the file.
    """

    start = "\n".join(text.split("\n", 200)[:200])

    def score(sep: str) -> tuple[float, int]:
        rows = [row for row in _parse(start, sep) if any(row)]
        header = next((len(row) for row in rows if sum(map(bool, row)) > 1), 0)
        return (
            (round(sum(len(row) == header for row in rows) / len(rows), 1), header)
            if header
            else (0.0, 0)
        )

    best = max(SEPARATORS, key=score)
    return best if score(best)[1] > 1 else ","


def _assemble(path: Path, rows: list[list[str]]) -> Table:
    """Header, then rows; blank rows, title lines above the header and empty columns are left
    out."""
    numbered = [
        (number, [restore(clean(cell)) for cell in row])
        for number, row in enumerate(rows, start=1)
        if any(row)
    ]
    numbered = [(number, row) for number, row in numbered if any(row)]
    head = next((i for i, (_, row) in enumerate(numbered) if sum(map(bool, row)) > 1), 0)
    if len(numbered) < head + 2:
        raise InputError(
            f"the table {path.name} has no rows below its header; it needs one header row and one "
            "row per image"
        )
    header = numbered[head][1]
    body = numbered[head + 1 :]
    rejected = {
        number: f"{len(row)} cells where the header has {len(header)}"
        for number, row in body
        if any(row[len(header) :])
    }
    columns = {
        number: (row + [""] * len(header))[: len(header)]
        for number, row in body
        if number not in rejected
    }
    if len(columns) * len(header) > MAX_CELLS:
        raise InputError(
            f"the table {path.name} has more than {MAX_CELLS:,} cells; leave out columns that no "
            "map names"
        )
    frame = pd.DataFrame(
        list(columns.values()), index=list(columns), columns=_names(header), dtype=object
    )
    decimal = _decimal(frame)
    frame = frame.apply(_whole_numbers)
    used = [
        name for name, title in zip(frame.columns, header, strict=True) if title or any(frame[name])
    ]
    return Table(path, frame[used], decimal, rejected)


def _whole_numbers(cells: pd.Series) -> pd.Series:
    """A column of whole numbers without the `.0` that programs add where a cell of the column is
    missing."""
    if all(_WHOLE.fullmatch(cell) or is_missing(cell) for cell in cells):
        return cells.str.replace(r"[.,]0+$", "", regex=True)
    return cells


def _names(header: list[str]) -> list[str]:
    """Column titles made unique: a second `Age` becomes `Age (2)`, an empty title `column 3`."""
    seen: Counter[str] = Counter()
    names = []
    for position, title in enumerate([" ".join(title.split()) for title in header], start=1):
        seen[title] += bool(title)
        names.append(
            f"column {position}"
            if not title
            else title
            if seen[title] == 1
            else f"{title} ({seen[title]})"
        )
    return names


def _decimal(frame: pd.DataFrame) -> str:
    cells = [cell for name in frame for cell in frame[name] if "," in cell or "." in cell]
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    points = sum(bool(_DECIMAL_POINT.fullmatch(cell)) for cell in cells)
    only_thousands = all(_THOUSANDS[","].fullmatch(cell) for cell in commas)
    return "," if len(commas) > points and not only_thousands else "."
