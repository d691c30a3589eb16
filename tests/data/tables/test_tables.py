"""One small table, written in every way people write tables, must read as the same table."""

from __future__ import annotations

import bz2
import gzip
import time
from itertools import product

import places
import pytest

from latentdrift.data.importing.row_matching import HeaderLinks, link
from latentdrift.data.tables.cell_parsing import (
    NOT_NAMED,
    CellError,
    Doubt,
    parse_date,
    read_rows,
    unite,
)
from latentdrift.data.tables.column_map import (
    TableMap,
    check_columns,
    guess_map,
    load_map,
    load_preset,
    slug,
)
from latentdrift.data.tables.pseudonymization import patient_key, pseudonym
from latentdrift.data.tables.tables import decode, number, read_table
from latentdrift.errors import InputError, OptionError

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


def rows_of(tmp_path, text, **given):
    table = table_of(tmp_path, text)
    table_map = TableMap.model_validate({"file": "file", **given})
    return read_rows(table, table_map, check_columns(table_map, table))


def test_a_missing_column_names_those_present_and_the_nearest(tmp_path):
    table = table_of(tmp_path, "Subject ID,Age,File\na,1,x\n")
    for given in (
        {"file": "File", "patient": "SubjectID"},
        {"file": "{SubjectID}.png"},
        {"file": "File", "keep": ["SubjectID"]},
    ):
        with pytest.raises(
            InputError,
            match=(
                r"no column 'SubjectID'; its columns are: Subject ID, Age, File \(did you "
                r"mean 'Subject ID'"
            ),
        ):
            check_columns(TableMap.model_validate(given), table)
    with pytest.raises(InputError, match="which row belongs to which image"):
        check_columns(TableMap.model_validate({"age": "Age"}), table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pateint: ID", "has the key 'pateint'; did you mean 'patient'"),
        ("gender: Sex", "did you mean 'sex'"),
        ("age: {colum: Age}", "age.*"),
        ("age: {unit: years}", "needs exactly one of column, folder, value, plane"),
        ("- a\n- b", "`ours: theirs`"),
        ("a: [", "is not YAML"),
        ("file: {oblique: x}", "file"),
        ("my attribute: X", "a name of letters"),
        ("a: " + "[" * 5000 + "]" * 5000, "is nested more than 20 levels deep"),
        ("a: &x [1, 2]\nb: *x", "has a YAML alias"),
        ('file: "{ID:0>20000000000}"', "is wider than 255 characters"),
        ("patient: {column: ID, pattern: 'x*'}", "needs one {…} around the part that counts"),
        ("patient: {column: ID, pattern: '{*****}'}", "at most 3"),
        ("describe: " + "x" * 1_000_001, "has more than 1 MB"),
    ],
)
def test_a_wrong_map_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_map(path)
    with pytest.raises(InputError, match="check `map`"):
        load_map(tmp_path / "absent.yaml")


def test_presets_are_valid_and_unknown_ones_name_the_known():
    for name in ("oasis2", "nih-chestxray14", "imagefolder"):
        load_preset(name)
    with pytest.raises(
        OptionError,
        match=(
            r"unknown preset 'oasis3'; known: imagefolder, nih-chestxray14, oasis2 \(did you "
            r"mean 'oasis2'"
        ),
    ):
        load_preset("oasis3")


def test_well_known_titles_need_no_map(tmp_path):
    found = guess_map(table_of(tmp_path, "File_Name;PatientID;Gender;Age;Secret\na;b;M;5;x\n"))
    assert found.file == {"": "{File_Name}"}
    assert {name: column.column for name, column in found.columns.items()} == {
        "patient": ("PatientID",),
        "sex": ("Gender",),
        "age": ("Age",),
    }
    with pytest.raises(InputError, match=r"write a map with `file: COLUMN`.*its columns are: X, Y"):
        guess_map(table_of(tmp_path, "X,Y\n1,2\n"))


def test_yaml_words_stay_words(tmp_path):
    (tmp_path / "map.yaml").write_text(
        "file: file\ndementia: {column: d, values: {0: no, 1: yes, Y: on}}\n"
    )
    assert load_map(tmp_path / "map.yaml").attributes["dementia"].values == {
        "0": "no",
        "1": "yes",
        "Y": "on",
    }


# --- values ---------------------------------------------------------------------------------------


