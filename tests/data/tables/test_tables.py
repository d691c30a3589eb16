"""One small table, written in every way people write tables, must read as the same table."""

from __future__ import annotations

import bz2
import gzip
from itertools import product

import places
import pytest

from latentdrift.data.importing.row_matching import HeaderLinks, link
from latentdrift.data.tables.cell_parsing import read_rows
from latentdrift.data.tables.column_map import check_columns, load_map, load_preset
from latentdrift.data.tables.tables import decode, number, read_table
from latentdrift.errors import InputError

DATA = places.SHARED / "data"
HEADER = ["Subject ID", "Größe", "Volume", "Note"]
BODY = [
    ["S1", "1,5", "0,696", 'says "yes"; no|maybe, x'],
    ["S2", "2", "0,700", ""],
    ["S3", "", "1,046", "é"],
]


def written(sep: str, end: str, encoding: str, header=HEADER, body=BODY) -> bytes:
    def cell(text):
        return (
            '"' + text.replace('"', '""') + '"'
            if any(sign in text for sign in (sep, '"', ","))
            else text
        )

    return (end.join(sep.join(map(cell, row)) for row in [header, *body]) + end).encode(encoding)


@pytest.mark.parametrize(
    ("sep", "end", "encoding"),
    list(product(",;\t|", ["\n", "\r\n", "\r"], ["utf-8"]))
    + [
        (";", "\r", e)
        for e in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32")
    ],
)
def test_any_dialect_reads_the_same(tmp_path, sep, end, encoding):
    path = tmp_path / "table.csv"
    path.write_bytes(written(sep, end, encoding))
    table = read_table(path)
    assert list(table.frame.columns) == HEADER
    assert table.frame.to_numpy().tolist() == BODY
    assert table.decimal == ","
    assert not table.rejected


def test_clutter_is_left_out(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        (
            "sep=;\n\nExport of 2020\n;;;\n ID ; Age;;Age;\n\n a ; 1 "
            ";x;2;\n;;;;\nb;3;;4;\nc;5;;6;;;late\n\n"
        ),
        encoding="utf-8",
    )
    table = read_table(path)
    assert list(table.frame.columns) == ["ID", "Age", "column 3", "Age (2)"]
    assert table.frame.to_numpy().tolist() == [["a", "1", "x", "2"], ["b", "3", "", "4"]]
    assert list(table.rejected.values()) == ["7 cells where the header has 5"]


