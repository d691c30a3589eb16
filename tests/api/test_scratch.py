"""Folders of results: temporary ones end with their result, and copies are whole."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

import latentdrift as ld
from latentdrift.api.scratch import ResultFolder, copy_result
from latentdrift.errors import InputError, OptionError


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


def test_a_private_copy_is_readable_by_the_owner_alone(tmp_path: Path) -> None:
    edits = tmp_path / "edits"
    private = tmp_path / "edits-private"
    (edits / "000000").mkdir(parents=True)
    private.mkdir()
    (private / "uids.csv").write_text("uid")
    copied = copy_result(edits / "000000", tmp_path / "new", private=private)
    beside = copied.with_name("new-private")
    assert (beside / "uids.csv").read_text() == "uid"
    assert stat.S_IMODE(beside.stat().st_mode) == 0o700
    assert stat.S_IMODE((beside / "uids.csv").stat().st_mode) == 0o600
    with pytest.raises(InputError, match="new2-private is there and not empty"):
        (tmp_path / "new2-private").mkdir()
        (tmp_path / "new2-private" / "salt.txt").write_text("other")
        copy_result(edits / "000000", tmp_path / "new2", private=private)
    assert not (tmp_path / "new2").exists()


def test_a_place_that_cannot_be_copied_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tmp_path / "result"
    (result / "cache").mkdir(parents=True)
    (result / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="`out` is None; give a path"):
        copy_result(result, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is there and not empty"):
        copy_result(result, ".")
    for inside in (result / "file", result / "file" / "deeper"):
        with pytest.raises(InputError, match="lies in the result itself"):
            copy_result(result, inside)
    (tmp_path / "x.csv").write_text("x")
    for blocked in ("x.csv", "x.csv/deeper"):
        with pytest.raises(InputError, match=r"x\.csv is a file; give a new folder as `out`"):
            copy_result(result, blocked)
    assert not (copy_result(result, "new", left_out=("cache",)) / "cache").exists()
    with pytest.raises(InputError, match="is gone"):
        copy_result(tmp_path / "gone", "other")


@pytest.mark.parametrize("kind", [ld.ImageSet, ld.Report, ld.Counterfactual])
def test_results_open_from_text_and_say_what_is_missing(
    kind: type[ld.ImageSet], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no such folder"):
        kind(str(tmp_path / "missing"))
    with pytest.raises(InputError, match=r"it has no \w+\.json"):
        kind(str(tmp_path))
    with pytest.raises(OptionError, match="`folder` is 3; give a path"):
        kind(3)  # type: ignore[arg-type]


def test_a_damaged_report_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(InputError, match=r"report\.json is no report of latentdrift"):
        ld.Report(tmp_path)
