"""Excel workbooks: what a person sees in a sheet is what is read, and what is damaged or huge is a
sentence."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from latentdrift.data.tables import workbooks
from latentdrift.data.tables.tables import read_table
from latentdrift.errors import InputError, OptionError


def saved(path: Path, *sheets: tuple[str, list[list[object]]]) -> Workbook:
    book = Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


def rewritten(path: Path, part: str, change: tuple[str, str]) -> None:
    """Change the text of one part of a workbook."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    before = parts[part]
    parts[part] = re.sub(change[0].encode(), change[1].encode(), before)
    assert parts[part] != before
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


ROWS: list[list[object]] = [
    ["ID", "File", "Volume"],
    ["S1", "a.png", 0.696],
    ["S2", "b.png", 0.7],
    ["S3", "c.png", 1.046],
]


def test_a_sheet_reads_as_it_looks(tmp_path: Path) -> None:
    saved(
        tmp_path / "t.xlsx",
        ("empty", []),
        ("data", [["", None], *ROWS, [None] * 9]),
        ("legend", [["ID", "a code"]]),
    )
    table = read_table(tmp_path / "t.xlsx")
    assert table.frame["Volume"].tolist() == ["0.696", "0.7", "1.046"]
    assert table.frame["ID"].tolist() == ["S1", "S2", "S3"]
    assert table.where == " from its sheet 'data' (`sheet` chooses another: legend)"


def test_a_sheet_can_be_chosen_and_an_unknown_one_names_the_known(tmp_path: Path) -> None:
    saved(tmp_path / "t.xlsx", ("old", [["a", "b"], ["1", "2"]]), ("new", ROWS))
    assert read_table(tmp_path / "t.xlsx", sheet="new").frame["ID"].tolist() == ["S1", "S2", "S3"]
    with pytest.raises(OptionError, match="has no sheet 'newer'; its sheets are: old, new"):
        read_table(tmp_path / "t.xlsx", sheet="newer")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        OptionError, match=r"`sheet` names a sheet of a workbook, and the table t.csv is none"
    ):
        read_table(tmp_path / "t.csv", sheet="new")


def test_every_row_of_a_merged_cell_has_its_value_and_titles_stay_above(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Study of 2020", None, None], *ROWS]
    book = saved(tmp_path / "t.xlsx", ("data", rows))
    sheet = book["data"]
    sheet.merge_cells("A1:C1")
    sheet.merge_cells("A3:A5")
    sheet.merge_cells("C4:C5")
    book.save(tmp_path / "t.xlsx")
    frame = read_table(tmp_path / "t.xlsx").frame
    assert list(frame.columns) == ["ID", "File", "Volume"]
    assert frame.to_numpy().tolist() == [
        ["S1", "a.png", "0.696"],
        ["S1", "b.png", "0.7"],
        ["S1", "c.png", "0.7"],
    ]


def test_leading_zeros_of_a_number_format_are_read(tmp_path: Path) -> None:
    book = saved(tmp_path / "t.xlsx", ("data", [["ID", "n"], [7, 7], [12, 12]]))
    for row in (2, 3):
        book["data"].cell(row, 1).number_format = "0000"
    book.save(tmp_path / "t.xlsx")
    assert read_table(tmp_path / "t.xlsx").frame.to_numpy().tolist() == [
        ["0007", "7"],
        ["0012", "12"],
    ]


@pytest.mark.parametrize("claim", ["A1:B2", "A1", "A1:XFD1048576"])
def test_the_size_that_a_sheet_claims_is_not_believed(tmp_path: Path, claim: str) -> None:
    saved(tmp_path / "t.xlsx", ("data", ROWS))
    rewritten(
        tmp_path / "t.xlsx",
        "xl/worksheets/sheet1.xml",
        ('<dimension ref="[^"]*"', f'<dimension ref="{claim}"'),
    )
    assert read_table(tmp_path / "t.xlsx").frame["ID"].tolist() == ["S1", "S2", "S3"]


def test_a_row_that_claims_to_be_the_trillionth_ends_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MAX_ROWS", 1000)
    saved(tmp_path / "t.xlsx", ("data", ROWS))
    rewritten(
        tmp_path / "t.xlsx", "xl/worksheets/sheet1.xml", ('<row r="4"', '<row r="1000000000000"')
    )
    with pytest.raises(InputError, match="has more than 1,000 rows"):
        read_table(tmp_path / "t.xlsx")


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path / "t.xlsx", ("data", ROWS))
    with zipfile.ZipFile(tmp_path / "t.xlsx", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros.bin", b"\0" * 5_000_000)
    monkeypatch.setattr(workbooks, "LARGEST_UNPACKED", 4_000_000)
    monkeypatch.setattr("openpyxl.load_workbook", None)
    with pytest.raises(
        InputError,
        match=(
            r"the workbook t.xlsx unpacks to 5 MB, and at most 4 MB are read; save the sheet "
            r"as CSV"
        ),
    ):
        read_table(tmp_path / "t.xlsx")


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "'
    + "&a;" * 50
    + '"><!ENTITY c "'
    + "&b;" * 50
    + '">]><row r="2"><c><v>&c;'
)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:200],
        lambda data: data[: len(data) // 2],
        lambda data: data[:60] + bytes(200) + data[260:],
        lambda data: b"PK\x03\x04" + b"junk" * 100,
    ],
)
def test_a_damaged_workbook_is_one_sentence(tmp_path: Path, damage) -> None:
    saved(tmp_path / "t.xlsx", ("data", ROWS))
    (tmp_path / "t.xlsx").write_bytes(damage((tmp_path / "t.xlsx").read_bytes()))
    with pytest.raises(
        InputError,
        match=r"the workbook t.xlsx is damaged or not Excel \(.*\); save it again as .xlsx or CSV",
    ):
        read_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    "change",
    [('<row r="2"', "<row r=&quot;"), ("<worksheet", "<!DOCTYPE x [" + BOMB[14:] + "<worksheet")],
)
def test_a_sheet_that_is_no_xml_is_one_sentence(tmp_path: Path, change: tuple[str, str]) -> None:
    saved(tmp_path / "t.xlsx", ("data", ROWS))
    rewritten(tmp_path / "t.xlsx", "xl/worksheets/sheet1.xml", change)
    with pytest.raises(InputError, match="is damaged or not Excel"):
        read_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("patients.csv", "is a zip archive and no workbook; .*patients.csv"),
        ("content.xml", "is an OpenDocument"),
    ],
)
def test_other_archives_say_what_they_are(tmp_path: Path, part: str, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr(part, "x")
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "t.xlsx")
