"""Sentences say what is known, in good English, and nothing else."""

from __future__ import annotations

import re

import pytest

from latentdrift import prompts
from latentdrift.errors import OptionError
from latentdrift.prompts import TEMPLATES, attributes_of, pair, parse_assignment, parse_finding, sentence

SPEC = {
    "age": {"type": "number", "unit": "years"},
    "sex": {"type": "category", "vocabulary": ["F", "M"]},
    "diagnosis": {"type": "category", "vocabulary": ["dementia", "no dementia"]},
    "findings": {"type": "findings", "vocabulary": ["effusion", "mass", "no finding"]},
}
FULL = {"age": 75.0, "sex": "F", "diagnosis": "dementia"}


def test_simple_sentence() -> None:
    assert sentence("brain MRI", FULL) == "a brain MRI of a 75 year old female with dementia"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "a brain MRI"),
        ({"age": 75}, "a brain MRI of a 75 year old"),
        ({"sex": "M"}, "a brain MRI of a male"),
        ({"sex": "O", "age": 30}, "a brain MRI of a 30 year old"),
        ({"diagnosis": "no dementia"}, "a brain MRI with no dementia"),
        ({"age": float("nan"), "sex": "", "diagnosis": None}, "a brain MRI"),
        ({"age": 0.5, "sex": "male"}, "a brain MRI of a 6 month old male"),
        ({"findings": "mass|nodule|effusion"}, "a brain MRI with mass, nodule and effusion"),
        ({"smoker": "yes", "prior_surgery": "no"}, "a brain MRI with smoker and no prior surgery"),
        ({"mmse": 27.0}, "a brain MRI with mmse 27"),
        ({"view": "axial", "modality": "MR"}, "an axial brain MRI"),
    ],
)
def test_missing_attributes_leave_the_sentence(attributes: dict, expected: str) -> None:
    assert sentence("brain MRI", attributes) == expected


@pytest.mark.parametrize(
    ("describe", "age", "expected"),
    [
        ("MRI", 8, "an MRI of an 8 year old"),
        ("X-ray", 11, "an X-ray of an 11 year old"),
        ("chest X-ray", 18, "a chest X-ray of an 18 year old"),
        ("ultrasound", 80, "an ultrasound of an 80 year old"),
        ("CT", 81, "a CT of an 81 year old"),
        ("SPECT scan", 100, "a SPECT scan of a 100 year old"),
        ("AP view", 1, "an AP view of a 1 year old"),
        ("unilateral mammogram", 70, "a unilateral mammogram of a 70 year old"),
    ],
)
def test_articles(describe: str, age: int, expected: str) -> None:
    assert sentence(describe, {"age": age}) == expected


def test_without_patient_info_says_only_what_the_picture_is() -> None:
    for index in range(len(TEMPLATES["diverse"])):
        text = sentence("chest X-ray", {**FULL, "findings": "mass"}, style="diverse", index=index, patient_info=False)
        assert "chest X-ray" in text
        assert not re.search("75|female|dementia|mass", text)


def test_diverse_has_at_least_21_different_wordings_that_all_say_the_same() -> None:
    full = [sentence("brain MRI", FULL, style="diverse", index=i) for i in range(len(TEMPLATES["diverse"]))]
    assert len(set(full)) == len(TEMPLATES["diverse"]) >= 21
    assert all("brain MRI" in text and "75 year old female" in text and "dementia" in text for text in full)


@pytest.mark.parametrize("attributes", [{}, {"age": 8}, {"sex": "F"}, {"diagnosis": "dementia"}, FULL])
def test_every_wording_is_tidy_whatever_is_missing(attributes: dict) -> None:
    for index in range(len(TEMPLATES["diverse"])):
        text = sentence("MRI", attributes, style="diverse", index=index)
        assert not re.search(r"[\[\]{}]|  |^[,;: ]|[,;: ]$|\ba (MRI|8)|nan|None", text), text


