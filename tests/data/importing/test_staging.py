"""Unfinished work of an import: it continues under its own key, and goes away at the end."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentdrift.data.importing.staging import (
    StagedFile,
    StagedImage,
    Staging,
    staging_folder,
)


def stage(staging: Staging, name: str) -> None:
    """Write a picture's pixels, and record its file."""
    staging.pixels(f"{name}.png").write_bytes(name.encode())
    with staging.recording() as record:
        record(f"{name}.dcm", staged(name))


def staged(name: str) -> StagedFile:
    """One slice of a file, with everything that a header can say."""
    image = StagedImage(
        png=f"{name}.png",
        sha256="0" * 64,
        window=(-1000.0, 400.0),
        extent=(-1024.0, 812.5),
        spacing=(0.5, 0.75),
        unit="HU",
        kind="dicom",
        plane="axial",
        frame=3,
        notes=("lossy",),
        header={"age": 58.5, "view": "axial", "patient": "AB-01", "date": "2011-04-03"},
        png_bytes=2048,
    )
    return StagedFile((image,), stamp=(1024, 1_700_000_000))


def test_finished_files_come_back_under_the_same_key_alone(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    stage(Staging.open(out, "key"), "a")
    assert Staging.open(out, "key").done == {"a.dcm": staged("a")}
    anew = Staging.open(out, "another key")
    assert anew.done == {} and not anew.pixels("a.png").exists()


def test_a_refused_file_comes_back_with_its_reason(tmp_path: Path) -> None:
    refused = StagedFile(reason="truncated", sentence="a.dcm ends early", stamp=(7, 8))
    with Staging.open(tmp_path / "cohort", "key").recording() as record:
        record("a.dcm", refused)
    assert Staging.open(tmp_path / "cohort", "key").done == {"a.dcm": refused}


def test_the_identity_is_that_of_the_header() -> None:
    (image,) = staged("a").images
    assert (image.patient, image.date) == ("AB-01", "2011-04-03")
    unknown = replace(image, header={"patient": None, "date": None})
    assert (unknown.patient, unknown.date) == (None, None)


def test_a_line_that_was_cut_off_and_a_file_without_pixels_do_not_count(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    staging = Staging.open(out, "key")
    for name in "abc":
        stage(staging, name)
    staging.pixels("b.png").unlink()
    progress = staging.folder / "progress.jsonl"
    progress.write_text(progress.read_text()[:-5])
    assert list(Staging.open(out, "key").done) == ["a.dcm"]


def line_of(name: object, stored: object) -> str:
    """Line of progress.jsonl for a file."""
    return json.dumps([name, stored])


STORED: dict[str, Any] = json.loads(json.dumps(staged("a").to_dict()))
IMAGE = STORED["images"][0]
DAMAGED_LINES = [
    "3",
    "null",
    "{",
    "[]",
    '"ab"',
    '{"a": 1, "b": 2}',
    line_of("a.dcm", None),
    line_of("a.dcm", []),
    line_of(3, STORED),
    line_of(["a.dcm"], STORED),
    *(
        line_of("a.dcm", {name: value for name, value in STORED.items() if name != lost})
        for lost in STORED
    ),
    *(
        line_of("a.dcm", STORED | {"images": [{**IMAGE, lost: value}]})
        for lost, value in {"window": None, "png": 3, "kind": "nope", "later": 1}.items()
    ),
    *(
        line_of("a.dcm", STORED | {"images": [{n: v for n, v in IMAGE.items() if n != lost}]})
        for lost in IMAGE
    ),
    line_of("a.dcm", STORED | {"images": None}),
    line_of("a.dcm", STORED | {"images": [3]}),
    line_of("a.dcm", STORED | {"stamp": [1]}),
    line_of("a.dcm", STORED | {"stamp": "12"}),
    line_of("a.dcm", STORED | {"reason": 3}),
    line_of("a.dcm", STORED | {"later": None}),
]


@pytest.mark.parametrize("line", DAMAGED_LINES)
def test_a_line_that_is_damaged_or_of_another_version_is_ignored(tmp_path: Path, line: str) -> None:
    out = tmp_path / "cohort"
    staging = Staging.open(out, "key")
    stage(staging, "b")
    staging.pixels("a.png").write_bytes(b"a")
    progress = staging.folder / "progress.jsonl"
    progress.write_text(f"{line}\n{progress.read_text()}")
    assert Staging.open(out, "key").done == {"b.dcm": staged("b")}
    progress.write_text(line_of("a.dcm", STORED))
    assert Staging.open(out, "key").done == {"a.dcm": staged("a")}


def test_bytes_that_are_no_text_spoil_their_line_alone(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    staging = Staging.open(out, "key")
    stage(staging, "b")
    with open(staging.folder / "progress.jsonl", "ab") as handle:
        handle.write(b"\xff\xfe\n")
    assert Staging.open(out, "key").done == {"b.dcm": staged("b")}


def test_only_its_owner_opens_it(tmp_path: Path) -> None:
    staging = Staging.open(tmp_path / "cohort", "key")
    assert stat.S_IMODE(staging.folder.stat().st_mode) == 0o700


def test_the_cohort_appears_and_the_unfinished_work_goes(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    staging = Staging.open(out, "key")
    stage(staging, "a")
    staging.place("a.png", staging.assemble() / "images" / "000000.png")
    assert staging.pixels("a.png").exists()
    staging.finish(out)
    assert (out / "images" / "000000.png").read_bytes() == b"a"
    assert not staging_folder(out).exists()


def test_leftovers_beside_a_finished_cohort_are_removed(tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    Staging.open(out, "key")
    Staging.forget(out)
    Staging.forget(out)
    assert not staging_folder(out).exists()
