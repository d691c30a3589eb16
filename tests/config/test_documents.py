"""YAML that people write: read with its types, and refused where it could grow without end."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from latentdrift.config.documents import MAX_BYTES, MAX_DEPTH, read_yaml
from latentdrift.errors import InputError


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "a.yaml").write_bytes(text.encode(encoding))
    return folder / "a.yaml"


def test_the_loader_decides_the_types(tmp_path: Path) -> None:
    path = written(tmp_path, "sex: no\nage: 7\n")
    assert read_yaml(path, "the map a.yaml", yaml.BaseLoader) == {"sex": "no", "age": "7"}
    assert read_yaml(path, "the map a.yaml", yaml.SafeLoader) == {"sex": False, "age": 7}


def test_words_have_one_unicode_form_and_no_byte_order_mark(tmp_path: Path) -> None:
    path = written(tmp_path, "name: Mu\N{COMBINING DIAERESIS}ller", "utf-8-sig")
    read = read_yaml(path, "the map a.yaml", yaml.SafeLoader, "NFC")
    assert read == {"name": "M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "the map a.yaml is not YAML: "),
        ("a: &x [1]\nb: *x", r"has a YAML alias \(\*x\); write the value out"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested more than 20 levels deep"),
        ("a" * (MAX_BYTES + 1), "has more than 1 MB"),
        ("a: !!python/object/apply:os.system [ls]", "is not YAML"),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_yaml(written(tmp_path, text), "the map a.yaml", yaml.SafeLoader)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not YAML"):
        read_yaml(tmp_path / "a.yaml", "the map a.yaml", yaml.SafeLoader)
