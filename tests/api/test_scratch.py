"""Folders of results: temporary ones end with their result, and copies are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentdrift.api.scratch import ResultFolder, copy_result
from latentdrift.errors import InputError


def test_a_temporary_folder_ends_with_its_result(tmp_path: Path) -> None:
    named = ResultFolder.open(tmp_path / "out", "images")
    assert named == named and named.path == tmp_path / "out" and named.keeper is None
    temporary = ResultFolder.open(None, "images")
    path = temporary.path
    path.mkdir()
    assert path.name == "images"
    del temporary
    assert not path.parent.exists()


def test_a_copy_has_the_folders_beside_it_and_replaces_nothing(tmp_path: Path) -> None:
    for name in ("images", "images-private", "images-other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    copied = copy_result(tmp_path / "images", tmp_path / "kept" / "mine")
    assert {str(path.relative_to(tmp_path / "kept")) for path in copied.parent.rglob("file")} == {
        "mine/file",
        "mine-private/file",
    }
    (tmp_path / "empty").mkdir()
    copy_result(tmp_path / "images", tmp_path / "empty")
    with pytest.raises(InputError, match="is there and not empty; give a new folder as `out`"):
        copy_result(tmp_path / "images", tmp_path / "empty")
