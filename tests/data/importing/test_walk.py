"""Files of a source: links that lead out of it, names that are not UTF-8, folders that stay
shut."""

from __future__ import annotations

import os

import pytest
from noise_pictures import picture

from latentdrift.config import ImportOptions
from latentdrift.data.importing.importer import import_cohort
from latentdrift.errors import InputError
from latentdrift.service import run


def taken(source, **options):
    cohort = import_cohort(ImportOptions(source=source, out=source.with_name("cohort"), **options))
    return len(cohort.table), cohort.info.rejected_by_reason


def test_links_that_lead_nowhere_or_out_are_listed(source, tmp_path):
    picture(tmp_path / "elsewhere" / "secret.png", 99)
    (source / "dangling.png").symlink_to("gone.png")
    (source / "loop.png").symlink_to("loop.png")
    (source / "out.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (source / "folder").symlink_to(tmp_path / "elsewhere")
    (source / "inner").mkdir()
    (source / "inner" / "up").symlink_to(source)
    (source / "inner" / "same.png").symlink_to(source / "0.png")
    assert taken(source) == (6, {"missing": 2, "link outside": 2, "duplicate": 1})


def test_links_out_are_followed_where_that_is_asked_for(source, tmp_path):
    picture(tmp_path / "elsewhere" / "more.png", 99)
    (tmp_path / "elsewhere" / "round").symlink_to(tmp_path / "elsewhere")
    (source / "folder").symlink_to(tmp_path / "elsewhere")
    (source / "again").symlink_to(tmp_path / "elsewhere")
    assert taken(source, follow_links=True) == (7, {})


def test_a_name_that_is_not_utf8_goes_in(source):
    os.rename(source / "2.png", os.fsencode(source) + b"/M\xfcller.png")
    os.symlink(b"nowhere", os.fsencode(source) + b"/\xff.png")
    assert taken(source) == (6, {"missing": 1})
    assert "M\\xfcller.png" in (source.with_name("cohort-private") / "files.csv").read_text()


def test_a_folder_that_stays_shut_is_listed(source, monkeypatch):
    (source / "shut").mkdir()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert taken(source) == (6, {"unreadable": 1})


def test_a_source_of_bad_links_alone_says_so(tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.png").symlink_to("gone.png")
    with pytest.raises(
        InputError, match=r"no files that can be read: a.png: a symbolic link that leads nowhere"
    ):
        run("import", ImportOptions(source=tmp_path / "scans", out=tmp_path / "cohort"), quiet=True)
