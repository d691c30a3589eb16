"""The judge of a fit's pictures: phantoms pass, ruined phantoms do not, and too few images are said
to be too few."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from phantoms import brains

from latentdrift.evaluate.images.controls import CONTROLS, ruined
from latentdrift.evaluate.images.image_sets import EvaluationImages
from latentdrift.study import fit_critics
from latentdrift.study.fit_critics import ADVICE, SHARE_OF_VIEWS, TIMED, FitCritics

SIZE = 64


def critics(splits: dict[str, EvaluationImages]) -> FitCritics:
    """The judge of a cohort that has these images."""
    rows = {split: range(len(images)) for split, images in splits.items()}
    cohort: Any = SimpleNamespace(rows=lambda split: rows.get(split, ()))
    made = FitCritics(cohort, SIZE, seed=0)
    made._images = splits.__getitem__  # type: ignore[method-assign]
    return made


@pytest.fixture(scope="module")
def judge() -> FitCritics:
    return critics({"train": brains(0, 60, SIZE), "validation": brains(100, 30, SIZE)})


def as_drawn(images: np.ndarray) -> np.ndarray:
    return np.rint(images * 255).astype(np.uint8)


def test_phantoms_are_not_red_and_ruined_ones_are(judge: FitCritics) -> None:
    others = brains(200, 16, SIZE)
    good = judge(as_drawn(others.images))
    bad = judge(
        as_drawn(ruined("patches-4", others.images, others.patients, np.random.default_rng(0)))
    )
    assert good.colour != "red" and good.pictures == 16 and ADVICE not in good.sentence
    assert bad.colour == "red" and bad.sentence.endswith(ADVICE)
    assert "16 pictures" in bad.line and "red" in bad.line


def test_the_training_split_serves_where_the_validation_split_is_small() -> None:
    few = critics({"train": brains(0, 24, SIZE), "validation": brains(100, 2, SIZE)})
    none = critics({"train": brains(0, 24, SIZE)})
    noise = (
        np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 1), dtype=np.uint8).repeat(3, -1)
    )
    assert few(noise).colour == none(noise).colour == "red"


@pytest.mark.parametrize(("train", "validation", "seen"), [(60, 30, 90), (3000, 30, 130)])
def test_critics_take_the_time_of_the_views_of_all_their_images(
    train: int, validation: int, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock on which the views of an image take a second: its own, and one for each ruin."""
    rows = {"train": range(train), "validation": range(validation)}
    cohort: Any = SimpleNamespace(rows=lambda split: rows[split])
    clock = iter([0.0, float(TIMED)])
    monkeypatch.setattr(fit_critics.time, "perf_counter", lambda: next(clock))
    expected = seen * (1 + len(CONTROLS)) / SHARE_OF_VIEWS
    assert FitCritics(cohort, SIZE, seed=0).seconds() == pytest.approx(expected)


def test_too_few_images_are_grey() -> None:
    said = critics({"train": brains(0, 5, SIZE)})(as_drawn(brains(50, 2, SIZE).images))
    assert said.colour == "grey" and "too few" in said.sentence


def test_one_picture_is_grey(judge: FitCritics) -> None:
    said = judge(np.zeros((1, SIZE, SIZE, 3), np.uint8))
    assert said.colour == "grey" and "3 different synthetic images" in said.sentence


def test_the_training_of_critics_reports_its_progress_once() -> None:
    seen: list[tuple[int, int]] = []
    judge = critics({"train": brains(0, 24, SIZE), "validation": brains(100, 24, SIZE)})
    for _ in range(2):  # the second call finds the critics of the first
        judge(as_drawn(brains(50, 3, SIZE).images), lambda done, total: seen.append((done, total)))
    total = 2 * len(CONTROLS)
    assert seen == [(done, total) for done in range(1, total + 1)]
