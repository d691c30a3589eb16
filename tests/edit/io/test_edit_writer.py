"""What an edit leaves on disk, from pictures that are known: maps, seeds, records, and every kind
of DICOM source."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch
from dicoms import dicom_errors, saved
from PIL import Image
from pydicom.data import get_testdata_file

from latentdrift.attributes.specification import AttributeValues
from latentdrift.config import EditOptions
from latentdrift.data.images import image_readers
from latentdrift.data.images.intensity import to_unit
from latentdrift.data.images.letterbox import Fit
from latentdrift.edit.io.counterfactual import Counterfactual
from latentdrift.edit.io.edit_facts import EditFacts, ModelFacts
from latentdrift.edit.io.edit_inputs import Entry, Subject
from latentdrift.edit.io.edit_requests import EditChange, Request
from latentdrift.edit.io.edit_writer import differing, is_complete, write_counterfactual, write_map
from latentdrift.model.drift import Drift

OPTIONS = EditOptions(
    adapter="run", source=Path("scan.png"), out=Path("edits"), editor="sdedit", seed=7
)


def facts_of(changes: AttributeValues) -> EditFacts:
    """An edit under another age, with the change that it states."""
    request = Request(
        Entry("000000", {}, read=lambda: pytest.fail("the image was read before")),
        source="a brain MRI",
        target="an old brain MRI",
        instruction=None,
        change=EditChange("sdedit", changes),
    )
    return EditFacts(OPTIONS, False, request, ModelFacts(Drift(), "0" * 64))


FACTS = facts_of({"age": 85.0})
SIZE = 32


def of_file(path: Path, frame: int = 0, **how: Any) -> Subject:
    """In a square of the picture's own size, so that nothing is resized."""
    image = image_readers.read(path, **how)[frame]
    height, width = image.pixels.shape[:2]
    return Subject(f"{frame:06d}", image, {"age": 70.0}, Fit(height, width, max(height, width)))


def as_it_was(subject: Subject, **parts: torch.Tensor) -> Counterfactual:
    x = subject.tensor()
    return replace(Counterfactual(x, x, x), **parts)


def raster(tmp_path: Path) -> Subject:
    Image.fromarray(np.random.default_rng(0).integers(0, 200, (SIZE, SIZE), dtype=np.uint8)).save(
        tmp_path / "a.png"
    )
    return of_file(tmp_path / "a.png")


def test_each_seed_has_a_reconstruction_of_its_own(tmp_path: Path) -> None:
    """Seeds whose changes are equal are equal on the original, however their reconstructions
    differ."""
    subject = raster(tmp_path)
    x = subject.tensor() * 0.5
    offsets = (0.0, 0.1, -0.1)
    first, *others = [(x + shift, x + shift + 0.2) for shift in offsets]
    made = as_it_was(
        subject, reconstruction=first[0], counterfactual=first[1], others=tuple(others)
    )
    for one in made.on_original:
        torch.testing.assert_close(one, (subject.tensor() + 0.2).clamp(-1, 1))
    write_counterfactual(tmp_path / "e", subject, made, replace(FACTS, detail=True))
    record = json.loads((tmp_path / "e" / "record.json").read_text())
    assert record["measured"]["uncertainty"]["largest_sd"] == pytest.approx(0, abs=1e-6)


