"""Rows and pictures: whose picture it is, which rows it has, what becomes of odd cells, and what
stays outside of a cohort."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from openpyxl import Workbook
from PIL import Image
from pydicom.data import get_testdata_file

from latentdrift import config, service
from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.finalize import summary
from latentdrift.data.importing.import_plan import prepare, survey
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.inspection.statistics import inspect
from latentdrift.errors import CohortError, InputError, OptionError


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12), dtype=np.uint8)).save(
        path
    )


def brought(
    tmp_path: Path, text: str, map_text: str = "", files: int = 0, **options: Any
) -> Cohort:
    """Import pictures named 0.png, 1.png, … with a table."""
    rows = [line for line in text.split("\n")[1:] if line]
    for number in range(files or len(rows)):
        picture(tmp_path / "in" / f"{number}.png", number)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    if map_text:
        (tmp_path / "m.yaml").write_text(map_text, encoding="utf-8")
        options["map"] = tmp_path / "m.yaml"
    return import_cohort(
        ImportOptions(
            source=tmp_path / "in", out=tmp_path / "c", table=tmp_path / "t.csv", **options
        )
    )


def private(tmp_path: Path, name: str) -> list[dict[str, str]]:
    with open(tmp_path / "c-private" / name, newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


AGES = {
    "45": 45,
    "90+": 90,
    ">89": 90,
    "89+": 89,
    "67y": 67,
    "6 months": 0.5,
    "070": 70,
    "58.5": 58.5,
    "90 or older": 90,
    "2y6m": 2.5,
    "unknown": None,
    "300": None,
    "45-50": None,
    "-1": None,
    "": None,
}


MAP = 'file: file\npatient: patient\nage: {column: age, values: {"90+": 90, ">89": 90}}\n'


@pytest.mark.parametrize("map_text", ["", MAP])
def test_no_age_costs_a_picture(tmp_path: Path, map_text: str) -> None:
    rows = "".join(f"{number}.png,P{number},{cell}\n" for number, cell in enumerate(AGES))
    cohort = brought(tmp_path, f"file,patient,age\n{rows}", map_text)
    ages = dict(
        zip(
            (row["file"] for row in private(tmp_path, "files.csv")),
            cohort.table["age"],
            strict=True,
        )
    )
    read = [ages[f"{number}.png"] for number in range(len(AGES))]
    assert [None if np.isnan(age) else age for age in read] == list(AGES.values())
    assert cohort.info.table.cells == {
        "age": {"age out of range": 1, "age is a range": 1, "negative age": 1}
    }
    assert [(row["where"], row["cell"]) for row in private(tmp_path, "cells.csv")] == [
        ("row 13", "300"),
        ("row 14", "45-50"),
        ("row 15", "-1"),
    ]


def test_the_message_shows_the_cell_and_the_cohort_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture(tmp_path / "in" / "0.png", 0)
    (tmp_path / "t.csv").write_text("file,age,sex\n0.png,about fifty,Frau\n", encoding="utf-8")
    with caplog.at_level(logging.INFO):
        service.run(
            "import",
            config.ImportOptions(
                source=tmp_path / "in", out=tmp_path / "c", table=tmp_path / "t.csv"
            ),
            quiet=True,
        )
    assert (
        "1 cells of age are left empty: 1 age is not a number ('about fifty' in row 2)."
        in caplog.text
    )
    assert "1 cells of sex are left empty: 1 unknown sex ('Frau' in row 2)." in caplog.text
    assert (
        "fifty"
        not in (tmp_path / "c" / "cohort.json").read_text()
        + (tmp_path / "c" / "metadata.csv").read_text()
    )
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "c-private").iterdir()}
    assert set(modes.values()) == {0o600} and "record.json" in modes


def test_ids_that_differ_by_case_or_blanks_are_one_patient_in_one_split(tmp_path: Path) -> None:
    spellings = ("AB-{:02d}", "ab-{:02d}", " AB-{:02d} ")
    rows = [
        f"{3 * who + visit}.png,{form.format(who)}"
        for who in range(6)
        for visit, form in enumerate(spellings)
    ]
    cohort = brought(tmp_path, "file,patient\n" + "\n".join(rows) + "\n")
    assert cohort.table["patient"].nunique() == 6
    assert cohort.table.groupby("patient")["split"].nunique().max() == 1
    assert cohort.info.split.notes == [
        (
            "The ids of 6 patients are written in several ways (case, blanks); each counts "
            "as one patient."
        )
    ]
    known = {row["patient"]: row["pseudonym"] for row in private(tmp_path, "patients.csv")}
    assert known["AB-03"] == known["ab-03"] in set(cohort.table["patient"])


def test_a_pattern_of_ids_keeps_the_parts_of_a_patient_in_one_split(tmp_path: Path) -> None:
    rows = "".join(f"{number}.png,{number // 2:05d}{'ab'[number % 2]}\n" for number in range(12))
    map_text = 'file: file\npatient: {column: id, pattern: "{*}[ab]"}\n'
    cohort = brought(tmp_path, f"file,id\n{rows}", map_text)
    assert cohort.table["patient"].nunique() == 6
    assert cohort.table.groupby("patient")["split"].nunique().max() == 1


def test_rows_that_say_the_same_are_one_and_findings_are_joined(tmp_path: Path) -> None:
    text = (
        "image,who,finding,x\n0,P0,Normal,0\n0,P0,Normal,5\n1,P1,Mass,1\n1,P1,Edema,2\n1,P1,Mass,3\n"
        "2,P2,Normal,4\n3,P3,Mass,0\n3,P4,Mass,0\n9,P9,Mass,0\n"
    )
    cohort = brought(
        tmp_path,
        text,
        "file: image\npatient: who\nfindings: {column: finding, none: Normal}\n",
        files=5,
    )
    assert cohort.table["findings"].tolist() == ["Normal", "Mass|Edema", "Normal"]
    assert cohort.info.rejected_by_reason == {
        "its rows differ in patient": 1,
        "no row in the table": 1,
    }
    assert (
        private(tmp_path, "rejected.csv")[0]["sentence"]
        == "rows 8, 9 are of one picture and differ in patient"
    )
    assert cohort.info.table.rows_without_file == 1
    assert cohort.info.table.findings_joined == 1


def test_merged_cells_of_a_workbook_keep_the_patient(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["Patient ID", "File", "Sex"])
    for number in range(12):
        picture(tmp_path / "in" / f"{number}.png", number)
        book.active.append(
            [
                f"HOSP-{number // 3}" if number % 3 == 0 else None,
                f"{number}.png",
                "F" if number % 3 == 0 else None,
            ]
        )
        if number % 3 == 2:
            book.active.merge_cells(
                start_row=number, end_row=number + 2, start_column=1, end_column=1
            )
            book.active.merge_cells(
                start_row=number, end_row=number + 2, start_column=3, end_column=3
            )
    book.save(tmp_path / "t.xlsx")
    (tmp_path / "m.yaml").write_text("file: File\npatient: Patient ID\nsex: Sex\n")
    cohort = import_cohort(
        ImportOptions(
            source=tmp_path / "in",
            out=tmp_path / "c",
            table=tmp_path / "t.xlsx",
            map=tmp_path / "m.yaml",
        )
    )
    assert cohort.table["patient"].nunique() == 4 and cohort.table["patient"].notna().all()
    assert set(cohort.table["sex"]) == {"F"}
    assert cohort.table.groupby("patient")["split"].nunique().max() == 1


def test_rows_that_a_map_leaves_out_take_no_pictures(tmp_path: Path) -> None:
    text = (
        "file,modality,age,date\n"
        "0.png,X-ray,50,\n1.png,CT,60,\n2.png,X-ray,70,2020\n3.png,X-ray,71,\n"
    )
    map_text = "file: file\nage: age\nkeep_rows: {modality: X-ray}\n"
    cohort = brought(tmp_path, text, map_text)
    assert cohort.table["age"].tolist() == [50, 70, 71]
    assert (
        cohort.info.rejected_by_reason
        == cohort.info.table.rows_rejected
        == {"left out by keep_rows": 1}
    )
    options = ImportOptions(
        source=tmp_path / "in",
        out=tmp_path / "d",
        table=tmp_path / "t.csv",
        map=tmp_path / "m.yaml",
    )
    plan = survey(prepare(options), options)
    assert plan["files_to_read"] == 3 and plan["files_left_out"] == {"left out by keep_rows": 1}


def test_several_modalities_are_named_and_one_can_be_taken(tmp_path: Path) -> None:
    text = "file,modality\n0.png,X-ray\n1.png,CT\n2.png,X-ray\n"
    cohort = brought(tmp_path, text)
    sentence = (
        "The images are of 2 modalities (2 X-ray, 1 CT); `keep_rows` in the map takes one of them."
    )
    assert sentence in summary(cohort.info) and sentence in inspect(cohort).warnings
    (tmp_path / "m.yaml").write_text(
        "file: file\nmodality: modality\nkeep_rows: {modality: x-ray}\n"
    )
    options = ImportOptions(
        source=tmp_path / "in",
        out=tmp_path / "d",
        table=tmp_path / "t.csv",
        map=tmp_path / "m.yaml",
    )
    assert not any("modalities" in sentence for sentence in summary(import_cohort(options).info))


@pytest.mark.parametrize("cell", ["1", "1.0"])
def test_where_nothing_is_found_both_sides_and_the_cure_are_shown(
    tmp_path: Path, cell: str
) -> None:
    picture(tmp_path / "in" / "0001_ax.png", 0)
    (tmp_path / "t.csv").write_text(f"patient,age\n{cell},50\n")
    map_path = tmp_path / "m.yaml"
    map_path.write_text('file: "{patient}_ax.png"\npatient: patient\nage: age\n')
    options = ImportOptions(
        source=tmp_path / "in", out=tmp_path / "c", table=tmp_path / "t.csv", map=map_path
    )
    with pytest.raises(CohortError) as caught:
        import_cohort(options)
    assert (
        "the table leads to names such as '1_ax.png', and files are named such as '0001_ax.png'"
        in str(caught.value)
    )
    cure = str(caught.value).split("write ")[1].removesuffix(" in the map")
    map_path.write_text(f"{cure}\npatient: patient\nage: age\n")
    assert import_cohort(options).table["age"].tolist() == [50]


# --- what stays outside


def scan(path: Path, number: int, **fields: str) -> None:
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword, value in ({"PatientID": "0001"} | fields).items():
        setattr(dataset, keyword, value)
    dataset.SOPInstanceUID = f"1.2.3.4.5.{number}"
    pixels = dataset.pixel_array.copy()
    pixels[: number + 1] = 40
    dataset.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)


def test_headers_meet_a_table_whose_ids_lost_their_zeros(tmp_path: Path) -> None:
    for number in range(3):
        scan(tmp_path / "in" / f"{number}.dcm", number, PatientID=f"000{number + 1}")
    (tmp_path / "t.csv").write_text("patient,stage\n1.0,I\n2.0,II\n3.0,III\n")
    (tmp_path / "m.yaml").write_text("patient: patient\nstage: stage\n")
    options = ImportOptions(
        source=tmp_path / "in",
        out=tmp_path / "c",
        table=tmp_path / "t.csv",
        map=tmp_path / "m.yaml",
    )
    assert import_cohort(options).table["stage"].tolist() == ["I", "II", "III"]
    (tmp_path / "t.csv").write_text("patient,stage\nX1,I\nX2,II\n")
    with pytest.raises(
        CohortError, match="the table has patients such as 'X1', and the headers such as '0001'"
    ):
        import_cohort(options.model_copy(update={"out": tmp_path / "d"}))


def test_nothing_of_a_path_is_in_a_cohort(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "NOBODY_JANE_1960-01-01" / "Thorax 04.03.2011"
    for number in range(3):
        scan(
            folder / f"NOBODY^JANE_{number}.dcm",
            number,
            PatientID="4711-22",
            PatientName="NOBODY^JANE",
        )
    (folder / "NOBODY^JANE_3.dcm").write_bytes((folder / "NOBODY^JANE_0.dcm").read_bytes()[:3000])
    (folder / "4711-22 report.txt").write_text("x")
    cohort = import_cohort(ImportOptions(source=tmp_path / "in", out=tmp_path / "c"))
    assert len(cohort.table) == 3 and len(cohort.info.rejected) == 2
    text = "".join(
        path.read_text() for path in (cohort.folder / "metadata.csv", cohort.folder / "cohort.json")
    )
    for marker in ("NOBODY", "JANE", "1960", "2011", "04.03", "4711", "report", ".dcm", ".txt"):
        assert marker not in text
    assert {row["file"].rpartition("/")[2] for row in private(tmp_path, "rejected.csv")} == {
        "NOBODY^JANE_3.dcm",
        "4711-22 report.txt",
    }


@pytest.mark.parametrize(
    "field", ["PatientName", "PatientID", "StudyInstanceUID", "PatientBirthDate", "AccessionNumber"]
)
def test_headers_and_tables_keep_by_one_rule(tmp_path: Path, field: str) -> None:
    scan(tmp_path / "in" / "a.dcm", 0)
    with pytest.raises(
        OptionError,
        match=f"the header field '{field}' tells who the patients are and cannot be kept",
    ):
        import_cohort(ImportOptions(source=tmp_path / "in", out=tmp_path / "c", keep=(field,)))
    (tmp_path / "t.csv").write_text("PatientID,Age\n0001,50\n")
    with pytest.raises(
        OptionError, match="the column 'PatientID' tells who the patients are and cannot be kept"
    ):
        import_cohort(
            ImportOptions(
                source=tmp_path / "in",
                out=tmp_path / "c",
                table=tmp_path / "t.csv",
                keep=("PatientID",),
            )
        )


def test_a_date_that_is_kept_by_name_is_not_called_removed(tmp_path: Path) -> None:
    scan(tmp_path / "in" / "a.dcm", 0, StudyDate="20040119")
    kept = import_cohort(
        ImportOptions(source=tmp_path / "in", out=tmp_path / "c", keep=("StudyDate", "SOPClassUID"))
    )
    said = kept.info.deidentification.dates
    assert said == (
        "removed, except these, kept by name: StudyDate; days since the patient's first "
        "scan are kept"
    )
    assert "20040119" in (kept.folder / "metadata.csv").read_text()
    plain = import_cohort(ImportOptions(source=tmp_path / "in", out=tmp_path / "d"))
    assert (
        plain.info.deidentification.dates == "removed; days since the patient's first scan are kept"
    )


def test_a_map_that_names_a_patient_or_a_date_does_not_carry_them_into_the_cohort(
    tmp_path: Path,
) -> None:
    map_text = (
        "file: file\npatient: {value: NOBODY-JANE}\ndate: {value: 2011-03-04}\nkeep_rows: {who: "
        "[NOBODY]}\n"
    )
    cohort = brought(tmp_path, "file,who\n0.png,NOBODY\n", map_text)
    text = cohort.info.model_dump_json() + (cohort.folder / "metadata.csv").read_text()
    assert "NOBODY" not in text and "2011" not in text


def test_a_header_field_that_repeats_the_patient_is_left_empty(tmp_path: Path) -> None:
    scan(tmp_path / "in" / "a.dcm", 0, PatientID="AB-4711", StudyDescription="follow-up of ab-4711")
    scan(tmp_path / "in" / "b.dcm", 1, PatientID="AB-4712", StudyDescription="follow-up")
    cohort = import_cohort(
        ImportOptions(source=tmp_path / "in", out=tmp_path / "c", keep=("StudyDescription",))
    )
    assert cohort.table["StudyDescription"].tolist() == [None, "follow-up"]
    assert cohort.info.table.cells == {"StudyDescription": {"repeats the patient's id": 1}}


def test_a_sheet_without_a_workbook_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "0.png", 0)
    with pytest.raises(
        OptionError, match="`sheet` names a sheet of the table, and no table is given"
    ):
        import_cohort(ImportOptions(source=tmp_path / "in", out=tmp_path / "c", sheet="x"))
    with pytest.raises(InputError, match="holds dates"):
        brought(tmp_path, "file,age\n0.png,1940-03-01\n")
