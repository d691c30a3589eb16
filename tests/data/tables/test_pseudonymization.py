"""Pseudonyms: one per patient, and private files that only their owner reads."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from kills import KilledError

from latentdrift.data.images.dicom.uids import Uids
from latentdrift.data.tables import pseudonymization
from latentdrift.data.tables.pseudonymization import patient_key, pseudonym


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("AB-01", True),
        ("ab-01", True),
        (" AB - 01", True),
        ("ＡＢ-01", True),
        ("AB-1", False),
        ("AB-011", False),
    ],
)
def test_ids_that_differ_by_case_and_blanks_are_one_patient(text, kept):
    assert (patient_key(text) == patient_key("AB-01")) == kept
    assert (pseudonym("salt", text) == pseudonym("salt", "AB-01")) == kept


@pytest.mark.parametrize("left", ["", "\n"])
def test_a_salt_that_a_full_disk_cut_off_is_no_secret(left: str, tmp_path: Path) -> None:
    """Under an empty one anybody could find patients' ids by trying them."""
    (tmp_path / "out-private").mkdir()
    (tmp_path / "out-private" / "salt.txt").write_text(left)
    assert len(pseudonymization.choose_salt(tmp_path / "out", None)) > 30
    assert len(Uids.open(tmp_path / "out-private").salt) > 30


@pytest.mark.parametrize(
    "error",
    [KilledError(), OSError(errno.ENOSPC, "No space left on device")],
    ids=["killed", "disk full"],
)
def test_private_files_appear_whole_or_not_at_all(tmp_path: Path, error: BaseException) -> None:
    tables = {"patients.csv": (("patient", "pseudonym"), [("a", "b")])}

    def fail(*_: Any) -> None:
        raise error

    with pytest.MonkeyPatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(os, "replace", fail)
        pseudonymization.write_private(tmp_path / "out", "secret", tables)
    assert not (tmp_path / "out-private" / "salt.txt").exists()
    pseudonymization.write_private(tmp_path / "out", "secret", tables)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out-private").iterdir()} == {
        "salt.txt": b"secret\n",
        "patients.csv": b"patient,pseudonym\r\na,b\r\n",
    }
    assert all(
        stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (tmp_path / "out-private").iterdir()
    )