def test_mean_and_standard_deviation_over_seeds(tmp_path: Path) -> None:
    subject = raster(tmp_path)
    x = torch.zeros(1, 3, SIZE, SIZE)
    left = torch.zeros_like(x)
    left[..., : SIZE // 2] = 1.0
    pairs = tuple((x, x + shift * left) for shift in (0.0, 0.2, 0.4))
    made = as_it_was(subject, counterfactual=x - 0.2 * left, others=pairs)
    write_counterfactual(tmp_path / "e", subject, made, FACTS)
    said = json.loads((tmp_path / "e" / "record.json").read_text())["measured"]["uncertainty"]
    sd = np.std([-0.2, 0, 0.2, 0.4], ddof=1) / 2
    assert said["seeds"] == [7, 8, 9, 10]
    assert said["largest_sd"] == pytest.approx(sd, abs=1e-6) and said["mean_sd"] == pytest.approx(
        sd / 2, abs=1e-6
    )
    mean = np.asarray(Image.open(tmp_path / "e" / "mean.png"))
    assert (mean[:, : SIZE // 2] == 140).all() and abs(mean[:, SIZE // 2 :] - 127.5).max() <= 0.5
    first = np.asarray(Image.open(tmp_path / "e" / "counterfactual.png"))
    assert (first[:, : SIZE // 2] == 102).all()  # the first seed's
    for name in ("mean", "uncertainty", "absolute", "difference"):
        assert "Synthetic" in Image.open(tmp_path / "e" / f"{name}.png").text


def test_a_change_on_the_image_itself_loses_nothing_of_it(tmp_path: Path) -> None:
    """A model of a quarter of the rows and columns, whose reconstruction is a flat grey, and a
    change of its left half."""
    noise = np.random.default_rng(0).integers(60, 180, (4 * SIZE, 3 * SIZE), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    image = image_readers.read(tmp_path / "a.png", window="full")[0]
    subject = Subject("000000", image, {}, Fit(*noise.shape, SIZE))
    flat = torch.zeros(1, 3, SIZE, SIZE)
    change = torch.zeros(1, 3, SIZE, SIZE)
    change[..., : SIZE // 2] = 40 / 127.5
    made = replace(as_it_was(subject), reconstruction=flat, counterfactual=flat + change)
    found = {}
    for detail in (True, False):
        write_counterfactual(tmp_path / str(detail), subject, made, replace(FACTS, detail=detail))
        pictures = {
            path.stem: np.asarray(Image.open(path)).astype(int)
            for path in (tmp_path / str(detail)).glob("*al.png")
        }
        assert (pictures["original"] == noise).all()
        found[detail] = pictures["counterfactual"] - noise
        said = json.loads((tmp_path / str(detail) / "record.json").read_text())["measured"]
        assert said["largest_absolute_change"] == pytest.approx(
            40 / 255, abs=1e-3
        )  # of the change alone, either way
        assert said["mean_absolute_reconstruction_error"] > 0.1
    edge = 3 * SIZE // 2
    assert (
        abs(found[True][:, : edge - 12] - 40).max() <= 1
        and abs(found[True][:, edge + 12 :]).max() <= 1
    )  # Lanczos rings
    assert abs(found[False]).max() > 60  # what was drawn has none of the image's noise


def test_how_much_changed_is_said(tmp_path: Path) -> None:
    subject = raster(tmp_path)
    x = torch.zeros(1, 3, SIZE, SIZE)
    spot = x.clone()
    spot[..., :4, :4] = 0.2  # 16 of 1024 pixels
    for number, (change, expected) in enumerate([(x, 0.0), (spot, 0.1), (spot / 20, 0.005)]):
        made = as_it_was(subject, reconstruction=x, counterfactual=change)
        assert write_counterfactual(tmp_path / str(number), subject, made, FACTS) == pytest.approx(
            expected, abs=1e-6
        )
    weight = np.zeros((SIZE, SIZE), np.float32)
    weight[:4, :4] = 1
    masked = replace(subject, weight=weight)
    made = as_it_was(masked, reconstruction=x, counterfactual=spot)
    assert write_counterfactual(
        tmp_path / "m", masked, made, replace(FACTS, detail=True)
    ) == pytest.approx(0.1, abs=1e-6)


def test_outside_of_a_mask_no_change_is_put_on_the_image(tmp_path: Path) -> None:
    subject = raster(tmp_path)
    weight = np.zeros((SIZE, SIZE), np.float32)
    weight[:4] = 1
    subject = replace(subject, weight=weight)
    change = torch.full((1, 3, SIZE, SIZE), 0.1)
    made = subject.onto(change)
    assert (
        np.allclose(made[:4], (subject.unit[:4] + 0.1).clip(-1, 1))
        and (made[4:] == subject.unit[4:]).all()
    )


def test_one_seed_has_no_uncertainty(tmp_path: Path) -> None:
    subject = raster(tmp_path)
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject), FACTS)
    assert {path.name for path in (tmp_path / "e").iterdir()} == {
        "original.png",
        "reconstruction.png",
        "counterfactual.png",
        "difference.png",
        "absolute.png",
        "record.json",
    }
    assert "uncertainty" not in json.loads((tmp_path / "e" / "record.json").read_text())["measured"]


def test_maps_tell_sign_and_size(tmp_path: Path) -> None:
    change = np.zeros((SIZE, SIZE))
    change[:, : SIZE // 2], change[:, SIZE // 2 :] = -0.1, 0.1
    write_map(tmp_path / "signed.png", change, "a", signed=True)
    write_map(tmp_path / "absolute.png", np.abs(change), "a")
    signed, absolute = (
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
        for name in ("signed", "absolute")
    )
    height, width, _ = signed.shape
    at = [(height // 2, width // 5), (height // 2, width // 2)]
    blue, red = (signed[place] for place in at)
    assert blue[2] > blue[0] and red[0] > red[2]
    assert (absolute[at[0]] == absolute[at[1]]).all()


def test_the_record_is_complete_and_names_nobody(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "DOE.dcm",
        PatientName="DOE^JANE",
        PatientID="MRN-0042",
        PatientAge="070Y",
        PixelSpacing=[0.5, 0.7],
    )
    subject = of_file(path)
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject), FACTS)
    text = (tmp_path / "e" / "record.json").read_text()
    said = json.loads(text)
    assert (
        json.loads(json.dumps(FACTS.to_dict())).items() <= said.items()
        and said["attributes"] == {"age": 70.0}
        and said["synthetic"] is True
    )
    assert said["source"] == {
        "kind": "dicom",
        "frame": None,
        "plane": None,
        "shape": [6, 8],
        "spacing_mm": [0.5, 0.7],
        "unit": "intensity",
        "notes": [],
    }
    assert {"torch", "diffusers", "pydicom", "latentdrift"} <= said["versions"].keys()
    assert (
        "DOE" not in text
        and "MRN" not in text
        and subject.image.source
        and subject.image.source.uid not in text
    )
    other = replace(FACTS, options=OPTIONS.model_copy(update={"seed": 8}))
    assert is_complete(tmp_path / "e", FACTS) and not is_complete(tmp_path / "e", other)
    assert differing(tmp_path / "e", other) == ["seed"]
    assert differing(tmp_path / "e", facts_of({"age": 40.0})) == ["changes"]


@pytest.mark.parametrize("lost", ["difference.png", "counterfactual.dcm", "mean.png"])
def test_an_edit_with_a_deleted_file_is_not_complete(tmp_path: Path, lost: str) -> None:
    subject = of_file(saved(tmp_path / "a.dcm"))
    others = ((subject.tensor(), subject.tensor()),)
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject, others=others), FACTS)
    assert is_complete(tmp_path / "e", FACTS)
    (tmp_path / "e" / lost).unlink()
    assert not is_complete(tmp_path / "e", FACTS)


@pytest.mark.parametrize("text", ["[]", "null", "3", "{", ""])
def test_an_edit_with_a_damaged_record_is_made_again(tmp_path: Path, text: str) -> None:
    subject = raster(tmp_path)
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject), FACTS)
    (tmp_path / "e" / "record.json").write_text(text)
    assert not is_complete(tmp_path / "e", FACTS)
    assert differing(tmp_path / "e", FACTS) == []
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject), FACTS)
    assert is_complete(tmp_path / "e", FACTS)


