"""Scores of a reader study: accuracy with its interval, agreement with the truth and between
readers, per class."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from latentdrift.errors import InputError
from latentdrift.evaluate.reader_study.reader_study import COLUMNS, KINDS, StudyKey
from latentdrift.evaluate.statistics.bootstrap import interval, proportion_interval
from latentdrift.evaluate.statistics.results import Interval, ResultModel
from latentdrift.resampling import Resampling
from latentdrift.storage import write_json

Answers = Mapping[int, str]
"""Item -> answer of one reader, a row of KINDS."""


class Share(ResultModel):
    """Share of right answers."""

    value: float | None
    """None without an answer."""
    ci: Interval | None
    n: int
    """Number of answers."""


class ReaderScore(ResultModel):
    """Score of one reader."""

    accuracy: float
    accuracy_ci: Interval
    """95 % interval (Wilson)."""
    n: int
    """Number of answers."""
    p: float
    """Exact two-sided p value against an accuracy of one half."""
    kappa: float | None
    """Agreement with the truth beyond chance; 0: chance."""
    kappa_ci: Interval | None
    found: Share
    """Synthetic images that the reader called synthetic."""
    spared: Share
    """Real images that the reader called real."""
    verdict: str
    groups: dict[str, Share]
    """Right answers by the values of an attribute."""


class Agreement(ResultModel):
    """Agreement of two readers beyond chance."""

    readers: tuple[str, str]
    n: int
    """Items that both answered."""
    kappa: float | None
    kappa_ci: Interval | None


class StudyScore(ResultModel):
    """Content of the JSON file of `reader score`."""

    study: str
    by: str | None
    """Attribute of the groups."""
    items: int
    readers: dict[str, ReaderScore]
    agreement: list[Agreement]


def read_key(path: Path) -> StudyKey:
    """Read the key of a reader study.

    Raises:
        InputError: The file cannot be read, or is not a key.
    """
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the key {path} cannot be read ({error}); give the file that `reader make` wrote"
        ) from None
    try:
        return StudyKey.model_validate(contents)
    except ValidationError:
        raise InputError(
            f"{path} is not the key of a reader study; give the file that `reader make` wrote"
        ) from None


def read_answers(path: Path, key: StudyKey) -> dict[int, str]:
    """Read the answers of a reader: item -> answer; items without an answer are left out.

    Args:
        path: CSV file that the page saves.
        key: Key of the study.

    Raises:
        InputError: Another file, another study, a repeated item, or an unknown answer.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the answers {path} cannot be read ({reason}); give the CSV file that the page saved"
        ) from None
    absent = [name for name in COLUMNS[:3] if name not in table]
    if absent:
        raise InputError(
            f"{path} has no column {', '.join(absent)}; give the CSV file that the page saved"
        )
    others = sorted(set(table["study"]) - {key.study})
    if others:
        raise InputError(
            f"{path} answers study {others[0]}, and the key is of study {key.study}; give the "
            "key that belongs to it"
        )
    table = table[table["answer"] != ""]
    wrong = sorted(set(table["answer"]) - set(KINDS))
    if wrong:
        raise InputError(f"{path} has the answer '{wrong[0]}'; known: {', '.join(KINDS)}, or empty")
    known = {str(item.item) for item in key.items}
    for item in table["item"]:
        if item not in known or (table["item"] == item).sum() > 1:
            raise InputError(
                f"{path} answers item {item}, which the study has not, or more than once; correct "
                "the file"
            )
    return {int(item): answer for item, answer in zip(table["item"], table["answer"], strict=True)}


def score(
    key: StudyKey,
    answers: Mapping[str, Answers],
    resampling: Resampling = Resampling(),
) -> StudyScore:
    """Scores of all readers, and their agreement with each other.

    Args:
        key: Key of the study.
        answers: Answers by reader.
        resampling: Resamples of items behind the intervals of kappa.

    Raises:
        InputError: A reader answered nothing.
    """
    agreement = []
    for one, other in combinations(answers, 2):
        both = sorted(answers[one].keys() & answers[other].keys())
        pair = [[answers[name][item] for item in both] for name in (one, other)]
        kappa, ci = _kappa(pair[0], pair[1], resampling)
        agreement.append(Agreement(readers=(one, other), n=len(both), kappa=kappa, kappa_ci=ci))
    return StudyScore(
        study=key.study,
        by=key.by,
        items=len(key.items),
        readers={name: score_reader(name, own, key, resampling) for name, own in answers.items()},
        agreement=agreement,
    )


