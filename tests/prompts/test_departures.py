"""An edit or a prompt beside what training had: words, ages, colour, modality, window."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from infos import info_of
from PIL import Image as Pillow

from latentdrift import prompts
from latentdrift.config import EditOptions
from latentdrift.edit.io import edit_inputs
from latentdrift.edit.io.edit_inputs import entries
from latentdrift.errors import InputError, OptionError

SPEC: Any = {
    "age": {"type": "number", "unit": "years", "low": 60.0, "high": 90.0},
    "sex": {"type": "category", "vocabulary": ["F", "M"]},
    "view": {"type": "category", "vocabulary": ["axial"]},
}
INFO: Any = {
    "method": "lora",
    "describe": "brain MRI",
    "attributes": SPEC,
    "said": ["age", "sex", "view"],
    "prompt": {},
    "colour": False,
    "modalities": ["MR"],
}


def window(low: float, high: float) -> dict[str, Any]:
    one = {"window_low": low, "window_high": high}
    return {
        "intensity": {
            name: {"low": value, "median": value, "high": value} for name, value in one.items()
        }
    }


def departures(states: Any, info: Any) -> list[str]:
    return prompts.departures(states, info_of(**info).training, "given")


def listed(source: Path, info: Any = INFO, **options: Any) -> list[edit_inputs.Entry]:
    return entries(
        EditOptions(adapter="a", source=source, out=source.parent / "out", **options),
        info_of(**info),
        32,
    )


def volume(path: Path, low: float, high: float) -> Path:
    values = np.linspace(low, high, 16**3, dtype=np.float32).reshape(16, 16, 16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])), path)
    return path


def png(path: Path, pixels: np.ndarray) -> Path:
    Pillow.fromarray(pixels).save(path)
    return path


GREY = np.linspace(0, 255, 256).reshape(16, 16).astype(np.uint8)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_plane_of_a_slice_stands_in_the_prompt(plane: str, tmp_path: Path) -> None:
    every = {
        **INFO,
        "attributes": {
            **SPEC,
            "view": {"type": "category", "vocabulary": ["axial", "coronal", "sagittal"]},
        },
    }
    (entry,) = listed(volume(tmp_path / "v.nii", 0, 100), every, plane=plane)
    assert entry.attributes["view"] == plane
    assert (
        prompts.sentence("brain MRI", entry.attributes)
        == f"{prompts.sentence('brain MRI', {'view': plane})}"
    )


def test_what_all_training_images_had_is_taken_for_granted(tmp_path: Path) -> None:
    (entry,) = listed(png(tmp_path / "a.png", GREY))
    assert entry.attributes == {"view": "axial"}
    (entry,) = listed(png(tmp_path / "a.png", GREY), given=("view=axial", "age=70"))
    assert entry.attributes == {"view": "axial", "age": 70.0}
    several = {
        **INFO,
        "attributes": {**SPEC, "view": {"type": "category", "vocabulary": ["axial", "coronal"]}},
    }
    assert listed(png(tmp_path / "a.png", GREY), several)[0].attributes == {}  # nobody knows which
    females = {**INFO, "attributes": {**SPEC, "sex": {"type": "category", "vocabulary": ["F"]}}}
    assert (
        "sex" not in listed(png(tmp_path / "a.png", GREY), females)[0].attributes
    )  # a patient's sex is never invented


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        ([{"age": 70, "sex": "F", "view": "axial"}], None),
        (
            [{"age": 129.0, "sex": "F", "view": "axial"}],
            "had an age from 60 to 90, and 1 of 1 prompts lie beyond, the first 129",
        ),
        (
            [{"age": 70, "view": "axial"}],
            "training said the sex of every image, and 1 of 1 prompts leave it out; say it with "
            "`given={'sex': '",
        ),
        ([{"age": 70, "sex": "F"}], "training said the view of every image"),
        ([{"age": 70, "sex": "F", "view": "sagittal"}], "had no view 'sagittal'; it had axial"),
    ],
)
def test_departures_are_said(states: Any, sentence: str | None) -> None:
    found = departures(states, INFO)
    assert (sentence is None and not found) or (len(found) == 1 and str(sentence) in found[0]), (
        found
    )


def test_without_an_option_for_attributes_none_is_named() -> None:
    training = info_of(**INFO).training
    (sentence,) = prompts.departures([{"age": 70, "view": "axial"}], training)
    assert sentence.endswith("1 of 1 prompts leave it out")


def test_what_adapters_do_not_say_is_not_missed() -> None:
    old = {"attributes": {"age": {"type": "number", "unit": "years"}}, "prompt": {}}
    assert not departures([{"age": 129.0}], old) and not departures([{}], old)
    assert not departures(
        [{"findings": "no effusion|mass"}],
        {
            "attributes": {"findings": {"type": "findings", "vocabulary": ["effusion", "mass"]}},
            "prompt": {},
        },
    )


def test_patients_are_not_spoken_of_where_training_did_not() -> None:
    found = departures(
        [{"age": 70, "view": "axial"}],
        {**INFO, "said": ["view"], "prompt": {"patient_info": False}},
    )
    assert found == ["training said nothing of the patient, and these prompts say age"]


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ("an axial brain MRI of a 75 year old female", None),
        ("a photo of a cat, axial", "does not say 'brain MRI', which every prompt in training did"),
        (
            "a brain MRI of a 75 year old female",
            "says no view, which every prompt in training did: axial",
        ),
        ("an axial brain MRI of a 129-year-old female", "lie beyond, the first 129"),
    ],
)
def test_a_free_prompt_is_held_against_those_of_training(prompt: str, sentence: str | None) -> None:
    found = prompts.of_text(prompt, info_of(**INFO).training)
    assert (sentence is None and not found) or (len(found) == 1 and str(sentence) in found[0]), (
        found
    )


@pytest.mark.parametrize(("tokens", "sentences"), [([], 0), (["<lesion>"], 1)])
def test_the_training_of_an_adopted_adapter_is_unknown_but_for_its_word(
    tokens: list[str], sentences: int
) -> None:
    adopted = {"format": "kohya", "file": "a.safetensors", "sha256": "0" * 64}
    describe = "<lesion> image" if tokens else "image"
    facts = {"describe": describe, "pictures": "image", "attributes": {}, "said": []}
    info = info_of(**{**INFO, **facts, "adopted": adopted, "tokens": tokens})
    assert len(prompts.of_text("a", info.training)) == sentences


def test_a_colour_photograph_is_no_grey_scan(tmp_path: Path) -> None:
    colour = np.zeros((16, 16, 3), np.uint8)
    colour[..., 0], colour[..., 2] = GREY, 255 - GREY
    with pytest.raises(
        InputError, match="in colour, and the adapter was trained on grey images only"
    ):
        listed(png(tmp_path / "a.png", colour))
    tinted = np.stack([GREY, GREY, np.clip(GREY.astype(int) + 3, 0, 255)], -1).astype(np.uint8)
    assert listed(png(tmp_path / "b.png", tinted)) and listed(
        png(tmp_path / "a.png", colour), {**INFO, "colour": True}
    )


@pytest.mark.parametrize(("low", "high"), [(-1000, -500), (0, 1000), (-1000, 400)])
@pytest.mark.parametrize("most", [255.0, 65535.0])
def test_the_range_of_a_number_format_is_no_window(
    low: float, high: float, most: float, tmp_path: Path
) -> None:
    (entry,) = listed(
        volume(tmp_path / "v.nii", low, high), {**INFO, **window(0.0, most)}, plane="axial"
    )
    unit = entry.open().unit  # the slice's own values, spread over the whole of [-1, 1]
    assert len(np.unique(unit)) == 256 and unit.min() == -1 and unit.max() == 1


def test_a_cohorts_own_window_is_kept(tmp_path: Path) -> None:
    (entry,) = listed(
        volume(tmp_path / "v.nii", 0, 1000), {**INFO, **window(0.0, 900.0)}, plane="axial"
    )
    assert entry.open().image.range == (0.0, 900.0)


def test_a_source_that_lies_outside_is_said_or_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = volume(tmp_path / "v.nii", 0, 1000)
    with caplog.at_level(logging.WARNING):
        listed(source, {**INFO, **window(0.0, 900.0)}, plane="axial")
        assert not caplog.messages
        listed(source, {**INFO, **window(0.0, 300.0)}, plane="axial")
    assert (
        "70 % of the image's values" in caplog.messages[0]
        and "the adapter's cohort" in caplog.messages[0]
    )
    with pytest.raises(
        InputError,
        match=r"100 % of the image's values .* outside of the window 996 to 3000 of `window`",
    ):
        listed(source, plane="axial", window="996,3000")


def test_one_patient_of_a_cohort(tiny_cohort_folder: Path) -> None:
    found = listed(tiny_cohort_folder, {}, patient=("P0001", "P0004"))
    assert [entry.row for entry in found] == [2, 3, 8, 9]
    assert [entry.row for entry in listed(tiny_cohort_folder, {}, patient=("P0001",), limit=1)] == [
        2
    ]
    with pytest.raises(
        OptionError,
        match="`patient=P0009` is not in this cohort, which has 6 patients, such as P000",
    ):
        listed(tiny_cohort_folder, {}, patient=("P0009",))
