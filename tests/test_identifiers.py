"""Identifiers are planted in headers, paths and tables; nothing that a verb writes or prints has
one of them.

Only the private folder beside a cohort may. Files are searched as bytes, and what is compressed in
them unpacked.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.data import get_testdata_file

from latentdrift.cli import main

PATIENTS = 4
MARKERS = (
    "NOBODYSON",
    "JANETTA",
    "MARK-47",
    "MRK-47-1",
    "1931-05-17",
    "19310517",
    "20110304",
    "2011-03-04",
    "04.03.2011",
    "1.2.826.0.1.47",
    "SECRETWARD",
    "555-0147",
    "HOMESTREET",
    "DR-WHO-X",
    "FREETEXT",
)
"""None of them is a word or a number that a cohort, a model or a report could have by chance."""
PERSONS = (
    "PatientName",
    "OtherPatientNames",
    "OperatorsName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "PatientBirthName",
)
FREE_TEXTS = (
    "PatientComments",
    "StudyDescription",
    "SeriesDescription",
    "ImageComments",
    "ProtocolName",
    "AdditionalPatientHistory",
    "RequestedProcedureDescription",
    "ViewPosition",
    "BodyPartExamined",
)
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
FIELDS = {
    **dict.fromkeys(PERSONS, "NOBODYSON^JANETTA"),
    **dict.fromkeys(FREE_TEXTS, "FREETEXT JANETTA"),
    **dict.fromkeys(DATES, "20110304"),
    **dict.fromkeys(("AccessionNumber", "StudyID", "DeviceSerialNumber"), "MRK-47-1"),
    **dict.fromkeys(("InstitutionName", "InstitutionAddress", "StationName"), "SECRETWARD"),
    "PatientID": "MARK-47",
    "PatientBirthDate": "19310517",
    "PatientAddress": "HOMESTREET 1",
    "PatientTelephoneNumbers": "555-0147",
    "StudyInstanceUID": "1.2.826.0.1.47.1",
    "SeriesInstanceUID": "1.2.826.0.1.47.2",
    "FrameOfReferenceUID": "1.2.826.0.1.47.3",
    "PatientAge": "080Y",
    "PatientSex": "F",
    "ImageType": ["ORIGINAL", "PRIMARY", "FREETEXT"],
}


def scan(path: Path, who: int, number: int) -> Path:
    """A CT slice with every field of FIELDS, a private one, and pixels of its own."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword, value in FIELDS.items():
        setattr(dataset, keyword, value)
    dataset.PatientID = f"MARK-47{who}"
    dataset.StudyDate = f"2011030{4 + number}"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = (
        f"1.2.826.0.1.47.9.{who}.{number}"
    )
    dataset.private_block(0x0009, "NOBODYSON", create=True).add_new(1, "LO", "JANETTA")
    pixels = np.random.default_rng(10 * who + number).integers(
        -500, 900, dataset.pixel_array.shape, dtype=np.int16
    )
    dataset.PixelData = pixels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path)
    return path


def volume(path: Path, who: int) -> Path:
    image = nibabel.Nifti1Image(
        np.random.default_rng(who).normal(500, 100, (20, 20, 3)).astype(np.float32), np.eye(4)
    )
    image.header["descrip"] = b"NOBODYSON JANETTA 20110304"
    image.header["aux_file"] = b"MARK-47.nii"
    image.header["intent_name"] = b"JANETTA"
    image.header["db_name"] = b"DR-WHO-X"
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def photograph(path: Path, who: int) -> Path:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "NOBODYSON JANETTA")
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(who).integers(0, 256, (24, 24), dtype=np.uint8)
    Image.fromarray(pixels).save(path, pnginfo=text)
    return path


def source(kind: str, root: Path) -> list[str]:
    """A hospital's folder of one format, with a broken file and a table; returns the arguments of
    `import`."""
    place = root / "NOBODYSON_JANETTA_1931-05-17" / "Thorax 04.03.2011"
    rows = ["Name,MRN,Phone,file,patient,Age,Sex,Stage,Scan date"]
    for who in range(PATIENTS):
        for visit in range(2):
            name = f"NOBODYSON^JANETTA_MARK-47{who}_{visit}"
            day = f"{4 + visit:02d}.03.2011"
            telling = f"NOBODYSON JANETTA,MRK-47-1,555-0147,{name},MARK-47{who}"
            rows.append(f"{telling},{60 + who + visit},{'MF'[who % 2]},{'I' * (1 + visit)},{day}")
            if kind == "dicom":
                scan(place / f"{name}.dcm", who, visit)
            elif kind == "nifti":
                volume(place / f"{name}.nii.gz", 10 * who + visit)
            else:
                photograph(place / f"{name}.png", 10 * who + visit)
    (place / "MARK-470 report of JANETTA.txt").write_text("FREETEXT")
    (place / "NOBODYSON^JANETTA cut.dcm").write_bytes(
        Path(get_testdata_file("CT_small.dcm")).read_bytes()[:3000]
    )
    (root / "NOBODYSON.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    columns = (
        "patient: patient\nage: Age\nsex: Sex\nstage: Stage\ndate: Scan date\ndescribe: CT scan\n"
    )
    (root / "JANETTA.yaml").write_text(columns + ("" if kind == "dicom" else "file: file\n"))
    named = ["--table", str(root / "NOBODYSON.csv"), "--map", str(root / "JANETTA.yaml")]
    return [str(root), *named, *(["--plane", "axial"] if kind == "nifti" else [])]


