"""Import: messy folders go in, identity stays out, every file is accounted for, and an interruption
costs nothing."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
import stat
from collections import Counter, namedtuple
from pathlib import Path

import dicoms
import nibabel
import numpy as np
import places
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from specs import rows_of

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.images import image_readers
from latentdrift.data.importing.finalize import summary
from latentdrift.data.importing.import_plan import prepare, survey
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.tables.pseudonymization import pseudonym, read_private
from latentdrift.errors import CohortError, InputError, OptionError, ResourceError

DATA = places.SHARED / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not here")


def scan(seed: int, size: int = 48, dtype: type = np.uint8) -> np.ndarray:
    """A picture that is like no other."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((6, 6))
    return (np.kron(coarse, np.ones((size // 6, size // 6))) * np.iinfo(dtype).max).astype(dtype)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def messy(tmp_path):
    """Ten patients with two scans each, a table as Excel in Germany writes it, and everything that
    can be wrong with a file."""
    source = tmp_path / "Klinik"
    lines = ["Fall-Nr;Bild;Alter;Geschl.;Untersuchung;Befund;Score;Name", ""]
    for patient in range(10):
        for visit in range(2):
            name = f"CASE_{patient:04d}_{visit}"
            save(
                source / f"batch{visit}" / f"{name}.png",
                scan(2 * patient + visit, dtype=np.uint16 if visit else np.uint8),
            )
            age = f"{60 + patient},5"
            date = f"{10 + patient}.03.{2000 + visit}"
            sex = "mw"[patient % 2]
            finding = "Erguss|Stau" if visit else "o.B."
            lines.append(
                f"CASE_{patient:04d};{name}.png;{age};{sex};{date};{finding};1,{patient};"
                "Jörg Müller"
            )
    extra = {
        "negative": "-4",
        "words": "alt",
        "cut": "70",
        "text": "70",
        "copy": "70",
        "absent": "70",
    }
    lines += [
        f"CASE_0100;{name}.png;{age};m;01.01.2001;o.B.;1,0;Eva" for name, age in extra.items()
    ]
    for name in ("negative", "words", "orphan", "CASE_0777_0"):
        save(source / f"{name}.png", scan(len(name) + 100))
    save(source / "copy.png", scan(0))
    whole = (source / "batch0" / "CASE_0003_0.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "text.png").write_text("not a picture")
    (source / "empty.png").write_bytes(b"")
    (source / "liesmich.txt").write_text("hallo")
    (source / "liste.csv").write_bytes("\r".join(lines).encode("cp1252"))
    (tmp_path / "map.yaml").write_text(
        "describe: chest X-ray\nfile: Bild\npatient: Fall-Nr\nage: Alter\n"
        "sex: {column: Geschl., values: {m: M, w: F}}\n"
        "date: Untersuchung\nfindings: {column: Befund, none: o.B.}\n"
        "keep: [Score]\nmodality: {value: CR}\n"
    )
    return ImportOptions(
        source=source,
        out=tmp_path / "cohort",
        table=source / "liste.csv",
        map=tmp_path / "map.yaml",
    )


@pytest.fixture
def cohort(messy):
    return import_cohort(messy)


def records(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as handle:
        return list(csv.DictReader(handle))


def everything_in(folder: Path) -> str:
    """Names and texts of a folder's files, without hashes and pseudonyms: chance may write a year
    into those."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".png"]
    text = "\n".join(
        path.read_text(errors="replace") + str(path.relative_to(folder)) for path in files
    )
    return re.sub(r"\b[0-9a-f]{12}([0-9a-f]{52})?\b", "", text)


# --- what goes in ---------------------------------------------------------------------------------


def test_every_file_is_taken_or_has_a_reason(cohort, messy):
    refused = records(messy.out.with_name("cohort-private") / "rejected.csv")
    reasons = {row["file"].split("/")[-1]: row["reason"] for row in refused}
    assert len(cohort.table) == 22
    assert reasons == {
        "orphan.png": "no row in the table",
        "copy.png": "duplicate",
        "cut.png": "truncated",
        "text.png": "not an image",
        "empty.png": "empty",
        "liesmich.txt": "not an image",
        "CASE_0777_0.png": "no row in the table",
    }
    files = [
        path for path in messy.source.rglob("*") if path.is_file() and path.name != "liste.csv"
    ]
    assert len(cohort.table) + len(cohort.info.rejected) == len(files)
    assert cohort.info.rejected_by_reason == dict(Counter(reasons.values()).most_common())
    assert [list(entry.model_dump()) for entry in cohort.info.rejected] == [["reason"]] * 7
    said = summary(cohort.info, read_private(messy.out, "cells.csv"))
    assert said[0].startswith("Taken: 22 images of 11 patients (16 train,")
    assert (
        "Not taken: 7 (" in said[1]
        and "1 truncated" in said[1]
        and "2 no row in the table" in said[1]
    )
    assert "1 of 26 rows of the table have no file here." in said
    assert (
        "2 cells of age are left empty: 1 negative age ('-4' in row 23), 1 age is not a "
        "number ('alt' in row 24)."
    ) in said
    assert cohort.info.table.cells == {"age": {"negative age": 1, "age is not a number": 1}}


def test_the_table_is_understood(cohort):
    first = cohort.table.iloc[0]
    assert (first["age"], first["sex"], first["findings"], first["score"], first["modality"]) == (
        60.5,
        "M",
        "o.B.",
        1.0,
        "CR",
    )
    assert cohort.attributes["findings"].words == ["Erguss", "Stau", "o.B."]
    assert set(cohort.attributes) == {"age", "sex", "findings"} and set(cohort.info.kept) == {
        "score"
    }
    assert cohort.describe == "chest X-ray"
    assert sorted(cohort.table["visit"]) == ["1"] * 12 + ["2"] * 10
    assert set(cohort.table.loc[cohort.table["visit"] == "2", "days"]) == {365.0, 366.0} - {366.0}
    assert set(cohort.table.loc[cohort.table["visit"] == "1", "days"]) == {0.0}


def test_pixels_keep_their_bits(cohort, messy):
    private = messy.out.with_name("cohort-private")
    origin = {row["file_name"]: row["file"] for row in records(private / "files.csv")}
    for row in cohort.table.to_dict("records"):
        stored = np.asarray(Image.open(messy.source / origin[row["file_name"]]))
        assert np.array_equal(cohort.stored(row), stored)
    assert Counter(cohort.stored(row).dtype for row in cohort.table.to_dict("records")) == {
        np.dtype("u1"): 12,
        np.dtype("u2"): 10,
    }


def test_splits_are_by_patient_and_the_same_for_any_salt(cohort, messy):
    assert cohort.table.groupby("patient")["split"].nunique().max() == 1
    again = import_cohort(
        messy.model_copy(update={"out": messy.out.with_name("again"), "salt": "other"})
    )
    assert again.table["split"].tolist() == cohort.table["split"].tolist()
    assert again.fingerprint == cohort.fingerprint
    assert set(again.table["patient"]).isdisjoint(cohort.table["patient"])
    shuffled = import_cohort(
        messy.model_copy(update={"out": messy.out.with_name("seed"), "seed": 1})
    )
    assert shuffled.table["split"].tolist() != cohort.table["split"].tolist()


# --- what stays out -------------------------------------------------------------------------------


def test_nothing_that_identifies_is_in_the_cohort(cohort):
    text = everything_in(cohort.folder)
    for identity in ("CASE_", "Jörg", "Müller", "2000", "10.03"):
        assert identity not in text
    assert "Name" in cohort.info.deidentification.columns_left_out


def test_the_mapping_lies_beside_and_only_its_owner_reads_it(cohort, messy):
    private = messy.out.with_name("cohort-private")
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private.iterdir())
    salt = (private / "salt.txt").read_text().strip()
    mapping = {row["patient"]: row["pseudonym"] for row in records(private / "patients.csv")}
    assert mapping == {f"CASE_{n:04d}": pseudonym(salt, f"CASE_{n:04d}") for n in (*range(10), 100)}
    assert set(mapping.values()) == set(cohort.table["patient"])
    rejected = {row["file"]: row["sentence"] for row in records(private / "rejected.csv")}
    assert rejected["copy.png"] == "the same pixels as batch0/CASE_0000_0.png"
    assert "CASE_0777_0.png" in rejected


def test_a_second_import_to_the_same_place_keeps_the_pseudonyms(cohort, messy):
    names = cohort.table["patient"].tolist()
    shutil.rmtree(cohort.folder)
    assert import_cohort(messy).table["patient"].tolist() == names


@pytest.mark.parametrize(
    "line", ["visit: Bild", "keep: [Bild]", "stage: Fall-Nr", "keep: [Fall-Nr]"]
)
def test_columns_that_carry_ids_cannot_stay(messy, line):
    with open(messy.map, "a") as handle:
        handle.write(f"\n{line}\n")
    messy.map.write_text(
        messy.map.read_text().replace(
            "keep: [Score]\n", "" if line.startswith("keep") else "keep: [Score]\n"
        )
    )
    with pytest.raises(
        OptionError,
        match=r"the column '(Bild|Fall-Nr)' (carries patient ids|tells who the patients are)",
    ):
        import_cohort(messy)


# --- interruption ---------------------------------------------------------------------------------


@pytest.fixture
def reads(tmp_path_factory, monkeypatch):
    """Names of the files that were read since the last call, whichever process read them."""
    told = tmp_path_factory.mktemp("told") / "reads.txt"
    real = image_readers.read

    def noted(path, **asked):
        with open(told, "a") as handle:
            handle.write(f"{path.name}\n")
        return real(path, **asked)

    def since() -> list[str]:
        names = told.read_text().split("\n")[:-1] if told.exists() else []
        told.unlink(missing_ok=True)
        return names

    monkeypatch.setattr(image_readers, "read", noted)
    return since


def test_an_interrupted_import_continues(messy, reads):
    def stopping(done, total):
        if done == 8:
            raise KeyboardInterrupt

    one_at_a_time = messy.model_copy(update={"workers": 1})
    with pytest.raises(KeyboardInterrupt):
        import_cohort(one_at_a_time, stopping)
    before = reads()
    partial = messy.out.with_name(".cohort.partial")
    assert not messy.out.exists() and not messy.out.with_name("cohort-private").exists()
    assert stat.S_IMODE(partial.stat().st_mode) == 0o700
    progress: list[tuple[int, int]] = []
    cohort = import_cohort(one_at_a_time, lambda done, total: progress.append((done, total)))
    resumed = reads()
    assert len(cohort.table) == 22
    assert 8 <= len(before) <= 9 and len(resumed) == 17 and set(before[:8]).isdisjoint(resumed)
    assert progress[0] == (9, 25) and progress[-1] == (25, 25)
    assert not partial.exists()
    assert sorted(path.name for path in messy.out.parent.iterdir()) == [
        "Klinik",
        "cohort",
        "cohort-private",
        "map.yaml",
    ]
    untouched = import_cohort(messy.model_copy(update={"out": messy.out.with_name("other")}))
    assert untouched.fingerprint == cohort.fingerprint


def test_other_options_do_not_reuse_the_unfinished_work(messy, reads, monkeypatch):
    partial = messy.out.with_name(".cohort.partial")
    with monkeypatch.context() as patch:
        patch.setattr(
            "latentdrift.data.importing.importer.publish",
            lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            import_cohort(messy)
    with open(partial / "progress.jsonl", "a") as handle:
        handle.write('["cut off')
    reads()
    cohort = import_cohort(messy.model_copy(update={"window": "0,100"}))
    assert len(reads()) == 25
    assert set(cohort.table["window_high"]) == {100.0}


def test_a_decoder_that_fails_in_any_way_stops_nothing(messy, monkeypatch):
    real = image_readers.read

    def failing(path, **asked):
        if path.name.startswith("CASE_0004"):
            raise ZeroDivisionError("in a codec")
        return real(path, **asked)

    monkeypatch.setattr(image_readers, "read", failing)
    cohort = import_cohort(messy)
    assert len(cohort.table) == 20
    assert cohort.info.rejected_by_reason["unreadable"] == 2


# --- other sources --------------------------------------------------------------------------------


def test_a_folder_per_class_without_patients(tmp_path):
    for label in ("cat scan", "dog"):
        for number in range(12):
            save(tmp_path / "in" / label / f"{number}.jpg", scan(number + 50 * (label == "dog")))
        noisy = np.clip(scan(50 * (label == "dog")).astype(int) + 3, 0, 255).astype(np.uint8)
        save(tmp_path / "in" / label / "again.png", noisy)  # a near-copy of number 0
    cohort = import_cohort(
        ImportOptions(source=tmp_path / "in", out=tmp_path / "c", preset="imagefolder")
    )
    assert rows_of(cohort.attributes) == {
        "label": {"type": "category", "vocabulary": ["cat scan", "dog"]}
    }
    assert cohort.table["patient"].isna().all()
    assert cohort.info.split.by == "near-duplicate group"
    assert cohort.info.split.stratified_by == "label"
    assert cohort.info.split.notes[0].startswith(
        "No image has a patient id. The split is by groups: all 26 images form 24,"
    )
    assert cohort.rows("test")["label"].nunique() == 2
    origin = {
        row["file"]: row["file_name"] for row in records(tmp_path / "c-private" / "files.csv")
    }
    split = dict(zip(cohort.table["file_name"], cohort.table["split"], strict=True))
    for label in ("cat scan", "dog"):
        assert split[origin[f"{label}/0.jpg"]] == split[origin[f"{label}/again.png"]]


def test_one_folder_of_pictures_without_anything(tmp_path):
    save(tmp_path / "in" / "a.png", scan(0))
    cohort = import_cohort(ImportOptions(source=tmp_path / "in", out=tmp_path / "c"))
    assert cohort.attributes == {} and len(cohort.table) == 1
    assert len(cohort.info.split.notes) == 3  # no ids; validation and test are empty


def dicom(path: Path, patient: str, date: str, number: int) -> None:
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.PatientID = patient
    dataset.StudyDate = date
    dataset.PatientName = "Secret^Sue"
    for keyword in ("SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, date)
    dataset.SOPInstanceUID = f"1.2.3.4.5.{number}"
    pixels = dataset.pixel_array.copy()
    pixels[: number + 1] = 40
    dataset.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)


def test_a_dicom_tree_meets_its_table_by_patient_and_date(tmp_path):
    moments = [
        ("MRN-445566", "20010101"),
        ("MRN-445566", "20010221"),
        ("MRN-778899", "19990101"),
        ("MRN-000001", "20000101"),
    ]
    for number, (patient, date) in enumerate(moments):
        dicom(tmp_path / "in" / patient / f"{date}.dcm", patient, date, number)
    (tmp_path / "t.csv").write_text(
        "PatientID,When,Stage\nMRN-445566,2001-01-01,I\nMRN-445566,2001-02-21,II\nMRN-778899,1999-01-01,III\nMRN-5,1999-01-01,IV\n"
    )
    (tmp_path / "m.yaml").write_text("patient: PatientID\ndate: When\nstage: Stage\n")
    options = ImportOptions(
        source=tmp_path / "in",
        out=tmp_path / "c",
        table=tmp_path / "t.csv",
        map=tmp_path / "m.yaml",
        keep=("KVP",),
    )
    cohort = import_cohort(options)
    assert cohort.table["stage"].tolist() == ["I", "II", "III"]
    assert cohort.table["days"].tolist() == [0, 51, 0]
    assert cohort.table["visit"].tolist() == ["1", "2", "1"]
    assert cohort.info.rejected_by_reason == {"no row in the table": 1}
    assert cohort.info.table.rows_without_file == 1
    assert "kvp" in {name.lower() for name in cohort.info.kept}
    assert cohort.describe == "CT scan"
    assert cohort.table["view"].tolist() == ["axial"] * 3
    text = everything_in(cohort.folder)
    for identity in ("Secret", "MRN", "445566", "1999", "2001", "1.2.3.4"):
        assert identity not in text
    row = cohort.table.to_dict("records")[0]
    hounsfield = row["window_low"] + cohort.stored(row) / 65535 * (
        row["window_high"] - row["window_low"]
    )
    image = image_readers.read(tmp_path / "in" / "MRN-445566" / "20010101.dcm")[0]
    assert np.allclose(
        hounsfield,
        np.clip(image.pixels, *image.range),
        atol=(row["window_high"] - row["window_low"]) / 65535,
    )


def test_volumes_give_a_slice_and_say_their_plane(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        nibabel.save(
            nibabel.Nifti1Image(
                rng.normal(size=(20, 24, 28)).astype(np.float32), np.diag([1, 2, 3, 1])
            ),
            tmp_path / f"{name}.nii.gz",
        )
    nibabel.save(
        nibabel.Nifti1Image(rng.normal(size=(8, 8, 8, 5)).astype(np.float32), np.eye(4)),
        tmp_path / "four.nii",
    )
    cohort = import_cohort(
        ImportOptions(source=tmp_path, out=tmp_path / "out" / "c", plane="axial")
    )
    assert cohort.table["view"].tolist() == ["axial", "axial"]
    assert cohort.table[["row_mm", "col_mm"]].to_numpy().tolist() == [[2, 1], [2, 1]]
    assert cohort.info.rejected_by_reason == {"4-D": 1}


# --- bad input ------------------------------------------------------------------------------------


def test_volumes_without_a_plane_say_what_to_give(tmp_path):
    (tmp_path / "in").mkdir()
    volume = nibabel.Nifti1Image(
        np.random.default_rng(0).normal(size=(6, 7, 8)).astype(np.float32), np.eye(4)
    )
    nibabel.save(volume, tmp_path / "in" / "a.nii")
    with pytest.raises(
        CohortError, match=r"1 no plane; no cohort was made; a volume needs `plane` axial, coronal"
    ):
        import_cohort(ImportOptions(source=tmp_path / "in", out=tmp_path / "c"))


def test_an_import_of_nothing_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    options = ImportOptions(source=tmp_path / "in", out=tmp_path / "c")
    with pytest.raises(InputError, match="holds no files; give a folder with PNG"):
        import_cohort(options)
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "b.png").write_bytes(b"")
    with pytest.raises(
        CohortError, match=r"nothing was taken from .*: 1 not an image, 1 empty; no cohort was made"
    ):
        import_cohort(options)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"source": Path("/nowhere/at/all")},
            InputError,
            "does not exist; give a folder or file of images",
        ),
        ({"table": Path("/nowhere.csv")}, InputError, "check `table`"),
        ({"preset": "oasis2"}, OptionError, "give one of them"),
        (
            {"preset": "oasis2", "map": None, "table": None},
            InputError,
            r"no table named oasis_longitudinal_demographic\* lies in",
        ),
        ({"table": None}, OptionError, "give the table with `table`"),
        ({"split": (0.5, 0.1, 0.1)}, OptionError, "sums to 0.7; it must sum to 1"),
        (
            {"stratify": "colour"},
            OptionError,
            "unknown attribute to stratify by 'colour'; known: age, findings",
        ),
        ({"keep": ("Scor",)}, OptionError, "unknown field to keep 'Scor'.*did you mean 'Score'"),
        ({"window": "wide"}, OptionError, "the window 'wide' is none of"),
    ],
)
def test_bad_options_get_a_sentence_and_leave_nothing(messy, change, error, message):
    with pytest.raises(error, match=message):
        import_cohort(messy.model_copy(update=change))
    assert not messy.out.exists() and not messy.out.with_name("cohort-private").exists()


def test_a_folder_in_use_is_left_alone(messy):
    messy.out.mkdir()
    (messy.out / "thesis.doc").write_text("x")
    with pytest.raises(CohortError, match="exists and is not empty"):
        import_cohort(messy)
    assert [path.name for path in messy.out.iterdir()] == ["thesis.doc"]


def test_a_small_disk_is_noticed_before_work_starts(messy, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 1000))
    with pytest.raises(
        ResourceError,
        match=(
            r"needs about \d+ MB and 0 MB are free at .*; free some space or choose another "
            r"`out`"
        ),
    ):
        import_cohort(messy)
    assert not messy.out.with_name(".cohort.partial").exists()


def test_a_survey_reads_no_pixels(messy, monkeypatch):
    monkeypatch.setattr(image_readers, "read", None)
    found = survey(prepare(messy), messy)
    assert (found["files"], found["files_with_a_row"], found["table_rows"]) == (29, 25, 26)
    assert found["files_to_read"] == 24 and found["rows_without_file"] == 1
    assert found["files_left_out"] == {"not an image": 2, "no row in the table": 2, "empty": 1}
    assert not messy.out.exists()


# --- real data


@needs_data
def test_oasis2_goes_in_with_one_command(tmp_path):
    cohort = import_cohort(
        ImportOptions(source=DATA / "oasis2", out=tmp_path / "c", preset="oasis2", plane="axial")
    )
    assert len(cohort.table) == 243 and cohort.table["patient"].nunique() == 100
    assert cohort.info.rejected_by_reason == {"other plane": 246}
    assert cohort.info.table.rows_without_file == 3
    assert set(cohort.attributes["diagnosis"].words) == {"dementia", "no dementia"}
    assert set(cohort.info.kept) == {"group", "nwbv", "mmse"}
    assert cohort.table["age"].between(60, 98).all() and set(cohort.table["view"]) == {"axial"}
    assert "OAS2" not in everything_in(cohort.folder)
    assert cohort.table.groupby("patient")["split"].nunique().max() == 1
    row = cohort.table.to_dict("records")[0]
    original = np.asanyarray(
        nibabel.load(DATA / "oasis2" / "axial" / "OAS2_0001_MR1_axl.nii.gz").dataobj
    ).squeeze()
    stored = np.rint(
        row["window_low"]
        + cohort.stored(row)
        / np.iinfo(cohort.stored(row).dtype).max
        * (row["window_high"] - row["window_low"])
    )
    assert sorted(stored.ravel()) == sorted(original.ravel().astype(float))


@needs_data
def test_the_nih_sample_goes_in_with_one_command(tmp_path):
    cohort = import_cohort(
        ImportOptions(source=DATA / "nih1000", out=tmp_path / "c", preset="nih-chestxray14")
    )
    assert len(cohort.table) == 708 and cohort.table["patient"].nunique() == 179
    assert cohort.info.rejected == []
    assert len(cohort.attributes["findings"].words) == 15
    assert set(cohort.table["view"]) == {"AP", "PA"}


def test_the_official_nih_table_is_understood(tmp_path):
    save(tmp_path / "images_001" / "images" / "00000001_000.png", scan(0))
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View "
        "Position,OriginalImage[Width,Height],"
        "OriginalImagePixelSpacing[x,y],\n00000001_000.png,Cardiomegaly|Emphysema,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
        "00000002_000.png,No Finding,0,2,413,M,PA,2500,2048,0.171,0.171,\n"
    )
    cohort = import_cohort(
        ImportOptions(source=tmp_path, out=tmp_path / "c", preset="nih-chestxray14")
    )
    row = cohort.table.iloc[0]
    assert (row["age"], row["sex"], row["findings"], row["visit"], row["view"]) == (
        58,
        "M",
        "Cardiomegaly|Emphysema",
        "0",
        "PA",
    )
    assert cohort.info.table.rows_without_file == 1 and cohort.info.table.cells == {}


@needs_data
def test_a_dicom_tree_goes_in_and_one_plane_of_it_can_be_asked_for(tmp_path):
    whole = import_cohort(ImportOptions(source=DATA / "ct-dicom", out=tmp_path / "whole"))
    assert len(whole.table) == 30 and whole.table["patient"].nunique() == 5
    assert Counter(whole.table["view"]) == {"axial": 10, "coronal": 10, "sagittal": 10}
    axial = import_cohort(
        ImportOptions(source=DATA / "ct-dicom", out=tmp_path / "axial", plane="axial")
    )
    assert set(axial.table["view"]) == {"axial"} and axial.info.rejected_by_reason == {
        "other plane": 20
    }
    assert not any(
        name in everything_in(whole.folder) for name in ("A002304", "A048383", "1900", "1.3.6.1")
    )


@pytest.mark.slow  # the search among images like these is in data/images/test_near_duplicates.py
@needs_data
def test_a_class_folder_of_brain_tumours_goes_in(tmp_path):
    cohort = import_cohort(
        ImportOptions(source=DATA / "brain-tumour", out=tmp_path / "c", preset="imagefolder")
    )
    assert len(cohort.table) == 581 and cohort.info.rejected_by_reason == {"duplicate": 19}
    assert cohort.attributes["label"].words == [
        "glioma",
        "meningioma",
        "notumor",
        "pituitary",
    ]


def test_a_cohort_is_itself_a_source(cohort, tmp_path):
    again = import_cohort(
        ImportOptions(
            source=cohort.folder, out=tmp_path / "again", table=cohort.folder / "metadata.csv"
        )
    )
    assert sorted(again.table["sha256"]) == sorted(cohort.table["sha256"])
    assert np.array_equal(again.table["age"], cohort.table["age"], equal_nan=True)
    assert json.loads((again.folder / "cohort.json").read_text())["rejected_by_reason"] == {
        "not an image": 1
    }
    assert Cohort.load(again.folder).table["findings"].tolist() == cohort.table["findings"].tolist()


def test_a_single_file_is_a_source(tmp_path):
    save(tmp_path / "a.png", scan(3))
    assert (
        len(import_cohort(ImportOptions(source=tmp_path / "a.png", out=tmp_path / "c")).table) == 1
    )


def test_compressed_volumes_that_end_early_are_truncated(tmp_path):
    nibabel.save(
        nibabel.Nifti1Image(
            np.random.default_rng(0).normal(size=(20, 20)).astype(np.float32), np.eye(4)
        ),
        tmp_path / "a.nii.gz",
    )
    (tmp_path / "b.nii.gz").write_bytes((tmp_path / "a.nii.gz").read_bytes()[:700])
    (tmp_path / "c.gz").write_bytes(gzip.compress(b"text"))
    cohort = import_cohort(ImportOptions(source=tmp_path, out=tmp_path / "out"))
    assert len(cohort.table) == 1
    assert [
        entry.reason in ("truncated", "damaged", "not an image") for entry in cohort.info.rejected
    ] == [True, True]


# --------------------------------------------------------------------------------------


def taken_from(tmp_path: Path, **options) -> Cohort:
    return import_cohort(
        ImportOptions(source=tmp_path / "in", out=tmp_path / "cohort", workers=1, **options)
    )


def test_a_blank_picture_is_refused_by_name_and_the_others_are_taken(tmp_path):
    (tmp_path / "in").mkdir()
    window = {"WindowCenter": "30", "WindowWidth": "100"}
    for name, base in (("seen", 0), ("white", 991)):
        dicoms.saved(
            tmp_path / "in" / f"{name}.dcm",
            (base + np.arange(48).reshape(6, 8)).astype(np.uint16),
            **window,
        )
    cohort = taken_from(tmp_path)
    assert len(cohort.table) == 1 and cohort.info.rejected_by_reason == {"blank": 1}
    assert "white.dcm" in (tmp_path / "cohort-private" / "rejected.csv").read_text()


def test_objects_that_are_no_scans_are_left_out_unless_asked_for(tmp_path):
    (tmp_path / "in").mkdir()
    kinds = {"scan": {}, "scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}}
    for number, (name, values) in enumerate(kinds.items()):
        dicoms.saved(
            tmp_path / "in" / name,
            np.arange(48).reshape(6, 8).astype(np.uint16) * (number + 1),
            **values,
        )
    cohort = taken_from(tmp_path)
    assert len(cohort.table) == 1 and cohort.info.rejected_by_reason == {"localizer": 1}
    shutil.rmtree(tmp_path / "cohort")
    assert len(taken_from(tmp_path, include=("localizer",)).table) == 2
