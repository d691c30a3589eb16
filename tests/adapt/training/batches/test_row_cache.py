"""Caches of rows are computed when they are read, continued, and never trusted when damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from latentdrift.adapt.training.batches import row_cache
from latentdrift.adapt.training.batches.row_cache import CacheRoot, RowCache


class Counting:
    """A cache's compute that counts, and may fail at a row."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls: list[tuple[int, int]] = []
        self.fail_at = fail_at

    def __call__(self, first: int, last: int) -> dict[str, torch.Tensor]:
        if self.fail_at is not None and last > self.fail_at:
            raise KeyboardInterrupt
        self.calls.append((first, last))
        values = torch.arange(first, last)[:, None].float()
        return {"value": values, "square": values.square()[..., None]}


def opened(folder: Path, rows: int, compute: Counting, *, whole: bool = False) -> RowCache:
    return RowCache.open(CacheRoot(folder, whole), "latents", "k", rows, compute)


def test_rows_are_computed_when_they_are_read(tmp_path: Path) -> None:
    compute = Counting()
    cache = opened(tmp_path, 30, compute)
    assert compute.calls == []
    assert cache["value"][[29, 5, 29]][:, 0].tolist() == [29, 5, 29]
    assert cache["square"][5].tolist() == [[25]]
    assert compute.calls == [(4, 8), (28, 30)]
    assert cache["square"].shape == (30, 1, 1) and len(cache["value"]) == 30
    assert compute.calls == [(4, 8), (28, 30)]


def test_a_shape_or_the_labels_are_known_before_a_row_is_read(tmp_path: Path) -> None:
    cache = opened(tmp_path, 30, Counting())
    assert cache["square"].shape == (30, 1, 1) and cache.labels == ["value", "square"]


def test_a_whole_cache_is_computed_before_it_is_read(tmp_path: Path) -> None:
    compute = Counting()
    opened(tmp_path, 9, compute, whole=True)
    assert compute.calls == [(0, 4), (4, 8), (8, 9)]


def test_an_interrupted_cache_is_continued(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, 30, Counting(fail_at=17), whole=True)
    rest = Counting()
    cache = opened(tmp_path, 30, rest, whole=True)
    assert rest.calls[0] == (16, 20) and len(rest.calls) == 4
    assert cache["value"][range(30)][:, 0].tolist() == [*range(30)]


def test_another_name_deletes_the_cache_of_its_kind(tmp_path: Path) -> None:
    opened(tmp_path, 9, Counting(), whole=True)
    RowCache.open(CacheRoot(tmp_path), "latents", "other", 9, Counting()).fill([0])
    RowCache.open(CacheRoot(tmp_path), "prompts", "k", 9, Counting()).fill([0])
    assert {path.name for path in tmp_path.iterdir()} == {"latents-other", "prompts-k"}


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost array": lambda folder: (folder / "square.npy").unlink(),
    "cut array": lambda folder: os.truncate(folder / "value.npy", 100),
    "empty array": lambda folder: os.truncate(folder / "value.npy", 0),
    "other rows": lambda folder: np.save(folder / "value.npy", np.zeros((9, 1), np.float32)),
    "other numbers": lambda folder: np.save(folder / "value.npy", np.zeros((10, 1))),
    "objects": lambda folder: np.save(folder / "value.npy", np.array([[None]] * 10)),
    "lost blocks": lambda folder: (folder / "done.npy").unlink(),
    "other blocks": lambda folder: np.save(folder / "done.npy", np.ones(2, np.uint8)),
    "lost shapes": lambda folder: (folder / "shapes.json").unlink(),
    **{
        f"shapes {text!r}": lambda folder, text=text: (folder / "shapes.json").write_text(text)
        for text in ("[]", "3", "{", "", '{"value": 3}', '{"value": [2]}', "[3]")
    },
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_again(tmp_path: Path, damage: str) -> None:
    opened(tmp_path, 10, Counting(), whole=True)
    DAMAGE[damage](tmp_path / "latents-k")
    again = Counting()
    cache = opened(tmp_path, 10, again, whole=True)
    assert again.calls == [(0, 4), (4, 8), (8, 10)]
    assert cache["value"][range(10)][:, 0].tolist() == [*range(10)]
    assert cache["square"][9].tolist() == [[81]]


def test_a_block_that_was_not_finished_is_computed_again(tmp_path: Path) -> None:
    """A kill leaves rows without their mark."""
    opened(tmp_path, 10, Counting(), whole=True)
    done = np.load(tmp_path / "latents-k" / "done.npy", mmap_mode="r+")
    done[1] = 0
    done.flush()
    values = np.load(tmp_path / "latents-k" / "value.npy", mmap_mode="r+")
    values[5] = -1
    values.flush()
    again = Counting()
    assert opened(tmp_path, 10, again)["value"][5].tolist() == [5]
    assert again.calls == [(4, 8)]


needs_room = pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="this system takes room when it is written to"
)


@needs_room
def test_rows_have_their_room_before_they_are_written_and_others_take_none(tmp_path: Path) -> None:
    """A page that a full disk cannot hold would end the process by SIGBUS."""

    def compute(first: int, last: int) -> dict[str, torch.Tensor]:
        return {"value": torch.zeros(last - first, 100_000)}

    cache = RowCache.open(CacheRoot(tmp_path), "latents", "k", 1000, compute)
    cache.fill([500])
    taken = (tmp_path / "latents-k" / "value.npy").stat().st_blocks * 512
    assert 4 * 400_000 <= taken < 10 * 400_000


@needs_room
def test_a_full_disk_is_an_error_before_rows_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = opened(tmp_path, 30, Counting())
    cache.fill([0])

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        cache.fill([5])
    monkeypatch.undo()
    again = Counting()
    assert opened(tmp_path, 30, again)["value"][5].tolist() == [5]
    assert again.calls == [(4, 8)]


def test_a_shared_cache_is_worked_out_once_and_stands_beside_others(tmp_path: Path) -> None:
    first = Counting()
    second = Counting()
    with ThreadPoolExecutor(2) as pool:
        found = [
            pool.submit(RowCache.shared, tmp_path, "class", "one", 9, compute)
            for compute in (first, second)
        ]
        caches = [future.result() for future in found]
    RowCache.shared(tmp_path, "class", "other", 3, Counting())
    assert len(first.calls) + len(second.calls) == 3
    assert all(cache["value"][range(9)][:, 0].tolist() == [*range(9)] for cache in caches)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "class-one",
        "class-other",
    }


def test_blocks_count_the_rows_that_were_asked_for() -> None:
    assert row_cache.blocks([0, 3, 4, 9, 9]) == {0: 2, 1: 1, 2: 2}


def test_a_folder_that_is_deleted_meanwhile_is_made_again(tmp_path: Path) -> None:
    opened(tmp_path, 10, Counting(), whole=True)
    shutil.rmtree(tmp_path / "latents-k")
    assert opened(tmp_path, 10, Counting())["value"][7].tolist() == [7]
