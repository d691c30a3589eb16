"""Scores of readers: those who know, guess and mix up, against independent numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reader_answers import N, csv
from scipy.stats import binomtest

from latentdrift.errors import InputError
from latentdrift.evaluate.reader_study.reader_score import read_answers, read_key, score
from latentdrift.evaluate.reader_study.reader_study import StudyKey
from latentdrift.resampling import Resampling


def test_readers_who_know_guess_and_mix_up(study: tuple[Path, StudyKey]) -> None:
    _, key = study
    truth = key.truth
    swap = {"real": "synthetic", "synthetic": "real"}
    half = {item: truth[item] if item % 2 else swap[truth[item]] for item in truth}
    told = score(
        key,
        {"knows": truth, "mixes": {i: swap[k] for i, k in truth.items()}, "half": half},
        resampling=Resampling(10),
    )
    knows, mixes, guesses = (told.readers[name] for name in ("knows", "mixes", "half"))
    assert (knows.accuracy, knows.kappa, knows.verdict) == (
        1,
        1,
        "told apart better than by chance",
    )
    assert (mixes.accuracy, mixes.kappa) == (0, -1) and "mixed up" in mixes.verdict
    assert guesses.accuracy == 0.5 and "up to 65% is possible" in guesses.verdict and guesses.p == 1
    assert knows.accuracy_ci[1] == 1 and knows.accuracy_ci[0] == pytest.approx(
        1 / (1 + 1.959964**2 / 40)
    )  # Wilson 1927
    assert knows.groups.keys() == {"F", "M"} and knows.found.value == 1
    assert {tuple(pair.readers): pair.kappa for pair in told.agreement}["knows", "mixes"] == -1
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))


def test_numbers_agree_with_independent_ones(study: tuple[Path, StudyKey]) -> None:
    _, key = study
    rng = np.random.default_rng(0)
    truth = key.truth
    one, other = (
        {i: k if rng.random() < 0.7 else "real" for i, k in truth.items()} for _ in range(2)
    )
    told = score(key, {"one": one, "other": other}, resampling=Resampling(30))
    right = sum(one[i] == truth[i] for i in truth)
    expected = binomtest(right, 2 * N).proportion_ci(method="wilson")
    assert told.readers["one"].accuracy_ci == pytest.approx([expected.low, expected.high], abs=1e-6)
    pair = told.agreement[0]
    observed = np.mean([one[i] == other[i] for i in truth])
    real = [np.mean([said == "real" for said in answers.values()]) for answers in (one, other)]
    chance = real[0] * real[1] + (1 - real[0]) * (1 - real[1])
    assert pair.kappa == pytest.approx((observed - chance) / (1 - chance))  # Cohen 1960, eq. 1
    assert pair.kappa_ci[0] < pair.kappa < pair.kappa_ci[1]
    steady = {"always": dict.fromkeys(truth, "real")}
    always = score(key, steady, resampling=Resampling(10)).readers["always"]
    assert always.found.value == 0 and always.spared.value == 1 and always.kappa == 0


def test_answers_of_another_study_or_kind_are_refused(
    study: tuple[Path, StudyKey], tmp_path: Path
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
