"""What a new user reads after an import: joined spellings, ages read from text, class folders, ages
of 0."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdrift.attributes.ages import AgeError, parse_age
from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.importing.finalize import summary
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.tables.spellings import unite_spellings
from latentdrift.prompts.phrases import NO_FINDING

CELLS = [
    ("Glioma", "45", "Effusion|nodule"),
    ("GLIOMA", ">89", "effusion"),
    ("glioma ", "24M", "Effusion"),
    ("Glioma", ">89", ""),
    ("Menin\u0067ioma", "0", "Nodule|nodule"),
    ("no  tumour", "0Y", ""),
    ("no tumour", "7", ""),
    ("No tumour", "8", ""),
]


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24), dtype=np.uint8)).save(
        path
    )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("spellings")
    lines = ["file,patient,diagnosis,age,findings,mask"]
    for number, (word, age, findings) in enumerate(CELLS):
        picture(folder / "in" / f"{number}.png", number)
        lines.append(f"{number}.png,P{number},{word},{age},{findings},{'Mm'[number % 2]}.png")
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    options = ImportOptions(
        source=folder / "in", table=folder / "table.csv", out=folder / "c", keep=("mask",)
    )
    return import_cohort(options)


def test_one_word_is_one_category(cohort: Cohort) -> None:
    assert cohort.attributes["diagnosis"].words == ["Glioma", "Meningioma", "no tumour"]
    assert cohort.table["findings"].tolist()[:3] == ["Effusion|nodule", "Effusion", "Effusion"]
    assert cohort.table["findings"].tolist()[4] == "nodule"


def test_kept_columns_may_hold_file_names_and_stay(cohort: Cohort) -> None:
    assert set(cohort.table["mask"]) == {"M.png", "m.png"}


def test_the_joined_spellings_and_the_read_ages_are_named(cohort: Cohort) -> None:
    told = " ".join(summary(cohort.info))
    assert (
        "'GLIOMA' (1), 'Glioma' (2), 'glioma' (1) of diagnosis differ only by case, blanks or "
        "Unicode form" in told
    )
    assert "count as 'Glioma'" in told
    assert "Ages read from text: '>89' as 90 (2), '24M' as 2 (1)." in told


def test_unicode_forms_are_one_word() -> None:
    images = [{"site": "Köln"}, {"site": "Ko\u0308ln"}, {"site": "Köln"}]
    assert len(unite_spellings(images, ("site",))) == 1
    assert {image["site"] for image in images} == {"Köln"}
    assert unite_spellings(images, ("site",)) == []


def test_an_age_of_0_years_with_its_unit_is_left_out_and_a_bare_0_is_an_infant(
    cohort: Cohort,
) -> None:
    ages = cohort.table["age"].tolist()
    assert ages[4] == 0 and np.isnan(ages[5])


@pytest.mark.parametrize("unit", ["years", None])
@pytest.mark.parametrize("text", ["000D", "000M", "0 days", "000W"])
def test_a_newborn_is_0_in_tables_and_headers(text: str, unit: str | None) -> None:
    assert parse_age(text, unit) == 0


@pytest.mark.parametrize("unit", ["years", None])
@pytest.mark.parametrize("text", ["000Y", "0Y", "0 years"])
def test_0_years_is_no_age_in_tables_and_headers(text: str, unit: str | None) -> None:
    with pytest.raises(AgeError, match="stands for no age"):
        parse_age(text, unit)


@pytest.mark.parametrize(("folders", "named"), [(("a", "b"), True), (("a",), False)])
def test_class_folders_without_a_table_name_the_preset(
    tmp_path: Path, folders: tuple[str, ...], named: bool, caplog: pytest.LogCaptureFixture
) -> None:
    for place, folder in enumerate(folders):
        for number in range(3):
            picture(tmp_path / "in" / folder / f"{number}.png", 10 * place + number)
    with caplog.at_level(logging.WARNING):
        import_cohort(ImportOptions(source=tmp_path / "in", out=tmp_path / "c"))
    assert ("did you mean `preset=imagefolder`?" in caplog.text) == named


def test_words_for_no_finding_are_in_lower_case() -> None:
    assert all(word == word.casefold() for word in NO_FINDING)
    assert {"normal", "no abnormality", "ohne befund"} <= set(NO_FINDING)