def test_single_column_and_commas_in_findings(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("file\na.png\nb.png\n")
    assert read_table(path).frame["file"].tolist() == ["a.png", "b.png"]
    path.write_text("file,findings\na.png,Mass|Nodule\nb.png,Mass|Edema\nc.png,No Finding\n")
    assert list(read_table(path).frame.columns) == ["file", "findings"]


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [
        ("87", ".", 87),
        ("0,696", ",", 0.696),
        ("1.234,5", ",", 1234.5),
        ("1,234.5", ".", 1234.5),
        ("1 234,5", ",", 1234.5),
        ("1,000", ",", 1),
        ("1,000", ".", 1000),
        ("−3", ".", -3),
        ("1e-3", ".", 0.001),
        (".5", ".", 0.5),
        ("0,5", ".", 0.5),
        ("75 80", ".", None),
        ("058Y", ".", None),
        ("1,2,3", ".", None),
        ("inf", ".", None),
        ("", ".", None),
    ],
)
def test_numbers(text, decimal, value):
    assert number(text, decimal) == (pytest.approx(value) if value is not None else None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n", "has no rows below its header"),
        (b"\xd0\xcf\x11\xe0abc", "old Excel format .* or protected by a password"),
        (gzip.compress(b"a,b\n1,2\n"), "is compressed; unpack it"),
        (bz2.compress(b"a,b\n1,2\n"), "is compressed; unpack it"),
        (b"PK\x03\x04junk", "damaged or not Excel"),
        (bytes(range(256)) * 8, "neither a text table nor an Excel workbook"),
        (b"", "has no rows"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n",
            "is a Git-LFS pointer, .*git lfs pull",
        ),
        (
            b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>",
            "is a web page, as a failed download leaves it",
        ),
    ],
    ids=["header", "old-excel", "gzip", "bzip2", "zip", "bytes", "empty", "git-lfs", "web-page"],
)
def test_unusable_tables_say_why(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_table(path)


def test_a_missing_table_and_an_unknown_encoding_say_so(tmp_path):
    with pytest.raises(InputError, match=r"absent.csv cannot be read .*check `table`"):
        read_table(tmp_path / "absent.csv")
    with pytest.raises(InputError, match="unknown encoding 'klingon'"):
        decode(b"a", encoding="klingon")
    assert decode("Größe".encode("cp437"), encoding="cp437") == "Größe"


# --- maps -----------------------------------------------------------------------------------------


def table_of(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path)


# --- values ---------------------------------------------------------------------------------------


def test_whole_numbers_lose_the_zero_that_programs_add(tmp_path):
    frame = table_of(tmp_path, "id,age,score\n1.0,51.0,1.5\n2.0,NA,2.0\n").frame
    assert frame.to_numpy().tolist() == [["1", "51", "1.5"], ["2", "NA", "2.0"]]


# --- files and rows

FILES = [
    "x/a1.png",
    "x/a10.png",
    "y/b.nii.gz",
    "y/c_axl.nii.gz",
    "y/c_cor.nii.gz",
    "p/7/s.png",
    "q/7/s.png",
    "q/[odd]*.png",
    "00000190_001.png",
]


@pytest.mark.parametrize(
    ("pattern", "cell", "expected"),
    [
        ("{id}", "a1.png", ["x/a1.png"]),
        ("{id}", "a1", ["x/a1.png"]),
        ("{id}", "A1.PNG", ["x/a1.png"]),
        ("{id}", "b", ["y/b.nii.gz"]),
        ("{id}", "C:\\data\\x\\a1.png", ["x/a1.png"]),
        ("{id}", "/mnt/p/7/s.png", ["p/7/s.png"]),
        ("{id}_*.nii.gz", "c", FILES[3:5]),
        ("{id}_ax*", "c", FILES[3:4]),
        ("{id}*", "a1", FILES[:2]),
        ("{id}/*.png", "7", FILES[5:7]),
        ("p/{id}/*", "7", FILES[5:6]),
        ("{id}", "[odd]*.png", ["q/[odd]*.png"]),
        ("{id}*.png", "[odd]", ["q/[odd]*.png"]),
        ("{id:0>8}_*", "190", FILES[8:]),
        ("{id}", "none", []),
    ],
)
def test_rows_find_their_files(tmp_path, pattern, cell, expected):
    frame = table_of(tmp_path, f"id;z\n{cell};1\n").frame
    links = link(pattern, frame, FILES)
    assert sorted(links.rows_of) == sorted(expected)
    assert bool(links.rows_without_file) == (not expected)


def test_several_rows_of_a_file_are_kept_and_several_files_of_a_name_are_not_linked(tmp_path):
    frame = table_of(tmp_path, "id;z\na1.png;1\na1;2\ns.png;3\nNA;4\n").frame
    links = link("{id}", frame, FILES)
    assert links.rows_of == {"x/a1.png": (2, 3)}
    assert links.ambiguous["p/7/s.png"] == "row 4 names a file that lies in several folders"
    assert links.rows_without_file == (5,)


def test_headers_find_their_row_by_patient_and_date():
    rows = {
        1: {"patient": "A", "date": "2000-01-01"},
        2: {"patient": "A", "date": "2001-01-01"},
        3: {"patient": "B"},
    }
    links = HeaderLinks.of(rows)
    assert links.find("A", "2001-01-01") == ((2,), "")
    assert links.find(" b", "1999-01-01") == ((3,), "")
    assert links.find("A", None) == ((1, 2), "")
    assert links.find("C", None) == links.find(None, None) == ((), "no row in the table")


def test_numbers_find_their_header_without_leading_zeros_where_that_is_clear():
    rows = {1: {"patient": "1"}, 2: {"patient": "20"}, 3: {"patient": "020"}, 4: {"patient": "x7"}}
    links = HeaderLinks.of(rows, ["0001", "0020", "0003", "007"])
    assert links.find("0001", None) == ((1,), "")
    assert links.find("20", None) == ((2,), "")
    assert links.find("0020", None) == links.find("007", None) == ((), "no row in the table")
    assert HeaderLinks.of(rows, ["0001", "01"]).find("0001", None)[1] == "no row in the table"


def test_leading_zeros_that_keep_rows_and_files_apart_are_shown_with_the_cure(tmp_path):
    frame = table_of(tmp_path, "id,age\n1,50\n2,51\n").frame
    links = link("{id}_ax.png", frame, ["in/0001_ax.png", "in/0002_ax.png"])
    assert links.example == ("1_ax.png", "in/0001_ax.png") and links.cure == '"{id:0>4}_ax.png"'
    assert str(links.hint).endswith(
        'they differ by leading zeros: write file: "{id:0>4}_ax.png" in the map'
    )
    assert set(link("{id:0>4}_ax.png", frame, ["in/0001_ax.png"]).rows_of) == {"in/0001_ax.png"}
    assert (
        link("{id}", frame, ["z.png"]).hint
        == "the table leads to names such as '1', and files are named such as 'z.png'"
    )
    assert link("{id}", frame, ["1.png", "2.png"]).hint is None


def test_names_meet_in_any_unicode_form(tmp_path):
    for theirs, ours in (("é.png", "e\u0301.png"), ("e\u0301.png", "é.png")):
        assert set(
            link("{id}", table_of(tmp_path, f"id;z\n{theirs};1\n").frame, [f"x/{ours}"]).rows_of
        ) == {f"x/{ours}"}
    (tmp_path / "map.yaml").write_text("file: Ro\u0308ntgen\n", encoding="utf-8")
    check_columns(load_map(tmp_path / "map.yaml"), table_of(tmp_path, "Röntgen;z\na;1\n"))


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")
def test_the_published_oasis_table_reads_as_it_is():
    table = read_table(DATA / "oasis2" / "oasis_longitudinal_demographic.csv")
    assert table.frame.shape == (246, 15) and table.decimal == ","
    table_map = load_preset("oasis2")
    rows = read_rows(table, table_map, check_columns(table_map, table))
    assert not rows.rejected
    assert rows.values[2] == {
        "patient": "OAS2_0001",
        "visit": "1",
        "days": 0.0,
        "age": 87.0,
        "sex": "M",
        "diagnosis": "no dementia",
        "group": "Nondemented",
        "nwbv": 0.696,
        "mmse": 27.0,
    }
