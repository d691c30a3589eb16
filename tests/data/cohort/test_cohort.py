"""A cohort is what the disk says: exact pixels, typed tables, whole or not at all, and readable by
Hugging Face `datasets`."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from specs import rows_of

from latentdrift.attributes.specification import Attribute
from latentdrift.data.cohort.cohort import (
    COLUMNS,
    Cohort,
    background,
    lost_files,
    quantise,
    write_cohort,
)
from latentdrift.errors import CohortError, OptionError

RNG = np.random.default_rng(0)
EIGHT = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
SIXTEEN = RNG.integers(0, 65536, (24, 24), dtype=np.uint16)
COLOUR = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)


def items():
    common = {"patient": "p-1", "visit": "1", "row_mm": 1.0, "col_mm": 1.0}
    yield (
        EIGHT,
        {
            **common,
            "age": 70.0,
            "sex": "F",
            "findings": "Mass|Nodule",
            "split": "train",
            "diagnosis": "dementia",
            "mmse": 30,
        },
    )
    yield (
        SIXTEEN,
        {
            **common,
            "age": None,
            "split": "test",
            "window_low": -1000.0,
            "window_high": 400.0,
            "diagnosis": "no dementia",
            "mmse": 12.5,
        },
    )
    yield COLOUR, {"age": 81.25, "sex": "M", "findings": "No Finding", "split": "validation"}


@pytest.fixture
def cohort(tmp_path):
    return write_cohort(
        tmp_path / "made", items(), {"describe": "chest X-ray", "kept": ["mmse"], "note": "x"}
    )


def test_pixels_come_back_exactly(cohort):
    rows = cohort.table.to_dict("records")
    for row, pixels in zip(rows, (EIGHT, SIXTEEN, COLOUR), strict=True):
        stored = cohort.stored(row)
        assert stored.dtype == pixels.dtype and (stored == pixels).all()
        x = cohort.pixels(row)
        assert x.dtype == np.float32 and x.min() >= -1 and x.max() <= 1
        top = np.iinfo(pixels.dtype).max
        assert (
            np.rint((x.astype(np.float64) + 1) / 2 * top).astype(pixels.dtype).tolist()
            == pixels.tolist()
        )


FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "'=1",
    "''=x",
    "++",
    "-",
    "-5",
    "a\nb",
    "a\u202eb",
    "Zo\u0308e",
    "'tis",
]


def test_spreadsheets_run_no_cell_and_cells_come_back_as_they_were(tmp_path):
    pixels = np.zeros((8, 8), np.uint8)
    images = [
        (pixels + i, {"note": text, "crp": math.inf if i else 1.5})
        for i, text in enumerate(FORMULAS)
    ]
    cohort = write_cohort(tmp_path / "c", images, {"describe": "x", "kept": ["note", "crp"]})
    with open(tmp_path / "c" / "metadata.csv", newline="", encoding="utf-8") as handle:
        written = [row["note"] for row in csv.DictReader(handle)]
    assert written[:8] == [f"'{text}" for text in FORMULAS[:6]] + ["++", "-"]
    assert not any("\n" in cell or "\u202e" in cell for cell in written)
    assert cohort.table["note"].tolist() == [*FORMULAS[:9], "a b", "ab", "Zöe", "'tis"]
    assert cohort.table["crp"].dropna().tolist() == [1.5] and cohort.info.kept["crp"].high == 1.5


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "/etc/secret.png",
        "images/../../secret.png",
        "..\\secret.png",
        "C:/x.png",
        "link.png",
    ],
)
def test_a_table_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    cohort = write_cohort(tmp_path / "c", [(np.zeros((8, 8), np.uint8), {})], {"describe": "x"})
    shutil.copy(cohort.folder / "images" / "000000.png", tmp_path / "secret.png")
    (cohort.folder / "link.png").symlink_to(tmp_path / "secret.png")
    path = cohort.folder / "metadata.csv"
    path.write_text(path.read_text().replace("images/000000.png", name))
    with pytest.raises(CohortError, match="names a file outside of its folder"):
        Cohort.load(cohort.folder)


def test_tables_are_typed_and_missing_stays_missing(cohort):
    assert list(cohort.table.columns) == [*COLUMNS, "diagnosis", "mmse"]
    assert cohort.table["age"].dtype == float and np.isnan(cohort.table["age"][1])
    assert cohort.table["sex"].tolist() == ["F", None, "M"]
    assert cohort.table["visit"].tolist() == ["1", "1", None]
    text = (cohort.folder / "metadata.csv").read_text()
    assert text.splitlines()[1].startswith(
        "images/000000.png,p-1,1,,70,F,Mass|Nodule,,,train,1,1,0,255,"
    )
    assert cohort.rows("test").index.tolist() == [1]
    assert len(cohort.rows()) == 3


def test_attributes_have_types_words_and_units(cohort):
    assert cohort.describe == "chest X-ray"
    assert rows_of(cohort.attributes) == {
        "age": {"type": "number", "low": 70.0, "high": 81.25, "unit": "years"},
        "sex": {"type": "category", "vocabulary": ["F", "M"]},
        "findings": {"type": "findings", "vocabulary": ["Mass", "No Finding", "Nodule"]},
        "diagnosis": {"type": "category", "vocabulary": ["dementia", "no dementia"]},
    }
    assert cohort.info.kept == {"mmse": Attribute(type="number", low=12.5, high=30.0)}
    assert cohort.info.model_extra == {"note": "x"} and cohort.info.splits == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }


def test_a_batch_is_padded_with_background_and_grey_is_repeated(tmp_path):
    wide = np.full((10, 20), 40, np.uint8)
    wide[4:6, 8:12] = 255
    square = np.zeros((20, 20, 3), np.uint8)
    square[..., 0] = 255
    tall_pixels = {
        "row_mm": 2.0,
        "col_mm": 1.0,
    }  # 10 rows of 2 mm are as long as 20 columns of 1 mm: no padding
    cohort = write_cohort(tmp_path / "c", [(wide, {}), (square, {}), (wide, tall_pixels)], {})
    batch = cohort.batch(cohort.rows(), 20)
    assert batch.shape == (3, 3, 20, 20) and batch.dtype == np.float32
    grey = 40 / 255 * 2 - 1
    assert np.allclose(batch[0, :, :5], grey) and np.allclose(batch[0, :, 15:], grey)
    assert np.allclose(batch[0, 0, 5:15], cohort.pixels(cohort.table.loc[0]), atol=1e-6)
    assert (batch[0, 0] == batch[0, 2]).all()
    assert np.allclose(batch[1, 0], 1) and np.allclose(batch[1, 1:], -1)
    assert (batch[2] > 0).any(axis=(0, 2)).sum() > (batch[0] > 0).any(axis=(0, 2)).sum()
    assert background(wide) == 40


def test_the_fingerprint_sees_pixels_and_attributes_and_not_names_or_order(tmp_path):
    made = list(items())
    one = write_cohort(tmp_path / "one", made, {}).fingerprint
    renamed = [
        (pixels, row | ({"patient": "p-2"} if "patient" in row else {}))
        for pixels, row in reversed(made)
    ]
    assert write_cohort(tmp_path / "two", renamed, {}).fingerprint == one
    older = [(pixels, row | {"age": 99.0}) for pixels, row in made]
    darker = [(pixels // 2, row) for pixels, row in made]
    assert (
        len(
            {
                one,
                write_cohort(tmp_path / "three", older, {}).fingerprint,
                write_cohort(tmp_path / "four", darker, {}).fingerprint,
            }
        )
        == 3
    )


def test_the_fingerprint_is_that_of_version_0_1(cohort):
    """SHA-256 of the description, the names of the columns and the sorted rows as JSON."""
    columns = ["sha256", "split", "age", "diagnosis", "findings", "sex"]
    rows = cohort.table.to_dict("records")
    texts = sorted(json.dumps([str(row[name]) for name in columns]) for row in rows)
    lines = "\n".join(["chest X-ray", *columns, *texts])
    assert cohort.fingerprint == hashlib.sha256(lines.encode()).hexdigest()
    assert "nan" in lines and "81.25" in lines and "None" in lines


def test_lost_files_are_named_once_and_links_within_the_folder_are_files(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    (tmp_path / "images" / "folder.png").mkdir()
    (tmp_path / "images" / "link.png").symlink_to("a.png")
    (tmp_path / "images" / "broken.png").symlink_to("nothing.png")
    there = ["images/a.png", "images/link.png"]
    lost = ["images/b.png", "other/a.png", "a.png", "images/folder.png", "images/broken.png"]
    assert [*lost_files(tmp_path, [*there, *lost, *there, *lost])] == lost


def test_a_cohort_appears_whole_or_not_at_all(tmp_path):
    def broken():
        yield EIGHT, {}
        raise RuntimeError("lights out")

    with pytest.raises(RuntimeError):
        write_cohort(tmp_path / "c", broken(), {})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CohortError, match="no images"):
        write_cohort(tmp_path / "c", [], {})
    (tmp_path / "c").mkdir()
    assert (
        len(write_cohort(tmp_path / "c", items(), {}).table) == 3
    )  # an empty folder may be filled
    with pytest.raises(CohortError, match="exists and is not empty; a cohort is never changed"):
        write_cohort(tmp_path / "c", items(), {})


def test_synthetic_pictures_say_so(tmp_path):
    cohort = write_cohort(tmp_path / "c", items(), {"synthetic": True})
    with Image.open(cohort.folder / "images/000000.png") as picture:
        assert "Synthetic" in picture.info
    assert cohort.info.synthetic is True


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: shutil.rmtree(f),
            "is not a cohort: it is no folder; make one with `latentdrift import",
        ),
        (lambda f: (f / "cohort.json").unlink(), "is not a cohort: it has no cohort.json"),
        (lambda f: (f / "metadata.csv").unlink(), "has lost its metadata.csv"),
        (
            lambda f: (f / "images/000001.png").unlink(),
            "has lost 1 of 3 images, the first images/000001.png",
        ),
        (lambda f: (f / "cohort.json").write_text("{"), "cohort.json is damaged"),
        (lambda f: (f / "cohort.json").write_text("{}"), "`format`: field required"),
        (lambda f: (f / "metadata.csv").write_text("file_name\n"), "has no column patient, visit"),
        (
            lambda f: (f / "cohort.json").write_text(
                (f / "cohort.json").read_text().replace('"format": 1', '"format": 7')
            ),
            "has format version 7 and 1 is needed",
        ),
    ],
)
def test_damage_gets_a_sentence(cohort, damage, message):
    damage(cohort.folder)
    with pytest.raises(CohortError, match=message):
        Cohort.load(cohort.folder)


@pytest.mark.parametrize(
    ("name", "cell", "allowed"),
    [
        ("file_name", "", "the name of an image"),
        ("window_low", "", "a number"),
        ("window_low", "NaN", "a number"),
        ("window_high", "x", "a number"),
        ("window_high", "-inf", "a finite number"),
        ("age", "1e400", "a finite number"),
        ("age", "99999999999999999999999", "an age of at most 1000 years"),
        ("age", "-1001", "an age of at most 1000 years"),
        ("mmse", "1e400", "a finite number"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named_with_its_row(cohort, name, cell, allowed):
    set_cell(cohort.folder, 1, name, cell)
    message = f"metadata.csv has '{cell}' as `{name}` in row 3, where {allowed} is needed; correct"
    with pytest.raises(CohortError, match=re.escape(message)):
        Cohort.load(cohort.folder)


@pytest.mark.parametrize(("cell", "age"), [("1000", 1000), ("", None), ("abc", None)])
def test_a_large_age_and_a_missing_one_are_read(cohort, cell, age):
    set_cell(cohort.folder, 1, "age", cell)
    ages = Cohort.load(cohort.folder).table["age"].tolist()
    assert [None if math.isnan(value) else value for value in ages] == [70, age, 81.25]


def set_cell(folder, position, name, cell):
    """Write a cell of metadata.csv."""
    table = pd.read_csv(folder / "metadata.csv", dtype=str, keep_default_na=False)
    table.loc[position, name] = cell
    table.to_csv(folder / "metadata.csv", index=False)


def test_damaged_pictures_and_unknown_splits_get_a_sentence(cohort):
    with pytest.raises(
        OptionError, match="unknown split 'training'; known: test, train, validation"
    ):
        cohort.rows("training")
    (cohort.folder / "images/000000.png").write_bytes(b"nothing")
    with pytest.raises(CohortError, match=r"000000.png cannot be read"):
        cohort.pixels(cohort.table.loc[0])
    Image.fromarray(EIGHT).convert("P").save(cohort.folder / "images/000000.png")
    with pytest.raises(CohortError, match="of mode P"):
        cohort.pixels(cohort.table.loc[0])


@settings(deadline=None, max_examples=50)
@given(low=st.integers(-2000, 0), width=st.integers(1, 60000), seed=st.integers(0, 9))
def test_whole_numbers_survive_sixteen_bits(low, width, seed):
    pixels = np.random.default_rng(seed).integers(low, low + width + 1, (8, 8)).astype(np.int32)
    stored, (start, end) = quantise(pixels, (low, low + width))
    assert stored.dtype == np.uint16
    assert (np.rint(start + stored / 65535 * (end - start)) == pixels).all()


def test_quantise_keeps_what_fits_and_clips_what_is_outside():
    assert quantise(EIGHT, (0, 255))[0] is EIGHT
    assert quantise(SIXTEEN, (0, 65535))[0] is SIXTEEN
    assert quantise(COLOUR, (0, 255))[0] is COLOUR
    stored, window = quantise(np.array([[-5.0, 0, 5, 10, np.nan]], dtype=np.float32), (0.0, 5.0))
    assert stored.tolist() == [[0, 0, 65535, 65535, 0]] and window == (0, 5)
    assert (
        quantise(np.full((2, 2, 3), 65535, np.uint16), (0, 65535))[0].tolist()
        == np.full((2, 2, 3), 255).tolist()
    )


def test_hugging_face_loads_it_as_an_imagefolder(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(cohort.folder), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert set(loaded.column_names) == {"image", *COLUMNS, "diagnosis", "mmse"} - {"file_name"}
    assert loaded["patient"] == ["p-1", "p-1", None]
    by_hash = {row["sha256"]: row for row in loaded}
    for row in cohort.table.to_dict("records"):
        assert np.array_equal(np.asarray(by_hash[row["sha256"]]["image"]), cohort.stored(row))
    assert by_hash[cohort.table["sha256"][0]]["age"] == 70
    assert json.loads((cohort.folder / "cohort.json").read_text())["images"] == len(loaded)
