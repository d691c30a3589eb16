"""A reader stages what a file holds, and writes nothing where its pixels have no folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from latentdrift.config import ImportOptions
from latentdrift.data.importing.import_plan import prepare
from latentdrift.data.importing.reader_task import ReaderTask
from latentdrift.data.importing.staging import StagedFile
from latentdrift.errors import ResourceError

PIXELS = np.random.default_rng(0).integers(0, 255, (16, 12), dtype=np.uint8)


@pytest.fixture
def task(tmp_path: Path) -> ReaderTask:
    """Task for a folder with one picture and one damaged file."""
    source = tmp_path / "scans"
    source.mkdir()
    Pillow.fromarray(PIXELS).save(source / "a.png")
    (source / "b.png").write_bytes((source / "a.png").read_bytes()[:60])
    options = ImportOptions(source=source, out=tmp_path / "cohort")
    (tmp_path / "pixels").mkdir()
    return ReaderTask.of(prepare(options), options, tmp_path / "pixels")


def test_the_staged_pixels_are_those_of_the_file(task: ReaderTask, tmp_path: Path) -> None:
    (image,) = StagedFile.from_dict(task.answer("a.png")).images
    with Pillow.open(tmp_path / "pixels" / image.png) as staged:
        assert (np.asarray(staged) == PIXELS).all()
    assert image.extent == (PIXELS.min(), PIXELS.max()) and image.kind == "raster"


def test_a_damaged_file_has_a_reason_and_no_images(task: ReaderTask) -> None:
    damaged = StagedFile.from_dict(task.answer("b.png"))
    assert damaged.images == () and damaged.reason and damaged.sentence


def test_without_a_folder_the_answer_is_equal_and_nothing_is_written(
    task: ReaderTask, tmp_path: Path
) -> None:
    answer = replace(task, pixels=None).answer("a.png")
    assert list((tmp_path / "pixels").iterdir()) == []
    assert answer == task.answer("a.png")


def test_a_folder_that_cannot_be_written_ends_the_import(task: ReaderTask) -> None:
    lost = replace(task, pixels=task.root / "a.png")
    with pytest.raises(ResourceError, match="nothing can be written"):
        lost.answer("a.png")
