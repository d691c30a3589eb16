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
from scipy.stats import binomtest

from latentdrift import config, service
from latentdrift.cli import main
from latentdrift.errors import InputError, OptionError
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.evaluate.reader_study.reader_score import read_answers, read_key, score
from latentdrift.evaluate.reader_study.reader_study import choose, write_study
from latentdrift.resampling import Resampling

N = 20


def images(n: int, level: float, patients: int | None = None) -> EvaluationImages:
    rng = np.random.default_rng(int(level * 10))
    grey = np.repeat(rng.uniform(0, level, (n, 8, 8, 1)), 3, -1)
    table = pd.DataFrame({"sex": ["F", "M", "M", "M"] * (n // 4)})
    return EvaluationImages(
        grey,
        [f"p{i % patients}" for i in range(n)] if patients else None,
        [f"secret{i}" for i in range(n)],
        table,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("reader")
    items = choose(images(80, 0.5, patients=40), images(80, 1.0), N, "sex", 0)
    write_study(folder / "page", items, folder / "key.json", by="sex", seed=0)
    return folder, read_key(folder / "key.json")


def csv(path: Path, key: dict, answers: dict[int, str], study: str | None = None) -> Path:
    rows = [(study or key["study"], item, answer, "3", "1.5") for item, answer in answers.items()]
    pd.DataFrame(rows, columns=["study", "item", "answer", "confidence", "seconds"]).to_csv(
        path, index=False
    )
    return path


def test_both_kinds_are_shown_shuffled_and_no_patient_twice(study: tuple[Path, dict]) -> None:
    _, key = study
    kinds = [item["kind"] for item in key["items"]]
    assert (
        kinds.count("real") == kinds.count("synthetic") == N
        and "real" in kinds[:8]
        and "synthetic" in kinds[:8]
    )
    real = [item for item in key["items"] if item["kind"] == "real"]
    assert len({int(item["name"].removeprefix("secret")) % 40 for item in real}) == N
    by_kind = pd.DataFrame(key["items"]).groupby(["kind", "group"]).size()
    assert by_kind["real"].to_dict() == by_kind["synthetic"].to_dict()


def test_the_page_gives_nothing_away_and_needs_no_network(study: tuple[Path, dict]) -> None:
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
        (bright < 130) == (item["kind"] == "real")
        for bright, item in zip(brightest, key["items"], strict=True)
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


def test_readers_who_know_guess_and_mix_up(study: tuple[Path, dict]) -> None:
    _, key = study
    truth = {item["item"]: item["kind"] for item in key["items"]}
    swap = {"real": "synthetic", "synthetic": "real"}
    half = {item: truth[item] if item % 2 else swap[truth[item]] for item in truth}
    told = score(
        key,
        {"knows": truth, "mixes": {i: swap[k] for i, k in truth.items()}, "half": half},
        resampling=Resampling(10),
    )
    knows, mixes, guesses = (told["readers"][name] for name in ("knows", "mixes", "half"))
    assert (knows["accuracy"], knows["kappa"], knows["verdict"]) == (
        1,
        1,
        "told apart better than by chance",
    )
    assert (mixes["accuracy"], mixes["kappa"]) == (0, -1) and "mixed up" in mixes["verdict"]
    assert (
        guesses["accuracy"] == 0.5
        and "up to 65% is possible" in guesses["verdict"]
        and guesses["p"] == 1
    )
    assert knows["accuracy_ci"][1] == 1 and knows["accuracy_ci"][0] == pytest.approx(
        1 / (1 + 1.959964**2 / 40)
    )  # Wilson 1927
    assert knows["groups"].keys() == {"F", "M"} and knows["found"]["value"] == 1
    assert {tuple(pair["readers"]): pair["kappa"] for pair in told["agreement"]}[
        "knows", "mixes"
    ] == -1
    assert json.loads(json.dumps(told, allow_nan=False))


def test_numbers_agree_with_independent_ones(study: tuple[Path, dict]) -> None:
    _, key = study
    rng = np.random.default_rng(0)
    truth = {item["item"]: item["kind"] for item in key["items"]}
    one, other = (
        {i: k if rng.random() < 0.7 else "real" for i, k in truth.items()} for _ in range(2)
    )
    told = score(key, {"one": one, "other": other}, resampling=Resampling(30))
    right = sum(one[i] == truth[i] for i in truth)
    expected = binomtest(right, 2 * N).proportion_ci(method="wilson")
    assert told["readers"]["one"]["accuracy_ci"] == pytest.approx(
        [expected.low, expected.high], abs=1e-6
    )
    pair = told["agreement"][0]
    observed = np.mean([one[i] == other[i] for i in truth])
    real = [np.mean([said == "real" for said in answers.values()]) for answers in (one, other)]
    chance = real[0] * real[1] + (1 - real[0]) * (1 - real[1])
    assert pair["kappa"] == pytest.approx((observed - chance) / (1 - chance))  # Cohen 1960, eq. 1
    assert pair["kappa_ci"][0] < pair["kappa"] < pair["kappa_ci"][1]
    always = score(key, {"always": dict.fromkeys(truth, "real")}, resampling=Resampling(10))[
        "readers"
    ]["always"]
    assert always["found"]["value"] == 0 and always["spared"]["value"] == 1 and always["kappa"] == 0


def test_answers_of_another_study_or_kind_are_refused(
    study: tuple[Path, dict], tmp_path: Path
) -> None:
    _, key = study
    assert read_answers(csv(tmp_path / "a.csv", key, {1: "real", 2: ""}), key) == {1: "real"}
    for answers, name, says in (
        ({1: "real"}, "f" * 12, "of study"),
        ({1: "fake"}, None, "answer 'fake'"),
        ({99: "real"}, None, "answers item 99"),
    ):
        with pytest.raises(InputError, match=says):
            read_answers(csv(tmp_path / "b.csv", key, answers, name), key)
    (tmp_path / "c.csv").write_text("item,answer\n1,real\n")
    with pytest.raises(InputError, match="no column study"):
        read_answers(tmp_path / "c.csv", key)
    (tmp_path / "k.json").write_text("{}")
    with pytest.raises(InputError, match="is not the key"):
        read_key(tmp_path / "k.json")


def test_a_study_that_would_be_unfair_is_refused(study: tuple[Path, dict], tmp_path: Path) -> None:
    folder, _ = study
    real = images(8, 0.5, patients=2)
    made = images(8, 1.0)
    with pytest.raises(
        InputError, match="4 pictures of each kind are asked for, and there are 2 real patients"
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
    answers = csv(tmp_path / "anna.csv", key, {item["item"]: item["kind"] for item in key["items"]})
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