@pytest.mark.parametrize("files", [None, 3, "original.png", [3], {"original.png": 1}])
def test_an_edit_whose_files_are_damaged_is_not_complete(tmp_path: Path, files: Any) -> None:
    subject = raster(tmp_path)
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject), FACTS)
    path = tmp_path / "e" / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"files": files}))
    assert not is_complete(tmp_path / "e", FACTS) and differing(tmp_path / "e", FACTS) == []


def test_an_edit_of_an_earlier_version_is_complete_with_its_five_pictures(tmp_path: Path) -> None:
    subject = raster(tmp_path)
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject), FACTS)
    record = json.loads((tmp_path / "e" / "record.json").read_text())
    del record["files"]
    (tmp_path / "e" / "record.json").write_text(json.dumps(record))
    assert is_complete(tmp_path / "e", FACTS)
    (tmp_path / "e" / "absolute.png").unlink()
    assert not is_complete(tmp_path / "e", FACTS)


# --- sources in DICOM
# -------------------------------------------------------------------------------------------------

RAMP = np.linspace(0, 4000, 8 * SIZE).reshape(8, SIZE)
PLACE = {
    "ImagePositionPatient": [-10, 20, 30.5],
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PixelSpacing": [0.7, 0.6],
}
ODD: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "plain": (RAMP.astype(np.uint16), PLACE),
    "monochrome1": (RAMP.astype(np.uint16), {"PhotometricInterpretation": "MONOCHROME1"}),
    "eight bits, monochrome1": (
        (RAMP / 16).astype(np.uint8),
        {"PhotometricInterpretation": "MONOCHROME1"},
    ),
    "signed": ((RAMP - 1000).astype(np.int16), {}),
    "twelve of sixteen bits": (RAMP.astype(np.uint16), {"BitsStored": 12, "HighBit": 11}),
    "rescale": (RAMP.astype(np.uint16), {"RescaleSlope": "0.5", "RescaleIntercept": "-100"}),
    "hounsfield": (
        RAMP.astype(np.uint16),
        {"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1000"},
    ),
    "window, monochrome1": (
        RAMP.astype(np.uint16),
        {"WindowCenter": "2000", "WindowWidth": "2001", "PhotometricInterpretation": "MONOCHROME1"},
    ),
    "no spacing": (RAMP.astype(np.uint16), {}),
    "detector's spacing": (
        RAMP.astype(np.uint16),
        {"Modality": "DX", "ImagerPixelSpacing": [0.2, 0.2]},
    ),
}