def test_unknown_style_names_the_known() -> None:
    with pytest.raises(OptionError, match="unknown prompt style 'divers'; known: diverse, simple"):
        sentence("brain MRI", {}, style="divers")


def test_attributes_of_a_row_drops_what_is_missing_or_not_an_attribute() -> None:
    assert attributes_of({"age": float("nan"), "sex": "F", "patient": "p1", "findings": ""}, SPEC) == {"sex": "F"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age=85", ("age", 85.0)),
        (" Age = 85.5 ", ("age", 85.5)),
        ("sex=male", ("sex", "M")),
        ("sex=f", ("sex", "F")),
        ("diagnosis=No Dementia", ("diagnosis", "no dementia")),
        ("findings=Mass|effusion", ("findings", "mass|effusion")),
    ],
)
def test_assignments(text: str, expected: tuple) -> None:
    assert parse_assignment(text, SPEC) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age=-5", "age=-5: an age lies between 0 and 130 years"),
        ("age=old", "'old' is not a number; give it in years"),
        ("age=inf", "'inf' is not a number"),
        ("age", "'age' is not an assignment; write name=value"),
        ("weight=70", "unknown attribute 'weight'; known: age, diagnosis, findings, sex"),
        ("diagnosis=demenita", r"unknown diagnosis 'demenita'; known: dementia, no dementia \(did you mean 'dementia'\?\)"),
        ("findings=oedema", "unknown finding 'oedema'; known: effusion, mass, no finding"),
    ],
)
def test_bad_assignments_get_a_sentence(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse_assignment(text, SPEC)


def test_findings_need_a_cohort_with_findings() -> None:
    with pytest.raises(OptionError, match="unknown attribute 'findings'; known: age"):
        parse_finding("mass", {"age": SPEC["age"]})


def test_pair_differs_only_in_the_change() -> None:
    source, target = pair("brain MRI", {"age": 70, "sex": "F"}, {"age": 85.0, "diagnosis": "dementia"})
    assert source == "a brain MRI of a 70 year old female"
    assert target == "a brain MRI of an 85 year old female with dementia"


def test_pair_keeps_its_wording() -> None:
    for index in range(len(TEMPLATES["diverse"])):
        source, target = pair("brain MRI", FULL, {"age": 71}, style="diverse", index=index)
        assert target == source.replace("75", "71")


@pytest.mark.parametrize(
    ("findings", "add", "remove", "expected"),
    [
        ("effusion|mass", (), ("effusion",), ("a chest X-ray with effusion and mass", "a chest X-ray with mass")),
        ("effusion", (), ("effusion",), ("a chest X-ray with effusion", "a chest X-ray with no finding")),
        ("", (), ("effusion",), ("a chest X-ray with effusion", "a chest X-ray with no finding")),
        ("no finding", ("mass",), (), ("a chest X-ray with no finding", "a chest X-ray with mass")),
        ("", ("mass",), (), ("a chest X-ray", "a chest X-ray with mass")),
        ("effusion", ("mass",), ("effusion",), ("a chest X-ray with effusion", "a chest X-ray with mass")),
    ],
)
def test_adding_and_removing_findings(findings: str, add: tuple, remove: tuple, expected: tuple) -> None:
    assert pair("chest X-ray", {"findings": findings}, {}, add=add, remove=remove, spec=SPEC) == expected


@pytest.mark.parametrize(
    ("add", "remove", "message"),
    [
        (("mass",), (), "cannot add 'mass': the image has it already"),
        ((), ("effusion",), "cannot remove 'effusion': the image has not got it; its findings: mass"),
        ((), (), "the edit changes nothing"),
    ],
)
def test_edits_that_make_no_sense_get_a_sentence(add: tuple, remove: tuple, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        pair("chest X-ray", {"findings": "mass"}, {}, add=add, remove=remove, spec=SPEC)


def test_prompts_load_no_torch() -> None:
    assert "torch" not in vars(prompts)
