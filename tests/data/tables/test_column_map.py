"""Maps from the columns of a table to ours: titles, presets, mistakes."""

from __future__ import annotations

import pytest

from latentdrift.data.tables.column_map import (
    TableMap,
    check_columns,
    fitting_presets,
    guess_map,
    load_map,
    load_preset,
    slug,
    way_to_files,
)
from latentdrift.data.tables.tables import read_table
from latentdrift.errors import InputError, OptionError


def table_of(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path)


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


def test_slugs():
    assert [slug(title) for title in ("nWBV", "M/F", "Follow-up #", "MMSE score", "§")] == [
        "nwbv",
        "m_f",
        "follow_up",
        "mmse_score",
        "column",
    ]


def test_a_table_whose_titles_fit_a_preset_names_it(tmp_path):
    nih = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender"
    table = table_of(tmp_path, f"{nih},View Position\na.png,Mass,0,1,60,F,PA\n")
    assert fitting_presets(table) == ["nih-chestxray14"]
    assert "its titles fit `preset=nih-chestxray14`; its columns are: Image Index" in (
        way_to_files(table)
    )
    other = table_of(tmp_path, "Probe,Age\na,1\n")
    assert fitting_presets(other) == []
    with pytest.raises(InputError, match=r"write a map with `file: COLUMN` .* are: Probe, Age"):
        guess_map(other)
