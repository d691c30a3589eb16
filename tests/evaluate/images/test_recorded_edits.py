"""Edits read from disk: pictures, what the record says, and folders that are incomplete."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from specs import spec_of

from latentdrift.errors import InputError
from latentdrift.evaluate.images.recorded_edits import (
    EditRecord,
    RecordedEdit,
    patients_of,
    read_edits,
    read_picture,
)


def test_sixteen_bits_are_read_whole(tmp_path):
    stored = np.array([[0, 1], [32768, 65535]], dtype=np.uint16)
    Image.fromarray(stored).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png")[..., 1] == pytest.approx(stored / 65535.0)


def test_an_unreadable_picture_is_an_error_and_not_black(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        read_picture(tmp_path / "a.png")


def test_a_truncated_picture_is_an_error(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)).save(
        tmp_path / "a.png"
    )
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read_picture(tmp_path / "a.png")


def write_edit(folder, names=("original", "reconstruction", "counterfactual", "difference")):
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(np.full((16, 16), 100, np.uint8)).save(folder / f"{name}.png")
    (folder / "record.json").write_text(json.dumps({"verb": "edit"}))


def test_edits_are_found_in_sub_folders_or_in_the_folder_itself(tmp_path):
    write_edit(tmp_path / "many" / "000001")
    write_edit(tmp_path / "many" / "000000")
    write_edit(tmp_path / "one")
    assert [edit.name for edit in read_edits(tmp_path / "many")] == ["000000", "000001"]
    (one,) = read_edits(tmp_path / "one")
    assert one.original.shape == (16, 16, 3) and one.record == EditRecord()
    assert one.mask is None and one.reversal is None


def test_an_incomplete_edit_gets_a_sentence(tmp_path):
    write_edit(tmp_path / "a", ("original", "counterfactual"))
    with pytest.raises(InputError, match=r"lacks reconstruction\.png, difference\.png"):
        read_edits(tmp_path)


def test_a_folder_without_edits_gets_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"no counterfactual\.png"):
        read_edits(tmp_path)


def test_a_mask_and_an_edit_back_are_read_where_they_are(tmp_path):
    write_edit(tmp_path / "a")
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(tmp_path / "a" / "mask.png")
    back = tmp_path / "a" / "reverse" / "000000"
    write_edit(back)
    Image.fromarray(np.full((16, 16), 51, np.uint8)).save(back / "counterfactual.png")
    (edit,) = read_edits(tmp_path)
    assert (edit.mask == 1).all()
    assert edit.reversal == pytest.approx(np.full((16, 16, 3), 0.2))


def test_a_record_states_the_attributes_before_and_after():
    contents = {
        "verb": "edit",
        "patient": "p-1",
        "image": "sha",
        "detail": True,
        "attributes": {"age": 60, "findings": "Edema"},
        "changes": {"age": 70},
        "add": ["Effusion"],
        "remove": ["Edema"],
    }
    record = EditRecord.of(contents)
    assert (record.patient, record.image, record.before) == ("p-1", "sha", "original")
    assert record.findings == ("Effusion", "Edema")
    findings = {"type": "findings", "vocabulary": ["Edema", "Effusion", "No Finding"]}
    before, after = record.states(spec_of({"age": {"type": "number"}, "findings": findings}))
    assert (before["age"], before["findings"]) == (60, "Edema")
    assert (after["age"], after["findings"]) == (70, "Effusion")


def test_a_record_without_a_request_gets_a_sentence():
    record = EditRecord.of({"verb": "edit", "patient": None})
    assert record == EditRecord() and record.before == "reconstruction"
    with pytest.raises(InputError, match="no 'changes'"):
        record.states(spec_of({"age": {"type": "number"}}))


def test_the_patient_goes_before_the_image_and_the_image_before_the_edit():
    records = [{"patient": "p-1", "image": "a"}, {"patient": None, "image": "a"}, {}]
    grey = np.zeros((16, 16, 3), np.float32)
    edits = [
        RecordedEdit(f"{place}", EditRecord.of(record), grey, grey, grey)
        for place, record in enumerate(records)
    ]
    assert patients_of(edits) == ["p-1", "a", "edit 2"]
