"""Records of what made a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift import record
from latentdrift.errors import InputError


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("[]", "no table of names"),
        ("7", "no table of names"),
        ('{"verb": 3, "options": {}}', "`verb`"),
        ("{", "damaged"),
        ('{"verb": "fit", "options": []}', "`options`"),
        ('{"verb": "fit"}', "`options`"),
        ("[" * 50_000, "damaged"),
        ('{"verb": "fit", "options": {}, "results": 3}', "`results`"),
        ("\udcff", "damaged"),
    ],
)
def test_a_record_of_wrong_types_is_a_sentence(text: str, finding: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match="no record of latentdrift") as error:
        record.read(tmp_path)
    assert finding in str(error.value)
