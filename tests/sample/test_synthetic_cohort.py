"""Synthetic cohorts: prompts that are cut, depth of pixels, and files that go on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_ramps import drawn

from latentdrift.sample.synthetic_cohort import REPORTED, ImageStore, Request, readable


def test_long_prompts_are_cut_part_by_part() -> None:
    (found,) = readable(
        [Request.of("one two three:0.5 AND four five")], lambda text: text.split()[0]
    )
    assert (
        found.prompt_or_parts == (("one", 0.5), ("four", 1.0))
        and found.prompt == "one:0.5 AND four:1"
    )


@pytest.mark.parametrize(("depth", "kind"), [(8, np.uint8), (16, np.uint16)])
def test_a_depth_is_that_of_the_pictures(depth: int, kind: Any, tmp_path: Path) -> None:
    cohort = drawn(tmp_path / "c", depth=depth)
    stored = cohort.stored(cohort.table.iloc[0].to_dict())
    most = np.iinfo(kind).max
    assert stored.dtype == kind and stored[0, 0] == 0 and stored[-1, -1] == most
    np.testing.assert_array_equal(stored.ravel(), np.rint(np.linspace(0, most, 1024)))
    assert (cohort.table["window_high"] == most).all()


def test_the_copy_search_sees_the_same_of_either_depth(tmp_path: Path) -> None:
    pictures = {}
    for depth in (8, 16):
        sheet = ImageStore.open(tmp_path / str(depth), {})
        sheet.keep(
            0,
            np.broadcast_to(np.linspace(-1, 1, 1024).reshape(32, 32, 1), (32, 32, 3)),
            colour=False,
            depth=depth,
        )
        pictures[depth] = sheet.pictures(1)
    assert pictures[8].dtype == pictures[16].dtype == np.uint8
    np.testing.assert_array_equal(pictures[8], pictures[16])


def test_what_generate_cuts_off_is_said_once_per_prompt(caplog: pytest.LogCaptureFixture) -> None:
    def two_words(text: str) -> str:
        return " ".join(text.split()[:2])

    long = [Request(f"one two three{n}") for n in range(REPORTED + 2)]
    with caplog.at_level(logging.WARNING):
        read = readable([Request("one two"), *long, long[0]], two_words)
    assert [request.prompt for request in read] == ["one two"] * (REPORTED + 4)
    assert len(caplog.messages) == REPORTED + 1
    assert (
        caplog.messages[0]
        == "the prompt 'one two three0' is longer than the text encoder reads: 'three0' is dropped"
    )
    assert caplog.messages[-1] == "the ends of 2 further prompts are dropped, too"


def test_several_findings_of_a_request_are_one_cell(tmp_path: Path) -> None:
    store = ImageStore.open(tmp_path / "made", {})
    store.keep(0, np.zeros((16, 16, 3), np.float32), colour=False)
    request = Request("a chest X-ray", {"findings": ["effusion", "nodule"], "age": 70.0})
    cohort = store.publish([request], {"describe": "chest X-ray"}, 0)
    assert cohort.table["findings"].tolist() == ["effusion|nodule"]
    assert cohort.attributes["findings"].words == ["effusion", "nodule"]
