"""Edits read from disk: pictures, what the record says, and folders that are incomplete."""

from __future__ import annotations

import json
import re

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
    record = EditRecord.model_validate(contents)
    assert (record.patient, record.image, record.before) == ("p-1", "sha", "original")
    assert record.findings == ("Effusion", "Edema")
    findings = {"type": "findings", "vocabulary": ["Edema", "Effusion", "No Finding"]}
    before, after = record.states(spec_of({"age": {"type": "number"}, "findings": findings}))
    assert (before["age"], before["findings"]) == (60, "Edema")
    assert (after["age"], after["findings"]) == (70, "Effusion")


def test_a_record_without_a_request_gets_a_sentence():
    record = EditRecord.model_validate({"verb": "edit", "patient": None})
    assert record == EditRecord() and record.before == "reconstruction"
    with pytest.raises(InputError, match="no 'changes'"):
        record.states(spec_of({"age": {"type": "number"}}))


REQUEST = {"attributes": {"age": 60}, "changes": {"age": 70}}
SPEC = spec_of({"age": {"type": "number"}})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "it is no table of names and values"),
        ("null", "it is no table of names and values"),
        ("3", "it is no table of names and values"),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
        ('{"patient": 5}', "entry `patient`: input should be a valid string"),
        ('{"image": ["a"]}', "entry `image`: input should be a valid string"),
        ('{"detail": "no"}', "entry `detail`: input should be a valid boolean"),
        ('{"detail": 1}', "entry `detail`: input should be a valid boolean"),
        ('{"changes": "age"}', "entry `changes`: input should be a valid dictionary"),
        ('{"changes": [1]}', "entry `changes`: input should be a valid dictionary"),
        ('{"attributes": "age"}', "entry `attributes`: input should be a valid dictionary"),
        ('{"attributes": {"age": {}}}', "entry `attributes.age"),
        ('{"attributes": {"findings": [1]}}', "entry `attributes.findings"),
        ('{"remove": "Effusion"}', "entry `remove`: input should be a valid tuple"),
        ('{"add": {"Effusion": 1}}', "entry `add`: input should be a valid tuple"),
        ('{"add": [1]}', "entry `add.0`: input should be a valid string"),
        ('{"add": [null]}', "entry `add.0`: input should be a valid string"),
    ],
)
def test_a_damaged_record_gets_a_sentence(tmp_path, text, problem):
    write_edit(tmp_path / "a")
    (tmp_path / "a" / "record.json").write_text(text)
    with pytest.raises(InputError, match=f"{re.escape(problem)}.*; make the edit again"):
        read_edits(tmp_path)


def test_nulls_of_a_record_are_absent():
    names = ("patient", "image", "detail", "attributes", "changes", "add", "remove")
    assert EditRecord.model_validate(dict.fromkeys(names)) == EditRecord()


def test_values_of_a_record_stay_as_they_are_written():
    values = {"age": 60, "bmi": 60.0, "sex": "1", "smoker": True, "view": None, "findings": ["a"]}
    record = EditRecord.model_validate({"attributes": values, "changes": values})
    for read in (record.attributes, record.changes):
        assert repr(dict(read)) == repr(values)


@pytest.mark.parametrize("change", [{"attributes": {"age": "x"}}, {"changes": {"age": ["x"]}}])
def test_a_word_where_a_number_is_needed_gets_a_sentence(change):
    record = EditRecord.model_validate(REQUEST | change)
    with pytest.raises(InputError, match=r"'x'.* as `age`, where a number is needed"):
        record.states(SPEC)


def test_a_number_that_the_cohort_has_not_may_be_a_word():
    record = EditRecord.model_validate(REQUEST | {"attributes": {"age": 60, "site": "x"}})
    assert record.states(SPEC)[1] == {"age": 70, "site": "x"}


def test_the_patient_goes_before_the_image_and_the_image_before_the_edit():
    records = [{"patient": "p-1", "image": "a"}, {"patient": "", "image": "a"}, {"image": ""}]
    grey = np.zeros((16, 16, 3), np.float32)
    edits = [
        RecordedEdit(f"{place}", EditRecord.model_validate(record), grey, grey, grey)
        for place, record in enumerate(records)
    ]
    assert patients_of(edits) == ["p-1", "a", "edit 2"]
