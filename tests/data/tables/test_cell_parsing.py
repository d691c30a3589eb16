"""Cells of a table as typed values; a doubtful cell is left empty and its row stays."""

from __future__ import annotations

import time

import pytest

from latentdrift.data.tables.cell_parsing import (
    NOT_NAMED,
    CellError,
    Doubt,
    parse_date,
    read_rows,
    unite,
)
from latentdrift.data.tables.column_map import TableMap, check_columns
from latentdrift.data.tables.tables import read_table
from latentdrift.errors import InputError


def table_of(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path)


def rows_of(tmp_path, text, **given):
    table = table_of(tmp_path, text)
    table_map = TableMap.model_validate({"file": "file", **given})
    return read_rows(table, table_map, check_columns(table_map, table))


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
