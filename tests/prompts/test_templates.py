"""Sentences say what is known, in good English, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_examples import DANGLING, FULL, KNOWN, said

from latentdrift.errors import OptionError
from latentdrift.prompts import AGES, TEMPLATES, sentence, sentences


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
    ("attributes", "expected"),
    [
        (
            {"findings": "mass|nodule", "age": 75, "sex": "F"},
            "mass and nodule: chest X-ray of a 75 year old female",
        ),
        ({"findings": "No Finding", "view": "PA"}, "No Finding: PA chest X-ray"),
        ({"age": 75}, "chest X-ray of a 75 year old"),
    ],
)
def test_findings_lead_where_they_are_asked_to(attributes: dict, expected: str) -> None:
    assert sentence("chest X-ray", attributes, style="findings-first") == expected


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
        text = sentence(
            "chest X-ray",
            {**FULL, "findings": "mass"},
            style="diverse",
            index=index,
            patient_info=False,
        )
        assert "chest X-ray" in text
        assert not re.search("75|female|dementia|mass", text)


def test_diverse_has_at_least_21_different_wordings_that_all_say_the_same() -> None:
    full = [
        sentence("brain MRI", FULL, style="diverse", index=i)
        for i in range(len(TEMPLATES["diverse"]))
    ]
    assert len(set(full)) == len(TEMPLATES["diverse"]) >= 21
    assert all(
        "brain MRI" in text and "75 year old female" in text and "dementia" in text for text in full
    )


@settings(max_examples=150, deadline=None)
@given(
    KNOWN, st.sampled_from(sorted(AGES)), st.sampled_from(["MRI", "chest X-ray", "ultrasound scan"])
)
def test_every_wording_is_tidy_says_all_that_is_known_and_invents_nothing(
    known: dict, encoding: str, describe: str
) -> None:
    pieces = [piece for piece in said(known, encoding) if piece]
    for template in range(len(TEMPLATES["diverse"])):
        text = sentence(describe, known, style="diverse", index=template, age_encoding=encoding)
        assert not re.search(r"[\[\]{}]|  |^[,;: ]|[,;: ]$|[,;:][,;:]| [,;:]|nan|None\b", text), (
            text
        )
        assert not re.search(DANGLING, text) and not re.search(
            r"\ba (MRI|8|1[18]\b|eight|eleven|ultra|axial)", text
        ), text
        assert describe in text and all(piece in text for piece in pieces), text
        for piece in sorted([describe, *pieces], key=len, reverse=True):
            text = text.replace(piece, "", 1)
        own = re.sub(r"\{\w+\}", "", TEMPLATES["diverse"][template])
        rest, allowed = (set(re.findall(r"\w+", words)) for words in (text, own))
        assert rest <= allowed | {"a", "an", "and"}, rest - allowed


@pytest.mark.parametrize(
    "template", [template for style in TEMPLATES.values() for template in style]
)
def test_a_part_of_a_template_has_one_slot_and_leaves_with_it(template: str) -> None:
    assert re.findall(r"\{(\w+)\}", re.sub(r"\[.*?\]", "", template)) == ["image"]
    said = [] if template in TEMPLATES["bare"] else ["what", "who"]
    assert sorted(re.findall(r"\[[^\[\]]*?\{(\w+)\}[^\[\]]*?\]", template)) == said


def test_unknown_style_names_the_known() -> None:
    with pytest.raises(
        OptionError,
        match="unknown prompt style 'divers'; known: bare, diverse, findings-first, simple",
    ):
        sentence("brain MRI", {}, style="divers")


@pytest.mark.parametrize(
    ("age", "numerical", "word", "decade"),
    [
        (77.9, "a 77 year old", "a seventy-seven year old", "a 70 to 79 year old"),
        (80, "an 80 year old", "an eighty year old", "an 80 to 89 year old"),
        (11, "an 11 year old", "an eleven year old", "a 10 to 19 year old"),
        (0.5, "a 6 month old", "a six month old", "a 0 to 9 year old"),
        (100, "a 100 year old", "a one hundred year old", "a 100 to 109 year old"),
    ],
)
def test_age_encodings(age: float, numerical: str, word: str, decade: str) -> None:
    expected = {"numerical": numerical, "word": word, "decade": decade}
    assert {
        name: sentence("CT", {"age": age}, age_encoding=name).removeprefix("a CT of ")
        for name in AGES
    } == expected


def test_an_unknown_age_encoding_names_the_known() -> None:
    with pytest.raises(
        OptionError, match="unknown age encoding 'roman'; known: decade, numerical, word"
    ):
        sentence("CT", {"age": 70}, age_encoding="roman")


def test_sentences_are_different_wordings_of_one_meaning() -> None:
    found = sentences("brain MRI", FULL, 21)
    assert len(set(found)) == 21 and found == sentences("brain MRI", FULL, 24)[:21]
    assert all(
        "brain MRI" in text and "75 year old female" in text and "dementia" in text
        for text in found
    )
    assert sentences("brain MRI", FULL, 1, "simple") == [sentence("brain MRI", FULL)]
    assert all(
        "seventy-five" in text for text in sentences("brain MRI", FULL, 5, age_encoding="word")
    )


def test_sentences_are_never_repeated_to_make_up_the_number() -> None:
    with pytest.raises(
        OptionError,
        match=(
            "2 different sentences are requested, but the prompt style 'simple' has 1 for 'a brain"
        ),
    ):
        sentences("brain MRI", FULL, 2, "simple")
    with pytest.raises(OptionError, match=r"has (\d+) for 'a brain MRI'; request at most \1"):
        sentences("brain MRI", {}, 24)


def test_prompts_load_no_torch() -> None:
    code = "import sys, latentdrift.prompts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