def written(subject: Subject, folder: Path, facts: EditFacts = FACTS) -> pydicom.Dataset:
    write_counterfactual(folder, subject, as_it_was(subject), facts)
    return pydicom.dcmread(folder / "counterfactual.dcm")


def is_the_same_picture(subject: Subject, folder: Path) -> None:
    """As displayed, within a step of 16 bits; the window's clipping is the model's range and the
    source's own."""
    (after,) = image_readers.read(folder / "counterfactual.dcm")
    before = subject.image
    np.testing.assert_allclose(
        to_unit(after.pixels, after.range), to_unit(before.pixels, before.range), atol=3e-4
    )
    assert (
        after.range == pytest.approx(before.range, abs=1e-3)
        and after.unit == before.unit
        and after.spacing == before.spacing
    )
    assert (after.affine is None) == (before.affine is None)
    if before.affine is not None:
        np.testing.assert_allclose(after.affine, before.affine)


@pytest.mark.parametrize("kind", list(ODD))
def test_an_edit_that_changes_nothing_is_the_same_picture(tmp_path: Path, kind: str) -> None:
    stored, values = ODD[kind]
    subject = of_file(saved(tmp_path / "s.dcm", stored, **values))
    made = written(subject, tmp_path / "e")
    is_the_same_picture(subject, tmp_path / "e")
    assert made.PhotometricInterpretation == "MONOCHROME2" and made.PixelRepresentation == 0
    assert ("PixelSpacing" in made) == ("PixelSpacing" in values)
    assert ("NominalScannedPixelSpacing" in made) == ("ImagerPixelSpacing" in values)


