"""UIDs under a secret: the same source, the same UID, and a map that leads back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pydicom
import pydicom.data
from dicoms import one
from pydicom.uid import UID

from latentdrift.data.images.dicom.uids import Uids
from latentdrift.data.images.dicom.writer import write_dicom


def test_uids_are_mapped_under_a_secret_that_leads_back(source: Path, tmp_path: Path) -> None:
    """The same private folder gives the same UIDs in another process; another secret gives others;
    the map leads back."""
    made = []
    for opened in (
        partial(Uids.open, tmp_path / "secret"),
        partial(Uids.open, tmp_path / "secret"),
        partial(Uids, "other"),
    ):
        uids = opened()
        write_dicom(
            tmp_path / "w.dcm", source, one(source).pixels, description="nothing", uids=uids
        )
        uids.save()
        made.append(pydicom.dcmread(tmp_path / "w.dcm"))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        first, again, other = (dataset[keyword].value for dataset in made)
        assert first == again
        assert again != other
    kept = (tmp_path / "secret" / "uids.csv").read_text().splitlines()
    back = {row.split(",")[2]: row.split(",")[1] for row in kept[1:]}
    reference = made[0].SourceImageSequence[0].ReferencedSOPInstanceUID
    assert back[reference] == pydicom.dcmread(source).SOPInstanceUID
    assert all(
        (tmp_path / "secret" / name).stat().st_mode & 0o077 == 0
        for name in ("salt.txt", "uids.csv", ".")
    )


def test_a_new_uid_is_valid_and_differs_by_keyword_and_secret() -> None:
    """A UUID as a decimal number under 2.25 (PS3.5 B.2): at most 64 characters (PS3.5 9.1)."""
    uids = Uids("secret")
    new = uids.map("StudyInstanceUID", "1.2.3")
    assert new == Uids("secret").map("StudyInstanceUID", "1.2.3")
    assert new.startswith("2.25.") and len(new) <= 64 and UID(new).is_valid
    assert int(new.removeprefix("2.25.")) < 2**128
    others = (
        uids.map("SeriesInstanceUID", "1.2.3"),
        uids.map("StudyInstanceUID", "1.2.4"),
        Uids("another").map("StudyInstanceUID", "1.2.3"),
    )
    assert new not in others and len(set(others)) == 3


def test_nothing_is_written_where_nothing_was_mapped(tmp_path: Path) -> None:
    Uids.open(tmp_path / "secret").save()
    assert not (tmp_path / "secret").exists()