def test_rows_are_typed(tmp_path):
    rows = rows_of(
        tmp_path,
        "file;age;sex;f;cdr;mmse;grade\na;87,5;male;Mass|No Finding;0;30;1\nb;058Y;F;;0,50;;2\n"
        "c;18 months;u;No Finding;1,0;12;1\n",
        age="age",
        sex="sex",
        findings={"column": "f", "none": "No Finding"},
        diagnosis={"column": "cdr", "values": {"0": "healthy", "0.5": "dementia", "1": "dementia"}},
        grade={"column": "grade", "type": "category"},
        keep=["mmse"],
    )
    assert rows.values == {
        2: {
            "age": 87.5,
            "sex": "M",
            "findings": "Mass|No Finding",
            "diagnosis": "healthy",
            "mmse": 30.0,
            "grade": "1",
        },
        3: {"age": 58.0, "sex": "F", "diagnosis": "dementia", "grade": "2"},
        4: {
            "age": 1.5,
            "findings": "No Finding",
            "diagnosis": "dementia",
            "mmse": 12.0,
            "grade": "1",
        },
    }
    assert rows.kinds == {"diagnosis": "category", "grade": "category", "mmse": "number"}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("-3", "negative age"),
        ("old", "age is not a number"),
        ("412", "age out of range"),
        ("45-50", "age is a range"),
    ],
)
def test_a_doubtful_age_is_left_empty_and_its_row_stays(tmp_path, cell, reason):
    rows = rows_of(tmp_path, f"file,age\na,50\nb,{cell}\nc,\nd,unknown\n", age="age")
    assert rows.values == {2: {"age": 50.0}, 3: {}, 4: {}, 5: {}}
    assert rows.doubts == {3: [Doubt("age", cell, reason)]} and not rows.rejected


def test_birth_dates_are_no_ages(tmp_path):
    with pytest.raises(
        InputError, match="the column 'DOB' holds dates, and an age is a number of years"
    ):
        rows_of(tmp_path, "file,DOB\na,1940-03-01\nb,1951-04-02\n", age="DOB")


def test_values_map_what_they_name_and_pass_the_rest(tmp_path):
    rows = rows_of(
        tmp_path,
        "file,s,d,a,f\na,1,x,old,ca\nb,3,x,90+,xx\nc,2,y,45,ca|xx\n",
        sex={"column": "s", "values": {"1": "M", "2": "F"}},
        diagnosis={"column": "d", "values": {"X": "ill"}},
        age={"column": "a", "values": {"old": "85"}},
        findings={"column": "f", "values": {"ca": "cancer"}},
    )
    assert rows.values == {
        2: {"sex": "M", "diagnosis": "ill", "age": 85.0, "findings": "cancer"},
        3: {"diagnosis": "ill", "age": 90.0, "findings": "xx"},
        4: {"sex": "F", "diagnosis": "y", "age": 45.0, "findings": "cancer|xx"},
    }
    assert rows.doubts == {
        3: [Doubt("sex", "3", "unknown sex"), Doubt("findings", "xx", NOT_NAMED)],
        4: [Doubt("findings", "ca|xx", NOT_NAMED), Doubt("diagnosis", "y", NOT_NAMED)],
    }
    assert not rows.rejected


def test_infinities_and_errors_of_spreadsheets_are_no_numbers_and_no_words(tmp_path):
    cells = ["1.5", "-inf", "2", "#DIV/0!", "inf", "", "1e999", *map(str, range(90))]
    text = "file,crp\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(cells))
    rows = rows_of(tmp_path, text, keep=["crp"])
    assert rows.kinds == {"crp": "number"}
    assert [rows.values[row].get("crp") for row in range(2, 9)] == [
        1.5,
        None,
        2,
        None,
        None,
        None,
        None,
    ]
    assert {row: doubts[0].reason for row, doubts in rows.doubts.items()} == {
        3: "not a finite number",
        5: "not a finite number",
        6: "not a finite number",
        8: "crp is not a number",
    }


def test_a_few_words_make_no_category_of_a_measurement_and_grades_stay_words(tmp_path):
    measured = "".join(f"{i},{i / 10},{i % 3 + 1}\n" for i in range(60))
    rows = rows_of(tmp_path, f"file,volume,grade\n{measured}x,n.d.,3a\n", keep=["volume", "grade"])
    assert rows.kinds == {"volume": "number", "grade": "category"}
    assert rows.doubts == {62: [Doubt("volume", "n.d.", "volume is not a number")]}


def test_whole_numbers_lose_the_zero_that_programs_add(tmp_path):
    frame = table_of(tmp_path, "id,age,score\n1.0,51.0,1.5\n2.0,NA,2.0\n").frame
    assert frame.to_numpy().tolist() == [["1", "51", "1.5"], ["2", "NA", "2.0"]]


def test_only_rows_with_the_values_of_keep_rows_are_used(tmp_path):
    text = "file,modality,grade\na,X-ray,1\nb,CT,1\nc,x-RAY,2.0\nd,,1\n"
    rows = rows_of(tmp_path, text, keep_rows={"modality": "X-ray"})
    assert sorted(rows.values) == [2, 4]
    assert {error.reason for error in rows.rejected.values()} == {"left out by keep_rows"}
    assert "row 3 has modality 'CT'" in str(rows.rejected[3])
    assert sorted(
        rows_of(tmp_path, text, keep_rows={"modality": ["CT", "X-ray"], "grade": ["1"]}).values
    ) == [2, 3]
    with pytest.raises(
        InputError, match="keep_rows: no row has modality 'MRI'; its values are: X-ray, CT, x-RAY"
    ):
        rows_of(tmp_path, text, keep_rows={"modality": "MRI"})
    with pytest.raises(InputError, match=r"no column 'Modality'.*did you mean 'modality'"):
        rows_of(tmp_path, text, keep_rows={"Modality": "CT"})