CODED = [
    "MR_small_bigendian.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_implicit.dcm",
    "CT_small.dcm",
    "ExplVR_BigEnd.dcm",
]


@pytest.mark.parametrize("name", CODED)
def test_whatever_coding_the_source_has_ours_is_plain(tmp_path: Path, name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"this pydicom does not bring {name}")
    subject = of_file(Path(str(path)))
    made = written(subject, tmp_path / "e")
    if subject.image.pixels.ndim == 2:
        is_the_same_picture(subject, tmp_path / "e")
    assert (
        made.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
        and made.SyntheticData == "YES"
    )


@pytest.mark.parametrize("kind", list(ODD))
def test_a_validator_finds_no_error_in_an_edit_of_any_source(tmp_path: Path, kind: str) -> None:
    stored, values = ODD[kind]
    subject = of_file(
        saved(tmp_path / "s.dcm", stored, PatientAge="070Y", PatientSex="F", **values)
    )
    written(subject, tmp_path / "e")
    assert dicom_errors(tmp_path / "e" / "counterfactual.dcm") == []


def test_the_validator_would_have_found_one(tmp_path: Path) -> None:
    subject = of_file(saved(tmp_path / "s.dcm"))
    made = written(subject, tmp_path / "e")
    del made.ConversionType
    made.ImageType = ["ORIGINAL"]
    made.save_as(tmp_path / "worse.dcm")
    assert len(dicom_errors(tmp_path / "worse.dcm")) >= 2


def test_each_frame_is_written_by_itself(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 999, (3, 8, 12)).astype(np.uint16)
    path = saved(tmp_path / "s.dcm", stored, frames=3)
    for number in range(3):
        subject = of_file(path, number)
        made = written(subject, tmp_path / f"{number}")
        assert "NumberOfFrames" not in made and (made.Rows, made.Columns) == (8, 12)
        assert made.SourceImageSequence[0].ReferencedFrameNumber == number + 1
        is_the_same_picture(subject, tmp_path / f"{number}")
    assert (
        len(
            {
                pydicom.dcmread(tmp_path / f"{n}" / "counterfactual.dcm").SOPInstanceUID
                for n in range(3)
            }
        )
        == 3
    )


def test_the_object_says_the_age_and_sex_of_whom_it_shows(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "s.dcm",
        PatientAge="070Y",
        PatientSex="F",
        BodyPartExamined="BRAIN",
        ViewPosition="PA",
    )
    made = written(of_file(path), tmp_path / "older", facts_of({"age": 85.0}))
    assert (made.PatientAge, made.PatientSex, made.BodyPartExamined, made.ViewPosition) == (
        "085Y",
        "F",
        "BRAIN",
        "PA",
    )
    made = written(
        of_file(path), tmp_path / "other", facts_of({"sex": "M", "diagnosis": "dementia"})
    )
    assert (made.PatientAge, made.PatientSex) == ("070Y", "M") and "dementia" not in str(
        made.PatientName
    )
    assert made.DerivationDescription == "Synthetic counterfactual: a brain MRI -> an old brain MRI"


def test_a_nifti_keeps_its_affine(tmp_path: Path) -> None:
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3.0, 11], [0, 0, 0, 1]])
    volume = np.random.default_rng(0).normal(100, 20, (9, 8, 7)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, affine), tmp_path / "v.nii.gz")
    subject = of_file(tmp_path / "v.nii.gz", plane="axial", position="50%")
    write_counterfactual(tmp_path / "e", subject, as_it_was(subject), FACTS)
    made = nibabel.load(tmp_path / "e" / "counterfactual.nii.gz")
    place = np.linalg.inv(affine) @ made.affine
    np.testing.assert_allclose(place[:3, :3], np.eye(3), atol=1e-6)
    index = round(place[2, 3])
    np.testing.assert_allclose(
        made.get_fdata()[..., 0], volume[..., index].clip(*subject.image.range), rtol=1e-4
    )
    assert b"synthetic" in made.header["descrip"].tobytes()
