"""Brains of strangers are alike to a thumbnail; a copy in disguise is alike in its folds, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentdrift.config import ImportOptions
from latentdrift.data.cohort.cohort import Cohort, write_cohort
from latentdrift.data.images.near_duplicates import SAME, candidates, similarities
from latentdrift.data.images.thumbnails import SIDE, thumbnail
from latentdrift.data.importing.importer import import_cohort
from latentdrift.data.inspection.statistics import inspect
from latentdrift.data.phantom.phantom_brain import BrainAttributes, render

N = 14
COPIED = 3
DISGUISES = {
    "brighter, flatter, shifted, noisy": lambda picture: noisy(
        np.roll(0.1 + 0.8 * picture, (2, -2), (0, 1))
    ),
    "turned by 5 degrees": lambda picture: moved(picture, angle=5),
    "turned by 10 degrees": lambda picture: moved(picture, angle=10),
    "mirrored": lambda picture: picture[:, ::-1],
    "smaller by 5 %": lambda picture: moved(picture, scale=1.05),
    "half the pixels": lambda picture: np.asarray(
        Image.fromarray(picture).resize((48, 48), Image.Resampling.BOX)
    ),
    "gamma": lambda picture: picture**0.7,
    "turned, smaller, brighter, noisy": lambda picture: noisy(
        moved(picture, angle=5, scale=1.05) ** 0.7
    ),
}


def brain(subject: int) -> np.ndarray:
    picture = render(subject, BrainAttributes(age=70, sex="F", diagnosis="no dementia"), size=96)
    return np.asarray(picture, np.float32).clip(0, 1)


def noisy(picture: np.ndarray) -> np.ndarray:
    return (
        (picture + np.random.default_rng(0).normal(0, 0.01, picture.shape))
        .astype(np.float32)
        .clip(0, 1)
    )


def moved(picture: np.ndarray, angle: float = 0, scale: float = 1) -> np.ndarray:
    """Turned about the centre, and smaller."""
    turned = Image.fromarray(picture).rotate(angle, Image.Resampling.BICUBIC)
    aside = picture.shape[0] * (1 - scale) / 2
    smaller = turned.transform(
        turned.size,
        Image.Transform.AFFINE,
        (scale, 0, aside, 0, scale, aside),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(smaller).clip(0, 1)


def to_file(picture: np.ndarray) -> np.ndarray:
    return (picture * 65535).astype(np.uint16)


@pytest.fixture(scope="module")
def brains() -> list[np.ndarray]:
    return [*map(brain, range(N))]


@pytest.mark.parametrize("name", DISGUISES)
def test_a_copy_in_disguise_is_told_from_strangers(brains: list[np.ndarray], name: str) -> None:
    pictures = [*brains, np.asarray(DISGUISES[name](brains[COPIED]))]
    pairs = [(place, N) for place in range(N)]
    similarity = [value for _, _, value in similarities(len(pictures), pairs, pictures.__getitem__)]
    assert np.argmax(similarity) == COPIED and similarity[COPIED] > SAME
    assert max(value for place, value in enumerate(similarity) if place != COPIED) < 0.7
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    assert (COPIED, N) in candidates(thumbnails)


def test_inspect_names_the_copy_and_no_stranger(brains: list[np.ndarray], tmp_path: Path) -> None:
    pictures = [*brains, DISGUISES["turned by 5 degrees"](brains[COPIED])]
    rows = [
        {"patient": f"p-{place}", "split": ("train", "test")[place >= N // 2]}
        for place in range(N + 1)
    ]
    stored = [to_file(picture) for picture in pictures]
    cohort = write_cohort(
        tmp_path / "cohort", zip(stored, rows, strict=True), {"describe": "brain MRI"}
    )
    (pair,) = inspect(cohort).leaks.near_duplicates
    assert set(pair.files) == {f"images/{COPIED:06d}.png", f"images/{N:06d}.png"}
    assert pair.splits == ["train", "test"] and pair.correlation > SAME


def texture(number: int) -> np.ndarray:
    """A picture like no other: smooth noise in a bright frame."""
    small = np.random.default_rng(number).random((12, 12)).astype(np.float32)
    picture = Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC)
    return np.pad(np.asarray(picture)[16:-16, 16:-16], 16).clip(0, 1)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, dict[str, str]]:
    """Twenty pictures without a patient, each beside a turned and a mirrored copy that no thumbnail
    tells; split by file."""
    folder = tmp_path_factory.mktemp("leak")
    (folder / "in").mkdir()
    for number in range(20):
        picture = texture(number)
        copies = {"a": picture, "b": moved(picture, angle=7), "c": noisy(picture[:, ::-1])}
        for name, pixels in copies.items():
            Image.fromarray(to_file(pixels)).save(folder / "in" / f"{number}{name}.png")
    cohort = import_cohort(ImportOptions(source=folder / "in", out=folder / "cohort"))
    lines = (folder / "cohort-private" / "files.csv").read_text().splitlines()[1:]
    file_of = dict(line.split(",")[:2] for line in lines)
    of = zip(cohort.table["file_name"], cohort.table["split"], strict=True)
    return cohort, {file_of[name]: split for name, split in of}


def test_copies_that_thumbnails_miss_stay_together(imported: tuple[Cohort, dict[str, str]]) -> None:
    split_of = imported[1]
    mirrored = [
        thumbnail(texture(number)) @ thumbnail(texture(number)[:, ::-1]) for number in range(20)
    ]
    assert max(mirrored) < 0.97
    for number in range(20):
        assert len({split_of[f"{number}{name}.png"] for name in "abc"}) == 1
    assert set(split_of.values()) == {"train", "validation", "test"}


def test_inspect_finds_nothing_after_such_an_import(
    imported: tuple[Cohort, dict[str, str]],
) -> None:
    assert inspect(imported[0]).leaks.near_duplicates == []


def test_of_too_many_pairs_those_most_alike_are_looked_at() -> None:
    base = np.random.default_rng(0).normal(size=SIDE**2)
    others = np.random.default_rng(1).normal(size=(40, SIDE**2))
    thumbnails = base + np.linspace(0, 0.3, 40)[:, None] * others
    thumbnails -= thumbnails.mean(1, keepdims=True)
    thumbnails = (thumbnails / np.linalg.norm(thumbnails, axis=1, keepdims=True)).astype(np.float32)
    correlation = np.triu(thumbnails @ thumbnails.T, 1)
    best = {
        tuple(map(int, np.unravel_index(place, correlation.shape)))
        for place in np.argsort(-correlation.ravel())[:5]
    }
    assert set(candidates(thumbnails, max_pairs=5)) == best


def test_even_pictures_are_like_none() -> None:
    pictures = [np.full((20, 20), 7.0), np.full((20, 20), 9.0), texture(0)]
    assert candidates(np.stack([thumbnail(picture) for picture in pictures])) == []
