"""Brains of strangers are alike to a thumbnail; a copy in disguise is alike in its folds, too."""

from __future__ import annotations

import numpy as np
import pytest

from latentdrift.data.cohort import Cohort, write_cohort
from latentdrift.data.inspect import inspect
from latentdrift.data.phantom_brain import BrainAttributes, render
from latentdrift.evaluate.near_duplicates import CANDIDATES, _candidates, confirmed

N = 14
COPIED = 3


def brain(subject: int) -> np.ndarray:
    return render(subject, BrainAttributes(age=70, sex="F", diagnosis="no dementia"), size=96)


def disguised(picture: np.ndarray) -> np.ndarray:
    """Brighter, flatter, shifted by two pixels and noisy: a second scan, or an export with other settings."""
    noise = np.random.default_rng(0).normal(0, 0.01, picture.shape)
    return np.roll(0.1 + 0.8 * picture, (2, -2), (0, 1)) + noise


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Strangers in train and test, and in test a copy of one who is in train."""
    pictures = [*map(brain, range(N)), disguised(brain(COPIED))]
    rows = [{"patient": f"p-{place}", "split": ("train", "test")[place >= N // 2]} for place in range(N + 1)]
    stored = [(np.clip(picture, 0, 1) * 65535).astype(np.uint16) for picture in pictures]
    return write_cohort(tmp_path_factory.mktemp("near") / "cohort", zip(stored, rows, strict=True), {"describe": "brain MRI"})


def test_the_copy_is_named_and_strangers_are_not(cohort: Cohort) -> None:
    by_thumbnails = inspect(cohort)["leaks"]["near_duplicates"]
    assert len(by_thumbnails) > 3  # which tell nothing apart here
    (pair,) = inspect(cohort, confirmed)["leaks"]["near_duplicates"]
    assert set(pair["files"]) == {f"images/{COPIED:06d}.png", f"images/{N:06d}.png"}
    assert pair["splits"] == ["train", "test"] and pair["correlation"] > 0.8


def test_nothing_to_confirm_takes_no_time(cohort: Cohort) -> None:
    assert confirmed(cohort, []) == []


def test_of_too_many_pairs_those_most_alike_are_looked_at() -> None:
    pairs = [(place, place + CANDIDATES, 0.97 + 0.02 * place / CANDIDATES) for place in range(CANDIDATES)]
    chosen = _candidates(pairs)
    assert len(chosen) == CANDIDATES
    assert {CANDIDATES - 1, 2 * CANDIDATES - 1} <= set(chosen) and 0 not in chosen
