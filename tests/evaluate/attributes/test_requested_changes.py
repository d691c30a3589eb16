"""Changes that the records of edits request."""

from __future__ import annotations

import pytest
import shapes

from latentdrift.errors import InputError
from latentdrift.evaluate.attributes.requested_changes import RequestedChanges
from latentdrift.evaluate.images.recorded_edits import EditRecord


def test_what_was_asked_is_read_from_the_records() -> None:
    known = {"age": 70.0, "sex": "F", "findings": "Effusion"}
    records = [
        EditRecord(attributes=known, changes={"age": 60, "sex": "M"}),
        EditRecord(attributes=known, changes={}, remove=("Effusion",)),
        EditRecord(attributes={}, changes={"age": 80}),
    ]
    asked = RequestedChanges.of(shapes.judges(), records, shapes.SPEC)
    assert asked.names == [["age down", "sex=M"], ["findings=Effusion removed"], ["age set"]]
    assert asked.touched[1].tolist() == [
        False,
        False,
        True,
        True,
    ]  # with the finding comes "No Finding"
    assert asked.target("sex=M") == (1, 0.0) and asked.target("findings=Effusion removed") == (
        2,
        0.0,
    )
    with pytest.raises(InputError, match="no 'changes'"):
        RequestedChanges.of(shapes.judges(), [EditRecord()], shapes.SPEC)
    with pytest.raises(InputError, match="no edit requests an attribute"):
        record = EditRecord(attributes=known, changes={"view": "PA"})
        RequestedChanges.of(shapes.judges(), [record], shapes.SPEC)
