"""Records of what made a folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
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
        ('{"verb": "edit", "options": {}, "inputs": null}', "`inputs`"),
        ('{"verb": "edit", "options": {}, "inputs": {"adapters": null}}', "`inputs.adapters`"),
        ('{"verb": "edit", "options": {}, "inputs": {"adapters": [3]}}', "`inputs.adapters.0`"),
        (
            '{"verb": "edit", "options": {}, "inputs": {"adapters": [{"method": 3}]}}',
            "`inputs.adapters.0.method`",
        ),
    ],
)
def test_a_record_of_wrong_types_is_a_sentence(text: str, finding: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match="no record of latentdrift") as error:
        record.read(tmp_path)
    assert finding in str(error.value)


def test_inputs_of_a_later_version_are_read_as_they_are(tmp_path: Path) -> None:
    text = '{"verb": "edit", "options": {}, "inputs": {"adapters": [{"later": 1}], "mask": null}}'
    (tmp_path / "record.json").write_text(text)
    assert record.read(tmp_path) == json.loads(text)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"a"', "{", "\udcff"])
def test_a_damaged_private_part_is_a_sentence(text: str, tmp_path: Path) -> None:
    place = record.private_place(tmp_path / "out")
    place.parent.mkdir()
    place.write_text(text, errors="surrogateescape")
    recorded = {"verb": "edit", "options": {"source": None}, "private": ["source"]}
    with pytest.raises(InputError, match=r"keeps source apart, in .*, which cannot be read"):
        record.complete(recorded, tmp_path / "out" / "record.json")


def test_outputs_are_those_of_the_names_given(tmp_path: Path) -> None:
    for name in ("first/a.png", "second/a.png", "first-strip.png", "second.gif", "first/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    own = record.outputs(tmp_path, {"first", "first-strip.png", "first.gif"})
    assert own == {
        name: hashlib.sha256(name.encode()).hexdigest()
        for name in ("first/a.png", "first-strip.png")
    }
    assert set(record.outputs(tmp_path)) == {*own, "second/a.png", "second.gif"}


@dataclass(frozen=True)
class Thing:
    """Something with a text of its own."""

    name: str


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (1, None, "x"),
        ([], ["a"], ["a", "b"]),
        ((), ("a",), ("a", 'quote " and \\ and \n', "é \U0001f9e0")),
        ((Thing("é"), Thing("b")), [Thing("c"), Thing("d"), None]),
        (Path("a/b"), {"b": [1, 2]}, {3}, (1.5, float("nan"))),
    ],
)
def test_the_short_hash_is_that_of_version_0_1(parts: tuple[object, ...]) -> None:
    text = json.dumps([1, *map(str, parts)])
    assert record.short_hash(*parts) == hashlib.sha256(text.encode()).hexdigest()[:16]
