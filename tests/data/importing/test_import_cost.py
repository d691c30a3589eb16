"""Time of an import: from the pace of a few files, which a fake clock knows."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from latentdrift import config
from latentdrift.cli import dry_run
from latentdrift.data.images import image_readers
from latentdrift.data.importing import import_cost as module
from latentdrift.data.importing import isolation
from latentdrift.data.importing.import_cost import ImportCost, import_cost
from latentdrift.data.importing.import_plan import prepare
from latentdrift.data.importing.importer import import_cohort

FILES = 12


@pytest.fixture
def options(tmp_path: Path) -> config.ImportOptions:
    """Twelve pictures of nobody known."""
    (tmp_path / "scans").mkdir()
    for index in range(FILES):
        pixels = np.random.default_rng(index).integers(0, 255, (16, 16), dtype=np.uint8)
        Pillow.fromarray(pixels).save(tmp_path / "scans" / f"{index}.png")
    return config.ImportOptions(source=tmp_path / "scans", out=tmp_path / "cohort", workers=2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Two readers that start in 50 s and then take 2 s a file each, on a clock of their own."""
    state = SimpleNamespace(now=7.0, read=[])

    def each(read: Callable[[str], Any], files: Any, workers: int) -> Iterator[tuple[str, Any]]:
        for place, (name, _) in enumerate(files):
            state.now = 57.0 + 2.0 * (place // workers)
            state.read.append(name)
            yield name, read(name)

    monkeypatch.setattr(module.isolation, "each", each)
    monkeypatch.setattr(module.time, "perf_counter", lambda: state.now)
    monkeypatch.setattr(module, "ENOUGH", 1000.0)
    return state


def test_the_pace_of_all_workers_is_extrapolated_without_their_start(
    options: config.ImportOptions, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRIED", 6)
    cost = import_cost(prepare(options), options)
    assert len(set(clock.read)) == 6
    assert cost.seconds_per_file == pytest.approx(1.0)
    assert cost.seconds == pytest.approx(FILES)


def test_no_file_is_begun_after_enough_seconds(
    options: config.ImportOptions, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENOUGH", 51.0)
    assert import_cost(prepare(options), options).seconds_per_file == pytest.approx(2.0)
    assert len(clock.read) == 3


def test_images_without_a_patient_may_be_compared_in_pairs(
    options: config.ImportOptions, tmp_path: Path
) -> None:
    assert import_cost(prepare(options), options).pairs_at_most == FILES * (FILES - 1) // 2
    rows = "".join(f"{index}.png,p{index}\n" for index in range(FILES))
    (tmp_path / "table.csv").write_text(f"file,patient\n{rows}")
    named = options.model_copy(update={"table": tmp_path / "table.csv"})
    assert import_cost(prepare(named), named).pairs_at_most == 0


def test_files_and_pairs_add_up() -> None:
    cost = ImportCost(10, 0.5, 100, 0.01)
    assert (cost.seconds, cost.seconds_at_most) == pytest.approx((5.0, 6.0))


def test_a_file_that_hangs_does_not_hang_the_dry_run_and_nothing_is_written(
    options: config.ImportOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = image_readers.read

    def read(path: Path, **asked: Any) -> Any:
        if path.name == "3.png":
            ctypes.PyDLL(None).sleep(60)  # in C, and with the interpreter's lock held
        return real(path, **asked)

    monkeypatch.setattr(image_readers, "read", read)
    monkeypatch.setattr(isolation, "SECONDS", 1.0)
    planned = dry_run.run("import", options)
    assert planned["files_to_read"] == FILES and 0.5 < planned["seconds"] < 30
    assert planned["seconds_at_most"] >= planned["seconds"]
    assert [path.name for path in tmp_path.iterdir()] == ["scans"]


def test_refusals_and_sizes_of_the_sample_are_those_of_the_import(
    options: config.ImportOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (options.source / "0.png").read_bytes()
    (options.source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (options.source / "cut too.png").write_bytes(whole[: len(whole) // 2])
    planned = dry_run.run("import", options)
    assert (planned["files_to_read"], planned["files_tried"]) == (FILES + 2, FILES + 2)
    monkeypatch.setattr(module, "TRIED", 7)
    part = dry_run.run("import", options)
    assert part["files_tried"] == 7 and part["files_left_out"] == {}
    assert sum(part["files_tried_and_refused"].values()) <= 2
    cohort = import_cohort(options)
    assert planned["files_tried_and_refused"] == cohort.info.rejected_by_reason
    assert planned["files_left_out"] == cohort.info.rejected_by_reason
    assert sum(cohort.info.rejected_by_reason.values()) == 2
    written = sum(path.stat().st_size for path in (options.out / "images").iterdir())
    assert planned["disk_bytes"] == written
    assert part["disk_bytes"] == pytest.approx(written, rel=0.4)
