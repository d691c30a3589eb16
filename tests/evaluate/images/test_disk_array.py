"""What is kept on disk comes back as it went in, wherever it lies."""

from __future__ import annotations

import gc
import pickle
import shutil

import pytest
import torch

from latentdrift.errors import ResourceError
from latentdrift.evaluate.images import disk_array
from latentdrift.evaluate.images.disk_array import Spool, blocks, mean


@pytest.mark.parametrize("most", [10, 2**20])
def test_rows_are_read_back_from_memory_and_from_disk(monkeypatch, most):
    monkeypatch.setattr(disk_array, "IN_MEMORY", most)
    rows = torch.randn(23, 2, 3)
    kept = Spool((2, 3))
    for block in blocks(23, 5):
        kept.add(rows[block])
        assert torch.equal(kept[block], rows[block])  # between writes, too
    assert len(kept) == 23 and torch.equal(kept[:], rows) and torch.equal(kept[20:40], rows[20:])
    places = torch.tensor([22, 0, 5, 0])
    assert torch.equal(kept[places], rows[places])


def test_blocks_are_every_place_once():
    assert list(blocks(7, 3)) == [slice(0, 3), slice(3, 6), slice(6, 7)] and list(blocks(3, 9)) == [
        slice(0, 3)
    ]


def test_the_mean_is_that_of_all_rows_of_all_spools():
    rows = torch.randn(23, 4)
    one = Spool((4,))
    other = Spool((4,))
    one.add(rows[:20])
    other.add(rows[20:])
    for size in (1, 6, 100):
        assert torch.allclose(mean([one, other], size), rows.mean(0, keepdim=True), atol=1e-7)


def test_another_process_reads_the_rows_of_a_spool_in_a_folder(tmp_path):
    rows = torch.randn(9, 4)
    kept = Spool((4,), tmp_path)
    kept.add(rows)
    there = pickle.loads(pickle.dumps(kept))
    assert len(there) == 9 and torch.equal(there[:], rows)
    assert torch.equal(there[torch.tensor([7, 2])], rows[[7, 2]])
    sent = pickle.dumps(kept)
    del there
    assert torch.equal(kept[:], rows)
    del kept
    gc.collect()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ResourceError, match="share the folder `out` among all machines"):
        pickle.loads(sent)


@pytest.mark.filterwarnings("error")
def test_a_spool_outlives_its_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    kept = Spool((4,), folder)
    kept.add(torch.zeros(2, 4))
    shutil.rmtree(folder)
    del kept
    gc.collect()


def test_a_spool_without_a_folder_does_not_travel():
    with pytest.raises(TypeError, match="its own process's"):
        pickle.dumps(Spool((4,)))