@pytest.mark.parametrize(
    ("pattern", "text", "part"),
    [
        ("{*}[ab]", "00013a", "00013"),
        ("{*}[ab]", "00013B", "00013"),
        ("{*}[ab]", "00013", "00013"),
        ("sub-{*}_ses-*", "sub-01_ses-2", "01"),
        ("{????}-*", "0001-x", "0001"),
        ("{*}[!0-9]", "12.", "12"),
        ("{*}(1)", "a(1)", "a"),
        ("P.{*}", "PX1", "PX1"),
    ],
)
def test_a_pattern_marks_the_part_of_a_cell_that_counts(tmp_path, pattern, text, part):
    rows = rows_of(tmp_path, f"file;id\nx;{text}\n", patient={"column": "id", "pattern": pattern})
    assert rows.values[2]["patient"] == part


def test_a_hostile_pattern_ends_soon(tmp_path):
    began = time.perf_counter()
    rows = rows_of(
        tmp_path, f"file;id\nx;{'a' * 400}\n", patient={"column": "id", "pattern": "*a*a{*}b"}
    )
    assert rows.values[2]["patient"] == "a" * 400
    assert time.perf_counter() - began < 5


def test_several_rows_of_one_picture_are_united(tmp_path):
    text = "file,p,f,x,age\na,P1,Mass,1,50\na, p1,Edema,2,\na,P1,Normal,3,50\na,P1,Mass,4,51\n"
    rows = rows_of(
        tmp_path, text, patient="p", findings={"column": "f", "none": "Normal"}, age="age"
    )
    assert unite(rows, [2, 3, 4], "Normal") == {
        "patient": "P1",
        "findings": "Mass|Edema",
        "age": 50.0,
    }
    assert unite(rows, [4], "Normal")["findings"] == "Normal"
    with pytest.raises(CellError, match="rows 2, 5 are of one picture and differ in age") as caught:
        unite(rows, [2, 5], "Normal")
    assert caught.value.reason == "its rows differ in age"


def test_a_date_that_is_free_text_is_left_empty_and_others_are_read(tmp_path):
    cells = ["January 22, 2020", "March 1, 2020", "2020", "2020-02-03", "03/04/2020", "in spring"]
    rows = rows_of(
        tmp_path,
        "file;date\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate(cells)),
        date="date",
    )
    assert [rows.values[row].get("date") for row in range(2, 8)] == [
        "2020-01-22",
        "2020-03-01",
        None,
        "2020-02-03",
        None,
        None,
    ]
    assert [rows.doubts[row][0].reason for row in (4, 6, 7)] == ["date cannot be read"] * 3


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (["2020-01-31", "2021-02-01"], ["2020-01-31", "2021-02-01"]),
        (["31/01/2020", "02/03/2021"], ["2020-01-31", "2021-03-02"]),
        (["01/31/2020", "02/03/2021"], ["2020-01-31", "2021-02-03"]),
        (["31.1.2020", "1.2.2021"], ["2020-01-31", "2021-02-01"]),
        (["20200131", "20210201"], ["2020-01-31", "2021-02-01"]),
        (["31-Jan-2020", "01-Feb-2021"], ["2020-01-31", "2021-02-01"]),
    ],
)
def test_dates_are_read_as_the_whole_column_says(tmp_path, cells, read):
    rows = rows_of(
        tmp_path,
        "file;date\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate(cells)),
        date="date",
    )
    assert [values["date"] for values in rows.values.values()] == read


def test_dates_that_can_be_read_in_two_ways_are_asked_about(tmp_path):
    text = "file,date\na,01/02/2020\nb,03/04/2021\n"
    with pytest.raises(InputError, match=r"can be read as %d/%m/%Y or as %m/%d/%Y; add `format`"):
        rows_of(tmp_path, text, date="date")
    rows = rows_of(tmp_path, text, date={"column": "date", "format": "%m/%d/%Y"})
    assert rows.values[2]["date"] == "2020-01-02"
    with pytest.raises(InputError, match="in no known format"):
        rows_of(tmp_path, "file,date\na,yesterday\nb,today\n", date="date")
    assert parse_date("19991231") == "1999-12-31" and parse_date("1999") is None


# --- files and rows
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
#
# --------------------------------------------------------------------------------------------------

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


def test_slugs():
    assert [slug(title) for title in ("nWBV", "M/F", "Follow-up #", "MMSE score", "§")] == [
        "nwbv",
        "m_f",
        "follow_up",
        "mmse_score",
        "column",
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("AB-01", True),
        ("ab-01", True),
        (" AB - 01", True),
        ("ＡＢ-01", True),
        ("AB-1", False),
        ("AB-011", False),
    ],
)
def test_ids_that_differ_by_case_and_blanks_are_one_patient(text, kept):
    assert (patient_key(text) == patient_key("AB-01")) == kept
    assert (pseudonym("salt", text) == pseudonym("salt", "AB-01")) == kept


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
