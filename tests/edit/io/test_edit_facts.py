"""What determines an edit, as its record holds it: options of the editor alone, and hashes in place
of files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from latentdrift.config import EditOptions
from latentdrift.data.cohort.controlnet_hints import HintSource
from latentdrift.edit.editors.editors import EDITORS
from latentdrift.edit.io.edit_facts import EditFacts, ModelFacts
from latentdrift.edit.io.edit_inputs import Entry
from latentdrift.edit.io.edit_requests import EditChange, Request
from latentdrift.model.drift import Drift
from latentdrift.model.model import LoadedAdapter

ADAPTER = LoadedAdapter("lora", "1" * 64, 0.5, Path("DOE"))
MODEL = ModelFacts(Drift.of([0.1, 0.0, -0.1, 0.2]), "0" * 64, (ADAPTER,))


def facts_of(editor: str) -> EditFacts:
    options = EditOptions(
        adapter="run", source=Path("DOE.png"), out=Path("edits"), mask=Path("DOE-mask.png")
    )
    entry = Entry("000000", {}, read=lambda: pytest.fail("read"), sha256="2" * 64)
    change = EditChange(editor, {"age": 85.0}, add=("effusion",))
    request = Request(entry, "a brain MRI", "an old brain MRI", None, change)
    return EditFacts(options, True, request, MODEL)


@pytest.mark.parametrize("editor", EDITORS)
def test_options_that_do_not_reach_the_editor_and_file_names_are_left_out(editor: str) -> None:
    values = facts_of(editor).to_dict()
    recorded_for_all = {"editor", "add", "remove", "detail", "mask", "base"}
    options = values.keys() & EditOptions.model_fields.keys() - recorded_for_all
    assert options == set(EDITORS[editor].options) - {"mask", "protect"}
    assert "DOE" not in str(values)


def test_the_order_of_the_record() -> None:
    values = facts_of("sdedit").to_dict()
    assert list(values) == [
        *("strength", "steps", "guidance", "seed", "seeds", "mask_edge", "detail"),
        *("editor", "changes", "add", "remove", "source_prompt", "target_prompt"),
        *("image", "mask", "drift", "base", "adapters"),
    ]
    assert values["adapters"] == [{"method": "lora", "weight": 0.5, "sha256": "1" * 64}]
    assert values["drift"] == MODEL.drift.to_dict() and values["mask"] is None


def test_a_mask_and_hints_are_known_by_their_hashes() -> None:
    plain = facts_of("sdedit")
    hinted = replace(plain, hints=[HintSource("edges", None), HintSource("mask=m", "3" * 64)])
    assert hinted.to_dict()["hints"] == [
        {"hint": "edges", "file": None},
        {"hint": "mask=m", "file": "3" * 64},
    ]
    masks = []
    for inside in (np.zeros((4, 4), bool), np.eye(4, dtype=bool)):
        entry = replace(plain.request.entry, inside=inside)
        masks.append(replace(plain, request=replace(plain.request, entry=entry)).to_dict()["mask"])
    assert len(set(masks)) == 2 and all(len(mask) == 64 for mask in masks)