def unpacked(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what is compressed or encoded in it."""
    data = path.read_bytes()
    yield data
    if path.suffix == ".gz":
        yield gzip.decompress(data)
    if path.suffix == ".png":
        with Image.open(path) as picture:
            yield json.dumps({key: str(value) for key, value in picture.info.items()}).encode()
    if path.suffix == ".dcm":
        yield str(pydicom.dcmread(path)).encode()


def leaks(folder: Path) -> list[str]:
    """`marker in file` of all files below a folder and of their names, without private folders."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.endswith("-private")]
        for name in names:
            path = Path(place) / name
            inside = b"\n".join([str(path.relative_to(folder)).encode(), *unpacked(path)]).upper()
            found += [
                f"{marker} in {path.relative_to(folder)}"
                for marker in MARKERS
                if marker.encode() in inside
            ]
    return found


Said = Callable[..., None]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Said:
    """Runs a verb; nothing that it prints or logs has a marker."""

    def run(*argv: object) -> None:
        code = main.main([str(part) for part in argv])
        out, err = capsys.readouterr()
        text = f"{out}\n{err}\n{caplog.text}".upper()
        assert code == 0, err
        assert [marker for marker in MARKERS if marker in text] == [], text
        caplog.clear()

    return run


@pytest.mark.parametrize("kind", ["dicom", "nifti", "png"])
def test_a_cohort_and_its_inspection_are_clean(tmp_path: Path, told: Said, kind: str) -> None:
    arguments = source(kind, tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()
    told("import", *arguments, "--out", out / "cohort")
    told("inspect", out / "cohort", "--out", out / "seen")
    assert leaks(out) == []
    info = json.loads((out / "cohort" / "cohort.json").read_text())
    assert (
        info["images"] == 2 * PATIENTS
        and info["patients"] == PATIENTS
        and len(info["rejected"]) >= 2
    )
    assert leaks(out / "cohort-private"), "the search finds what is there"


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A folder with a `cohort` of CT slices and a `run` of two steps."""
    folder = tmp_path_factory.mktemp("adapted")
    assert (
        main.main(["import", *source("dicom", folder / "in"), "--out", str(folder / "cohort")]) == 0
    )
    argv = [
        "fit",
        folder / "cohort",
        "--base",
        tiny_base_folder,
        "--out",
        folder / "run",
        "--steps",
        2,
        "--batch-size",
        2,
    ]
    assert main.main([str(part) for part in [*argv, "--precision", "fp32", "--drift", 0.1]]) == 0
    return folder


def test_an_adapter_and_what_it_draws_are_clean(adapted: Path, tmp_path: Path, told: Said) -> None:
    assert leaks(adapted / "run") == []
    told(
        "generate",
        adapted / "run",
        "--like",
        adapted / "cohort",
        "--n",
        2,
        "--steps",
        2,
        "--out",
        tmp_path / "made",
    )
    assert leaks(tmp_path) == []


@pytest.mark.parametrize("kind", ["dicom", "nifti", "png", "cohort"])
def test_an_edit_is_clean(adapted: Path, tmp_path: Path, told: Said, kind: str) -> None:
    make = {
        "dicom": lambda path: scan(path, 1, 0),
        "nifti": lambda path: volume(path, 3),
        "png": lambda path: photograph(path, 3),
    }
    suffix = {"dicom": ".dcm", "nifti": ".nii.gz", "png": ".png"}
    place = tmp_path / "in" / "NOBODYSON_JANETTA_1931-05-17" / "NOBODYSON^JANETTA_MARK-471"
    picture = (
        adapted / "cohort"
        if kind == "cohort"
        else make[kind](place.with_name(place.name + suffix[kind]))
    )
    window = [] if kind in ("cohort", "dicom") else ["--window", "full"]
    given = [] if kind == "cohort" else ["--given", "age=70", "sex=F", "stage=I"]
    plane = ["--plane", "axial"] if kind == "nifti" else []
    images = ["--split", "test"] if kind == "cohort" else []
    out = tmp_path / "out"
    how = [*given, *plane, *images, *window, "--set", "age=85", "--editor", "ddim", "--steps", 2]
    told("edit", adapted / "run", picture, *how, "--out", out)
    assert leaks(out) == []


@pytest.mark.slow
def test_everything_else_is_clean(
    adapted: Path, tmp_path: Path, told: Said, tiny_base_folder: Path
) -> None:
    run = adapted / "run"
    cohort = adapted / "cohort"
    told("generate", run, "--like", cohort, "--n", 12, "--steps", 2, "--out", tmp_path / "made")
    told(
        "edit",
        run,
        cohort,
        "--split",
        "test",
        "--set",
        "age=85",
        "--editor",
        "ddim",
        "--steps",
        2,
        "--out",
        tmp_path / "edits",
    )
    told(
        "evaluate",
        "--real",
        cohort,
        "--synthetic",
        tmp_path / "made",
        "--edits",
        tmp_path / "edits",
        "--bootstrap",
        20,
        "--out",
        tmp_path / "report",
    )
    told(
        "reader",
        "make",
        "--real",
        cohort,
        "--synthetic",
        tmp_path / "made",
        "--split",
        "train",
        "--n",
        2,
        "--out",
        tmp_path / "reader",
    )
    told("audit", run, "--cohort", cohort, "--out", tmp_path / "audit")
    told("drift", "estimate", cohort, "--base", tiny_base_folder, "--out", tmp_path / "drift")
    for tool in ("diffusers", "kohya", "a1111"):
        told("export", run, "--to", tool, "--out", tmp_path / f"for-{tool}")
    told("replay", tmp_path / "made", "--out", tmp_path / "again")
    assert leaks(tmp_path) == []
