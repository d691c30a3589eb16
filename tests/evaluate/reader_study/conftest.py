"""Fixtures of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from reader_answers import N, images

from latentdrift.evaluate.reader_study.reader_score import read_key
from latentdrift.evaluate.reader_study.reader_study import StudyKey, choose, write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, StudyKey]:
    folder = tmp_path_factory.mktemp("reader")
    items = choose(images(80, 0.5, patients=40), images(80, 1.0), N, "sex", 0)
    write_study(folder / "page", items, folder / "key.json", by="sex", seed=0)
    return folder, read_key(folder / "key.json")
