"""Hints of images: those of a cohort's rows, and files that are given to all."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from latentdrift.adapt.methods.examples import Example
from latentdrift.adapt.training.batches.hint_batches import (
    Pictures,
    beside,
    examples,
    of_rows,
    pictures,
)
from latentdrift.adapt.training.batches.row_cache import CacheRoot
from latentdrift.config import GenerateOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.data.cohort.controlnet_hints import Hint
from latentdrift.errors import CohortError, OptionError

EDGES = Hint("edges")


@pytest.fixture
def cohort(tiny_cohort_folder: Path) -> Cohort:
    return Cohort.load(tiny_cohort_folder)


def test_hints_of_a_batch_are_those_of_its_rows(cohort: Cohort, tmp_path: Path) -> None:
    candidates = [Example(row, "a brain MRI") for row in (3, 1, 5)]
    with_hint = examples(cohort, "train", candidates, EDGES)
    assert [example.shown for example in with_hint] == [3, 1, 5]
    shown = beside(cohort, EDGES, [1, 3, 5], 32, CacheRoot(tmp_path))
    batch = shown(with_hint[:2])
    assert batch.shape == (2, 3, 32, 32)
    for hint, row in zip(batch, (3, 1), strict=True):
        expected = torch.from_numpy(EDGES.picture(cohort, row, 32)).expand(3, -1, -1)
        assert torch.equal(hint, expected)


def test_images_without_a_hint_are_left_out_and_counted(
    cohort: Cohort, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = Hint("earlier")
    sources = earlier.sources(cohort)
    first = next(row for row in range(len(cohort.table)) if row not in sources)
    later = next(iter(sources))
    pair = [Example(first, "a"), Example(later, "b")]
    (kept,) = examples(cohort, "train", pair, earlier)
    assert (kept.row, kept.shown) == (later, sources[later])
    assert "1 of 2 train images have no hint 'earlier': left out" in caplog.messages
    with pytest.raises(CohortError, match=r"none of 1 images of cohort .* has a hint 'earlier'"):
        examples(cohort, "train", pair[:1], earlier)
    assert examples(cohort, "validation", pair[:1], earlier) == ()


def test_rows_of_a_cohort_have_their_hints_and_a_key(cohort: Cohort) -> None:
    found = of_rows(cohort, [EDGES], [4, 2], 32)
    assert len(found) == 2 and list(found) == [0, 1] and found.mask is None
    (hint,) = found[1]
    assert torch.equal(hint[0], torch.from_numpy(EDGES.picture(cohort, 2, 32))[0])
    with pytest.raises(KeyError):
        _ = found[2]
    assert found.key == of_rows(cohort, [EDGES], [4, 2], 32).key
    assert found.key != of_rows(cohort, [EDGES], [2, 4], 32).key


def network(controls: int) -> Any:
    base = SimpleNamespace(controls=[None] * controls, shows="a hint")
    return SimpleNamespace(base=base, adapters=())


@pytest.mark.parametrize(
    ("files", "controls", "message"),
    [
        (1, 0, "gives 1 pictures, and this network has 0 ControlNets; give one for each"),
        (1, 2, "gives 1 pictures, and this network has 2 ControlNets; give one for each"),
        (0, 1, "this network needs a hint beside noise and text: give `like=COHORT`"),
    ],
)
def test_hints_have_to_go_with_the_network(
    files: int, controls: int, message: str, tmp_path: Path
) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "hint.png")
    options = GenerateOptions(
        adapter="run", out=tmp_path / "out", hint_image=(tmp_path / "hint.png",) * files
    )
    with pytest.raises(OptionError, match=message):
        pictures(options, network(controls), [0], 32)


def test_a_network_without_hints_is_shown_none(tmp_path: Path) -> None:
    options = GenerateOptions(adapter="run", out=tmp_path / "out")
    assert pictures(options, network(0), [0], 32) is None
    assert dict(Pictures(2, lambda index: [], "key")) == {0: [], 1: []}
