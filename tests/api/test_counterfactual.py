"""Counterfactual: its pictures, its facts and its files."""

from __future__ import annotations

import stat
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dicoms
import numpy as np
import pytest
from PIL import Image

import latentdrift as ld
from latentdrift import service
from latentdrift.errors import CohortError, InputError


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def test_edit_gives_a_counterfactual_of_the_image(
    model: ld.Model, cohort: ld.Cohort, tmp_path: Path
) -> None:
    source = cohort.folder / str(cohort.table["file_name"].iloc[0])
    known = {"age": 60, "sex": "F", "diagnosis": "no dementia"}
    edit = model.edit(
        source,
        given=known,
        set={"diagnosis": "dementia"},
        strength=0.5,
        progress=False,
        steps=4,
    )
    assert np.array_equal(pixels(edit.original), pixels(Image.open(source)))
    assert edit.image.size == edit.reconstruction.size == edit.original.size
    assert edit.uncertainty is None
    assert "with no dementia" in edit.facts["source_prompt"]
    assert edit.facts["target_prompt"].endswith("with dementia")
    saved = edit.save(tmp_path / "edit")
    assert np.array_equal(pixels(Image.open(saved / "counterfactual.png")), pixels(edit.image))
    assert (saved.with_name("edit-private") / "sources.json").is_file()
    assert ld.Counterfactual(str(saved)).facts == edit.facts
    assert "counterfactual (synthetic)" in edit._repr_html_() and "dementia" in repr(edit)


def test_the_private_folder_of_a_dicom_edit_is_saved(model: ld.Model, tmp_path: Path) -> None:
    change: dict[str, Any] = {"set": {"diagnosis": "dementia"}, "strength": 0.5, "steps": 2}
    edit = model.edit(dicoms.saved(tmp_path / "scan.dcm"), progress=False, gate=False, **change)
    saved = edit.save(tmp_path / "edit")
    private = saved.with_name("edit-private")
    assert (saved / "counterfactual.dcm").is_file()
    assert {"salt.txt", "uids.csv"} <= {path.name for path in private.iterdir()}
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in private.iterdir()} == {0o600}


def test_edits_of_a_cohort_are_a_list(model: ld.Model, cohort: ld.Cohort) -> None:
    change: dict[str, Any] = {"split": "test", "age": "+3", "strength": 0.5}
    few: dict[str, Any] = {"steps": 4, "progress": False}
    edits = model.edit_all(cohort, **change, **few)
    assert len(edits) == len(cohort.rows("test"))
    with pytest.raises(InputError, match="counterfactuals, and `edit` returns one"):
        model.edit(cohort.folder, **change, **few)


def test_edits_are_those_of_the_call_and_not_of_the_folder(
    model: ld.Model, cohort: ld.Cohort, tmp_path: Path
) -> None:
    source = cohort.folder / str(cohort.table["file_name"].iloc[0])
    few: dict[str, Any] = {"steps": 2, "strength": 0.5, "progress": False, "gate": False}
    values = model.edit_all(
        source, grid="diagnosis=dementia,no dementia", out=tmp_path / "edits", **few
    )
    one = model.edit(source, set={"diagnosis": "dementia"}, out=tmp_path / "edits", **few)
    assert one.folder.name == "000000" and one.facts["target_prompt"].endswith("with dementia")
    assert len(values) == 2 and one.folder not in [edit.folder for edit in values]


def test_edits_that_are_all_held_back_are_named_so(
    model: ld.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_back = service.Edits(
        tmp_path / "edits", 1, (), ("000000",), 1, tmp_path / "edits-quarantine"
    )
    monkeypatch.setattr(service, "ready", lambda verb, options: nullcontext())
    monkeypatch.setattr(service, "make_edits", lambda *arguments: held_back)
    with pytest.raises(CohortError, match=r"repeat training images.*held back in .*-quarantine"):
        model.edit(tmp_path / "scan.png", set={"diagnosis": "dementia"})
    assert model.edit_all(tmp_path / "scan.png", set={"diagnosis": "dementia"}) == []


@pytest.mark.parametrize("text", ["[]", "null", "{"])
def test_a_damaged_record_is_a_sentence(text: str, tmp_path: Path) -> None:
    for name in ("record.json", "counterfactual.png"):
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"no edit record of latentdrift.*; make the edit again"):
        _ = ld.Counterfactual(tmp_path).facts
