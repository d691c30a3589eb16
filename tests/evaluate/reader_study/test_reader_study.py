"""A reader study: nothing but the pictures tells the kinds apart, and scores are those of known
readers."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from reader_answers import N, csv, images

from latentdrift import config, service
from latentdrift.cli import main
from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.reader_study.reader_score import read_key
from latentdrift.evaluate.reader_study.reader_study import StudyKey, choose, write_study


def test_both_kinds_are_shown_shuffled_and_no_patient_twice(study: tuple[Path, StudyKey]) -> None:
    _, key = study
    kinds = [item.kind for item in key.items]
    assert (
        kinds.count("real") == kinds.count("synthetic") == N
        and "real" in kinds[:8]
        and "synthetic" in kinds[:8]
    )
    real = [item for item in key.items if item.kind == "real"]
    assert len({int(item.name.removeprefix("secret")) % 40 for item in real}) == N
    by_kind = (
        pd.DataFrame([item.model_dump() for item in key.items]).groupby(["kind", "group"]).size()
    )
    assert by_kind["real"].to_dict() == by_kind["synthetic"].to_dict()


def test_the_page_gives_nothing_away_and_needs_no_network(study: tuple[Path, StudyKey]) -> None:
    folder, key = study
    html = (folder / "page" / "study.html").read_text()
    assert (
        "secret" not in html
        and "sex" not in html
        and "http" not in re.sub(r"data:[^\"]*", "", html)
    )
    pictures = [
        base64.b64decode(found)
        for found in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html)
    ]
    assert len(pictures) == 2 * N and sorted(path.name for path in (folder / "page").iterdir()) == [
        "study.html"
    ]
    for picture in pictures:
        opened = Image.open(io.BytesIO(picture))
        assert (opened.mode, opened.size, opened.info) == ("L", (8, 8), {})
        assert set(re.findall(rb"IHDR|IDAT|IEND|tEXt|iTXt|eXIf|tIME", picture)) == {
            b"IHDR",
            b"IDAT",
            b"IEND",
        }
    brightest = [np.asarray(Image.open(io.BytesIO(picture))).max() for picture in pictures]
    assert all(
        (bright < 130) == (item.kind == "real")
        for bright, item in zip(brightest, key.items, strict=True)
    )


def test_the_same_seed_is_the_same_study_and_another_is_not() -> None:
    first, same, other = (
        choose(images(40, 0.5), images(40, 1.0), 10, None, seed) for seed in (1, 1, 2)
    )
    assert (
        [item.name for item in first]
        == [item.name for item in same]
        != [item.name for item in other]
    )


def test_a_study_that_would_be_unfair_is_refused(
    study: tuple[Path, StudyKey], tmp_path: Path
) -> None:
    folder, _ = study
    real = images(8, 0.5, patients=2)
    made = images(8, 1.0)
    with pytest.raises(
        InputError, match="4 images of each kind are requested, but there are 2 real patients"
    ):
        choose(real, made, 4, None, 0)
    with pytest.raises(InputError, match="differ in size"):
        choose(real, EvaluationImages(np.zeros((4, 9, 9, 3))), 1, None, 0)
    with pytest.raises(OptionError, match="`by=view`: the real images"):
        choose(real, made, 1, "view", 0)
    with pytest.raises(InputError, match="beside the page"):
        write_study(
            tmp_path, choose(real, made, 1, None, 0), tmp_path / "key.json", by=None, seed=0
        )
    with pytest.raises(InputError, match="is there already"):
        write_study(
            folder / "page", choose(real, made, 1, None, 0), folder / "other.json", by=None, seed=0
        )


def test_the_verbs(tiny_cohort_folder: Path, tmp_path: Path) -> None:
    asked = {
        "real": tiny_cohort_folder,
        "synthetic": tiny_cohort_folder,
        "out": tmp_path / "page",
        "n": 2,
        "split": None,
    }
    made = service.run("reader make", config.ReaderMakeOptions(**asked), quiet=True)
    assert made["key"] == str(tmp_path / "page-key.json") and made["images"] == 4
    key = read_key(Path(made["key"]))
    answers = csv(tmp_path / "anna.csv", key, key.truth)
    assert (
        main.main(
            [
                "reader",
                "score",
                "--answers",
                str(answers),
                "--key",
                made["key"],
                "--out",
                str(tmp_path / "score.json"),
            ]
        )
        == 0
    )
    assert json.loads((tmp_path / "score.json").read_text())["readers"]["anna"]["accuracy"] == 1