def score_files(key: StudyKey, files: Sequence[Path], resampling: Resampling) -> StudyScore:
    """Score CSV files of readers, see `score`.

    Args:
        key: Key of the study.
        files: A file for each reader, whose name is the reader's; equal names get a number.
        resampling: Resamples behind the intervals of kappa.

    Raises:
        InputError: As `read_answers`.
    """
    answers: dict[str, dict[int, str]] = {}
    for path in files:
        name = path.stem if path.stem not in answers else f"{path.stem}-{len(answers) + 1}"
        answers[name] = read_answers(path, key)
    return score(key, answers, resampling)


def write_score(out: Path, result: StudyScore) -> None:
    """Write the scores as JSON, whole or not at all."""
    write_json(out, result.to_dict())


def score_reader(name: str, answers: Answers, key: StudyKey, resampling: Resampling) -> ReaderScore:
    """Score of one reader.

    Args:
        name: Name of the reader, for messages.
        answers: The answers.
        key: Key of the study.
        resampling: Resamples of items behind the interval of kappa.

    Raises:
        InputError: There is no answer.
    """
    from scipy.stats import binomtest

    if not answers:
        raise InputError(f"reader {name} answered nothing")
    truth = key.truth
    right = {item: answer == truth[item] for item, answer in answers.items()}
    n = len(right)
    hits = sum(right.values())
    low, high = proportion_interval(hits, n)
    kappa, kappa_ci = _kappa(list(answers.values()), [truth[item] for item in answers], resampling)
    found, spared = (
        _share([right[item] for item in answers if truth[item] == kind])
        for kind in ("synthetic", "real")
    )
    return ReaderScore(
        accuracy=float(np.mean(list(right.values()))),
        accuracy_ci=[low, high],
        n=n,
        p=float(binomtest(hits, n).pvalue),
        kappa=kappa,
        kappa_ci=kappa_ci,
        found=found,
        spared=spared,
        verdict=_verdict(low, high),
        groups=_groups(right, key),
    )


def _verdict(low: float, high: float) -> str:
    """What the 95 % interval of an accuracy means."""
    if low > 0.5:
        return "told apart better than by chance"
    if high < 0.5:
        return "worse than chance: mixed up, and so told apart"
    return f"not told apart; an accuracy of up to {high:.0%} is possible"


def _groups(right: Mapping[int, bool], key: StudyKey) -> dict[str, Share]:
    """Right answers by the value of the attribute of the groups."""
    group = {item.item: item.group for item in key.items}
    values = sorted({value for item in right if (value := group[item]) is not None})
    return {
        value: _share([right[item] for item in right if group[item] == value]) for value in values
    }


def _share(right: Sequence[bool]) -> Share:
    if not right:
        return Share(value=None, ci=None, n=0)
    ci = proportion_interval(sum(right), len(right))
    return Share(value=float(np.mean(right)), ci=ci, n=len(right))


def _kappa(
    one: Sequence[str], other: Sequence[str], resampling: Resampling
) -> tuple[float | None, Interval | None]:
    """Agreement beyond chance (Cohen 1960), and its interval over resampled items; None where both
    always said one thing."""
    from sklearn.metrics import cohen_kappa_score

    a, b = (np.array([KINDS.index(answer) for answer in answers]) for answers in (one, other))
    if not len(a) or len(np.unique(np.concatenate([a, b]))) < 2:
        return None, None
    source = resampling.rng("kappa")
    value = float(cohen_kappa_score(a, b))
    again = []
    for _ in range(resampling.n):
        resamples = source.integers(len(a), size=len(a))
        if len(np.unique(np.concatenate([a[resamples], b[resamples]]))) == 2:
            again.append(cohen_kappa_score(a[resamples], b[resamples]))
    low, high = interval(value, again) if again else (value, value)
    return value, [max(-1.0, low), min(1.0, high)]
