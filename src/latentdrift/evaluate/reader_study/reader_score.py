"""Scores of a reader study: accuracy with its interval, agreement with the truth and between
readers, per class."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentdrift.errors import InputError
from latentdrift.evaluate.reader_study.reader_study import COLUMNS, FORMAT, KINDS
from latentdrift.evaluate.statistics.bootstrap import interval, proportion_interval
from latentdrift.resampling import Resampling
from latentdrift.storage import write_text


def read_key(path: Path) -> dict[str, Any]:
    """Read the key of a reader study.

    Raises:
        InputError: The file cannot be read, or is not a key.
    """
    try:
        key = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"the key {path} cannot be read ({error}); give the file that `reader make` wrote"
        ) from None
    if not isinstance(key, dict) or key.get("format") != FORMAT or "items" not in key:
        raise InputError(
            f"{path} is not the key of a reader study; give the file that `reader make` wrote"
        )
    return key


def read_answers(path: Path, key: Mapping[str, Any]) -> dict[int, str]:
    """Read the answers of a reader: item -> answer; items without an answer are left out.

    Args:
        path: CSV file that the page saves.
        key: From `read_key`.

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
    others = sorted(set(table["study"]) - {key["study"]})
    if others:
        raise InputError(
            f"{path} answers study {others[0]}, and the key is of study {key['study']}; give the "
            "key that belongs to it"
        )
    table = table[table["answer"] != ""]
    wrong = sorted(set(table["answer"]) - set(KINDS))
    if wrong:
        raise InputError(f"{path} has the answer '{wrong[0]}'; known: {', '.join(KINDS)}, or empty")
    known = {str(item["item"]) for item in key["items"]}
    for item in table["item"]:
        if item not in known or (table["item"] == item).sum() > 1:
            raise InputError(
                f"{path} answers item {item}, which the study has not, or more than once; correct "
                "the file"
            )
    return {int(item): answer for item, answer in zip(table["item"], table["answer"], strict=True)}


def score(
    key: Mapping[str, Any],
    answers: Mapping[str, Mapping[int, str]],
    resampling: Resampling = Resampling(),
) -> dict[str, Any]:
    """Scores of all readers.

    Args:
        key: From `read_key`.
        answers: Reader -> item -> answer.
        resampling: Resamples of items behind the intervals of kappa.

    Returns:
        readers.<name>: n, accuracy, its Wilson interval, p (exact, two-sided, against one half),
        kappa with the truth (0: chance) and its interval, found (share of synthetic images called
        synthetic), spared (share of real ones called real), each with its interval, verdict;
        groups.<value> n, accuracy, ci. agreement: kappa between every two readers, with n and
        interval.
    """
    truth = {item["item"]: item["kind"] for item in key["items"]}
    group = {item["item"]: item["group"] for item in key["items"]}
    readers = {}
    for name, answers_by_reader in answers.items():
        if not answers_by_reader:
            raise InputError(f"reader {name} answered nothing")
        result = _of(answers_by_reader, truth, resampling)
        values = sorted({group[item] for item in answers_by_reader if group[item] is not None})
        result["groups"] = {
            value: _share(
                [answers_by_reader[i] == truth[i] for i in answers_by_reader if group[i] == value]
            )
            for value in values
        }
        readers[name] = result
    agreement = []
    for one, other in combinations(answers, 2):
        both = sorted(answers[one].keys() & answers[other].keys())
        pair = [[answers[name][item] for item in both] for name in (one, other)]
        agreement.append(
            {"readers": [one, other], "n": len(both), **_kappa(pair[0], pair[1], resampling)}
        )
    return {
        "study": key["study"],
        "by": key["by"],
        "items": len(truth),
        "readers": readers,
        "agreement": agreement,
    }


def scored(key: Mapping[str, Any], files: Sequence[Path], resampling: Resampling) -> dict[str, Any]:
    """Score CSV files of readers, see `score`.

    Args:
        key: From `read_key`.
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


def write_score(out: Path, result: Mapping[str, Any]) -> None:
    """Write the result of `score` as JSON, whole or not at all."""
    write_text(out, json.dumps(result, indent=1, allow_nan=False) + "\n")


def _of(
    answers: Mapping[int, str], truth: Mapping[int, str], resampling: Resampling
) -> dict[str, Any]:
    from scipy.stats import binomtest

    right = [answers[item] == truth[item] for item in answers]
    result = {
        f"accuracy{tail}": value
        for tail, value in zip(("", "_ci"), _share(right).values(), strict=False)
    }
    result |= {"n": len(right), "p": float(binomtest(sum(right), len(right)).pvalue)}
    result |= _kappa(
        [answers[item] for item in answers], [truth[item] for item in answers], resampling
    )
    for name, kind in (("found", "synthetic"), ("spared", "real")):
        result[name] = _share([answers[item] == kind for item in answers if truth[item] == kind])
    low, high = result["accuracy_ci"]
    result["verdict"] = (
        "told apart better than by chance"
        if low > 0.5
        else "worse than chance: mixed up, and so told apart"
        if high < 0.5
        else f"not told apart; an accuracy of up to {high:.0%} is possible"
    )
    return result


def _share(right: Sequence[bool]) -> dict[str, Any]:
    if not right:
        return {"value": None, "ci": None, "n": 0}
    return {
        "value": float(np.mean(right)),
        "ci": proportion_interval(sum(right), len(right)),
        "n": len(right),
    }


def _kappa(one: Sequence[str], other: Sequence[str], resampling: Resampling) -> dict[str, Any]:
    """Agreement beyond chance (Cohen 1960), and its interval over resampled items; None where both
    always said one thing."""
    from sklearn.metrics import cohen_kappa_score

    a, b = (np.array([KINDS.index(answer) for answer in answers]) for answers in (one, other))
    if not len(a) or len(np.unique(np.concatenate([a, b]))) < 2:
        return {"kappa": None, "kappa_ci": None}
    source = resampling.rng("kappa")
    value = float(cohen_kappa_score(a, b))
    again = []
    for _ in range(resampling.n):
        resamples = source.integers(len(a), size=len(a))
        if len(np.unique(np.concatenate([a[resamples], b[resamples]]))) == 2:
            again.append(cohen_kappa_score(a[resamples], b[resamples]))
    low, high = interval(value, again) if again else (value, value)
    return {"kappa": value, "kappa_ci": [max(-1.0, low), min(1.0, high)]}
