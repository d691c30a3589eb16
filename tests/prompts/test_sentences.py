"""Sentences say what is known, in good English, and nothing else."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_cohort

from latentdrift import prompts
from latentdrift.adapt.training.adapter_description import describe_adapter
from latentdrift.adapt.training.cost_estimate import plan
from latentdrift.adapt.training.training_setup import Job, job
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.prompts import (
    AGES,
    GAPS,
    INSTRUCTIONS,
    TEMPLATES,
    Manner,
    absent,
    attributes_of,
    instruction,
    negated,
    pair,
    parse_assignment,
    parse_finding,
    sentence,
    sentence_sets,
    sentences,
    single_changes,
)
from latentdrift.prompts.phrases import NEGATIONS, in_words
from latentdrift.sample.synthetic_cohort import TOLD, Request, follow_cohort, readable

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


KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "age": st.none() | st.floats(0, 120) | st.just(float("nan")),
        "sex": st.sampled_from(["F", "M", "male", "female", "O", "U", ""]),
        "diagnosis": st.sampled_from(["dementia", "no dementia", "MCI", ""]),
        "findings": st.sampled_from(
            ["", "mass", "effusion|mass", "No Finding", "oedema|nodule|hernia"]
        ),
        "view": st.sampled_from(["", "axial", "PA"]),
        "prior_surgery": st.sampled_from(["yes", "no", True, False]),
        "mmse": st.none() | st.integers(0, 30),
    },
)
DANGLING = r"\b(an?|of|with|from|in|to|shows|showing|who|has|and|the|is|as)(?=[,;:]|$)"


def said(attributes: dict[str, Any], encoding: str = "numerical") -> list[str]:
    """What a sentence has to say of these attributes, piece by piece."""
    known = {name: value for name, value in attributes.items() if not prompts.is_missing(value)}
    age = known.pop("age", None)
    old = (
        sentence("it", {"age": age}, age_encoding=encoding)
        .removeprefix("an it of ")
        .split(" ", 1)[1:]
        if age is not None
        else []
    )
    findings = prompts.split_findings(known.pop("findings", ""))
    return [
        *old,
        *findings,
        known.pop("view", ""),
        *(prompts.phrase(name, value) for name, value in known.items()),
    ]


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


def test_attributes_of_a_row_drops_what_is_missing_or_not_an_attribute() -> None:
    assert attributes_of(
        {"age": float("nan"), "sex": "F", "patient": "p1", "findings": ""}, SPEC
    ) == {"sex": "F"}


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
        ("age=-5", "age=-5: an age lies between 0 and 120 years"),
        ("age=old", "'old' is not a number; give it in years"),
        ("age=inf", "'inf' is not a number"),
        ("age", "'age' is not an assignment; write name=value"),
        ("weight=70", "unknown attribute 'weight'; known: age, diagnosis, findings, sex"),
        (
            "diagnosis=demenita",
            r"unknown diagnosis 'demenita'; known: dementia, no dementia \(did you mean "
            r"'dementia'\?\)",
        ),
        (
            "findings=mass|no finding",
            "'no finding' says that there are no findings, and others are named",
        ),
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
    source, target = pair(
        "brain MRI", {"age": 70, "sex": "F"}, {"age": 85.0, "diagnosis": "dementia"}
    )
    assert source == "a brain MRI of a 70 year old female"
    assert target == "a brain MRI of an 85 year old female with dementia"


def test_pair_keeps_its_wording() -> None:
    for index in range(len(TEMPLATES["diverse"])):
        source, target = pair("brain MRI", FULL, {"age": 71}, style="diverse", index=index)
        assert target == source.replace("75", "71")


@pytest.mark.parametrize(
    ("findings", "add", "remove", "expected"),
    [
        (
            "effusion|mass",
            (),
            ("effusion",),
            ("a chest X-ray with effusion and mass", "a chest X-ray with mass"),
        ),
        (
            "effusion",
            (),
            ("effusion",),
            ("a chest X-ray with effusion", "a chest X-ray with no finding"),
        ),
        ("", (), ("effusion",), ("a chest X-ray with effusion", "a chest X-ray with no finding")),
        ("no finding", ("mass",), (), ("a chest X-ray with no finding", "a chest X-ray with mass")),
        ("", ("mass",), (), ("a chest X-ray", "a chest X-ray with mass")),
        (
            "effusion",
            ("mass",),
            ("effusion",),
            ("a chest X-ray with effusion", "a chest X-ray with mass"),
        ),
    ],
)
def test_adding_and_removing_findings(
    findings: str, add: tuple, remove: tuple, expected: tuple
) -> None:
    assert (
        pair("chest X-ray", {"findings": findings}, {}, add=add, remove=remove, spec=SPEC)
        == expected
    )


@pytest.mark.parametrize(
    ("add", "remove", "message"),
    [
        (("mass",), (), "cannot add 'mass': the image has it already"),
        (
            (),
            ("effusion",),
            "cannot remove 'effusion': the image has not got it; its findings: mass",
        ),
        ((), (), "the edit changes nothing"),
    ],
)
def test_edits_that_make_no_sense_get_a_sentence(add: tuple, remove: tuple, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        pair("chest X-ray", {"findings": "mass"}, {}, add=add, remove=remove, spec=SPEC)


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


def test_ages_in_words_count() -> None:
    words = [in_words(number) for number in range(131)]
    assert len(set(words)) == 131 and words[119] == "one hundred nineteen"
    for tens, name in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    ):
        assert words[10 * tens : 10 * tens + 10] == [name] + [
            f"{name}-{words[ones]}" for ones in range(1, 10)
        ]


def test_an_unknown_age_encoding_names_the_known() -> None:
    with pytest.raises(
        OptionError, match="unknown age encoding 'roman'; known: decade, numerical, word"
    ):
        sentence("CT", {"age": 70}, age_encoding="roman")


CN = {"age": 70, "sex": "F", "diagnosis": "CN"}
MCI = {"age": 77, "sex": "F", "diagnosis": "MCI"}


def test_the_papers_instruction() -> None:
    assert (
        instruction("brain MRI", CN, MCI)
        == "Age this CN 70 years old female brain MRI into a 77 brain MRI with MCI"
    )


@pytest.mark.parametrize(
    ("source", "target", "encoding", "expected"),
    [
        (
            CN,
            MCI,
            "word",
            "Age this CN seventy years old female brain MRI into a seventy-seven brain MRI with "
            "MCI",
        ),
        (
            CN,
            MCI,
            "binned",
            "Age this CN 70 years old female brain MRI moderately into a brain MRI with MCI",
        ),
        (
            CN,
            {"age": 80},
            "numerical",
            "Age this CN 70 years old female brain MRI into an 80 brain MRI",
        ),
        (
            {"age": 70},
            {"diagnosis": "AD"},
            "numerical",
            "Age this 70 years old brain MRI into a brain MRI with AD",
        ),
        (
            {"age": 70},
            {"diagnosis": "AD"},
            "binned",
            "Age this 70 years old brain MRI into a brain MRI with AD",
        ),
        (
            {},
            {"age": 80, "view": "axial"},
            "numerical",
            "Age this brain MRI into an 80 axial brain MRI",
        ),
        (
            {"diagnosis": "no dementia", "sex": "M"},
            MCI,
            "numerical",
            "Age this male brain MRI with no dementia into a 77 brain MRI with MCI",
        ),
        (
            {"age": 1, "findings": "CP|mass"},
            {"age": 2},
            "word",
            "Age this CP one year old brain MRI with mass into a two brain MRI",
        ),
        (
            {"age": 0.5},
            {"age": 0.75},
            "binned",
            "Age this 6 months old brain MRI slightly into a brain MRI",
        ),
    ],
)
def test_instructions_leave_out_what_is_missing(
    source: dict, target: dict, encoding: str, expected: str
) -> None:
    assert instruction("brain MRI", source, target, encoding) == expected


@settings(deadline=None)
@given(KNOWN, KNOWN, st.sampled_from(sorted(INSTRUCTIONS)))
def test_every_instruction_is_tidy(source: dict, target: dict, encoding: str) -> None:
    try:
        text = instruction("brain MRI", source, target, encoding)
    except OptionError as error:
        assert re.search("has nothing to say|is younger than", str(error))
        return
    assert text.startswith("Age this ") and " into a" in text
    assert not re.search(r"[\[\]{}]|  |[,;: ]$|nan|None\b", text) and not re.search(
        DANGLING, text
    ), text


@pytest.mark.parametrize(
    ("years", "word"),
    [
        (0, "slightly"),
        (4.99, "slightly"),
        (5, "moderately"),
        (10, "moderately"),
        (10.01, "significantly"),
        (60, "significantly"),
    ],
)
def test_the_gap_between_visits_in_a_word(years: float, word: str) -> None:
    assert [name for name, holds in GAPS.items() if holds(years)] == [word]
    assert f" {word} into " in instruction("brain MRI", {"age": 20}, {"age": 20 + years}, "binned")


def test_instructions_that_say_nothing_or_go_back_in_time_are_refused() -> None:
    for target, encoding in (({}, "numerical"), ({"sex": "F"}, "word"), ({"age": 80}, "binned")):
        with pytest.raises(OptionError, match="nothing to say of the later brain MRI"):
            instruction("brain MRI", {}, target, encoding)
    with pytest.raises(
        OptionError, match="70 is younger than 77 years; give the earlier visit first"
    ):
        instruction("brain MRI", MCI, CN)
    with pytest.raises(
        OptionError,
        match="unknown encoding of an instruction 'decade'; known: binned, numerical, word",
    ):
        instruction("brain MRI", CN, MCI, "decade")


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
            "2 different sentences were asked for and the prompt style 'simple' has 1 for 'a brain"
        ),
    ):
        sentences("brain MRI", FULL, 2, "simple")
    with pytest.raises(OptionError, match=r"has (\d+) for 'a brain MRI'; ask for \1 at most"):
        sentences("brain MRI", {}, 24)


CHEST: dict[str, Any] = {
    "findings": {
        "type": "findings",
        "vocabulary": ["Effusion", "Hernia", "Mass", "No Finding", "Nodule"],
    }
}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", []),
        (None, []),
        (float("nan"), []),
        ([], []),
        ("No Finding", ["Effusion", "Hernia", "Mass", "Nodule"]),
        ("mass|Effusion", ["Hernia", "Nodule"]),
        (["Hernia"], ["Effusion", "Mass", "Nodule"]),
        ("no mass", ["Effusion", "Hernia", "Nodule"]),
    ],
)
def test_absent_is_what_a_cell_that_says_something_does_not_name(
    cell: object, expected: list[str]
) -> None:
    assert absent(cell, CHEST) == expected


def test_negations_are_few_true_and_the_same_every_time() -> None:
    drawn = [negated({"findings": "Mass", "sex": "F"}, CHEST, index) for index in range(60)]
    denied = [re.findall(r"no (\w+)", row["findings"]) for row in drawn]
    assert all(len(names) == NEGATIONS and "Mass" not in names for names in denied)
    assert {name for names in denied for name in names} == {"Effusion", "Hernia", "Nodule"}
    assert drawn == [negated({"findings": "Mass", "sex": "F"}, CHEST, index) for index in range(60)]
    assert sentence("chest X-ray", drawn[0]).startswith("a chest X-ray of a female with Mass, no ")


@settings(deadline=None)
@given(KNOWN, st.integers(0, 100))
def test_where_findings_are_missing_nothing_is_denied(known: dict, index: int) -> None:
    for cell in ("", None, float("nan")):
        unknown = {**known, "findings": cell}
        assert sentence("CT", negated(unknown, CHEST, index)) == sentence("CT", unknown)
    assert negated({"findings": "mass"}, {}, index) == {"findings": "mass"}


@pytest.mark.parametrize(
    ("findings", "add", "remove", "expected"),
    [
        ("Effusion", (), ("Effusion",), ("a CT with Effusion", "a CT with no Effusion")),
        ("", (), ("Effusion",), ("a CT with Effusion", "a CT with no Effusion")),
        (
            "Effusion|Mass",
            (),
            ("Effusion",),
            ("a CT with Effusion and Mass", "a CT with Mass and no Effusion"),
        ),
        ("No Finding", ("Mass",), (), ("a CT with No Finding and no Mass", "a CT with Mass")),
        ("", ("Mass",), (), ("a CT", "a CT with Mass")),
        (
            "Hernia",
            ("Mass",),
            ("Hernia",),
            ("a CT with Hernia and no Mass", "a CT with Mass and no Hernia"),
        ),
    ],
)
def test_an_edit_denies_what_it_removes_where_that_was_trained(
    findings: str, add: tuple, remove: tuple, expected: tuple
) -> None:
    how = {"add": add, "remove": remove, "spec": CHEST}
    assert pair("CT", {"findings": findings}, {}, **how, negate_findings=True) == expected
    assert "no Effusion" not in " ".join(pair("CT", {"findings": findings}, {}, **how))


def test_an_adapter_of_an_older_version_is_prompted_as_it_was_trained() -> None:
    assert Manner.of({"style": "diverse", "patient_info": False, "templates": ["x"]}) == Manner(
        "diverse", patient_info=False
    )


def test_a_report_is_the_caption_and_a_missing_one_is_not_invented() -> None:
    manner = Manner(caption="report", age_encoding="word")
    assert manner.words("CT", {"report": " Lungs\n clear. ", "age": 50}, SPEC, 0) == "Lungs clear."
    for missing in (None, "", float("nan")):
        assert (
            manner.words("CT", {"report": missing, "age": 50}, SPEC, 0)
            == "a CT of a fifty year old"
        )
    assert (
        manner.words("<ct>", {"report": "Lungs clear."}, SPEC, 0, learned=True)
        == "<ct>: Lungs clear."
    )
    assert (
        manner.words("<ct>", {"report": "A clear <ct>."}, SPEC, 0, learned=True) == "A clear <ct>."
    )


@pytest.mark.parametrize(
    ("manner", "message"),
    [
        (
            Manner(caption="reprot"),
            r"unknown column of words for `caption` 'reprot'; known: report \(did you mean "
            r"'report'\?\)",
        ),
        (Manner(negate_findings=True), "`negate_findings` needs findings, and the cohort has none"),
        (
            Manner(negate_findings=True, patient_info=False),
            "which `patient_info=False` leaves out; give one of them",
        ),
    ],
)
def test_wishes_that_a_cohort_cannot_meet_get_a_sentence(manner: Manner, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        manner.check({"age": SPEC["age"]}, ["report"])


@pytest.fixture(scope="module")
def base(tiny_base_folder: Path) -> Base:
    return Base.load(tiny_base_folder, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Tiny, with findings, and with reports that are an attribute: their words are its
    vocabulary."""
    folder = tiny_cohort(tmp_path_factory.mktemp("cohort") / "reports")
    table = pd.read_csv(folder / "metadata.csv")
    table["findings"] = ["mass", "No Finding", ""] * 4
    table["report"] = [f"normal brain {n}" if n % 4 else "" for n in range(12)]
    table.to_csv(folder / "metadata.csv", index=False)
    info = json.loads((folder / "cohort.json").read_text())
    info["attributes"]["findings"] = {
        "type": "findings",
        "vocabulary": ["No Finding", "effusion", "mass"],
    }
    info["attributes"]["report"] = {
        "type": "category",
        "vocabulary": sorted(set(table["report"]) - {""}),
    }
    (folder / "cohort.json").write_text(json.dumps(info))
    return Cohort.load(folder)


NO_DRIFT = {**Drift().to_dict(), "source": "none"}


def asked(base: Base, cohort: Cohort, **more: Any) -> tuple[FitOptions, Job]:
    options = FitOptions(cohort=cohort.folder, out=cohort.folder / "run", base=base.name, **more)
    return options, job(base, cohort, options)


def test_fit_words_its_captions_as_asked_and_generate_follows(base: Base, cohort: Cohort) -> None:
    _, todo = asked(base, cohort, age_encoding="word", negate_findings=True, prompt_style="diverse")
    told = describe_adapter(base, cohort, todo, NO_DRIFT, {})
    assert {"age_encoding": "word", "negate_findings": True, "caption": None}.items() <= (
        told.prompt.to_dict().items()
    )
    followed = [request.prompt for request in follow_cohort(cohort, None, len(cohort.rows()), told)]
    assert len(todo.train) == len(cohort.rows("train")) and len(todo.validation) == len(
        cohort.rows("validation")
    )
    for example in (*todo.train, *todo.validation):
        row = cohort.rows().iloc[example.row]
        text = example.caption
        assert text == followed[example.row]
        assert in_words(int(row["age"])) in text
        assert ("no effusion" in text) == (row["findings"] is not None)


def test_reports_are_captions_and_stay_out_of_the_adapter(base: Base, cohort: Cohort) -> None:
    _, todo = asked(base, cohort, caption="report")
    said = {example.row: example.caption for example in todo.train}
    assert said[1] == "normal brain 1" and said[4].startswith("a brain MRI of a 62 year old female")
    told = describe_adapter(base, cohort, todo, NO_DRIFT, {})
    assert told.prompt.caption == "report" and "normal brain" not in json.dumps(told.to_dict())
    requests = follow_cohort(cohort, None, len(cohort.rows()), told)
    assert all(requests[row].prompt == text for row, text in said.items())
    assert all("report" not in request.attributes for request in requests)
    _, taught = asked(base, cohort, caption="report", method="textual-inversion")
    assert all("<cohort>" in example.caption for example in taught.train)
    with pytest.raises(OptionError, match="which `caption` replaces; give one of them"):
        asked(base, cohort, caption="report", drift_by="diagnosis")


def test_a_plan_shows_the_token_budget_and_fit_keeps_it(base: Base, cohort: Cohort) -> None:
    options, todo = asked(base, cohort, batch_size=1)
    shown = plan(Base.load(base.name, device="cpu", precision="fp32"), cohort, options)[
        "longest_prompt"
    ]
    assert shown["limit"] == 75 and shown["text"] in todo.prompts
    tokenizer = base.tokenizers["tokenizer"]
    counts = [len(tokenizer(text, add_special_tokens=False).input_ids) for text in todo.prompts]
    assert shown["tokens"] == max(counts) < 75
    _, reports = asked(base, cohort, caption="report")
    long = replace(
        reports, train=(replace(reports.train[0], caption="brain " * 80), *reports.train[1:])
    )
    message = (
        "reads 75: 'brain brain brain brain brain' would be dropped; .*leave `caption=report` out; "
        "1 of 11 prompts are too"
    )
    with pytest.raises(OptionError, match=message):
        long.check_prompts(base)


@pytest.mark.parametrize("text", ["", "a brain MRI", "brain " * 75])
def test_a_prompt_within_the_limit_is_not_touched(base: Base, text: str) -> None:
    assert base.readable(text) == text


@pytest.mark.parametrize("words", [76, 77, 200])
def test_a_long_prompt_is_cut_after_the_last_word_that_is_read(base: Base, words: int) -> None:
    cut = base.readable("brain " * words)
    assert cut.split() == ["brain"] * 75
    spelled = base.readable(
        "brain " * 73 + "xylophonist mri"
    )  # a word of several tokens goes as a whole
    assert spelled.split() == ["brain"] * 73 and base.count(f"{spelled} xylophonist") > 75
    assert base.readable("x" * 300) == "x" * 300  # one word: `tokens` refuses it


def test_what_generate_cuts_off_is_said_once_per_prompt(caplog: pytest.LogCaptureFixture) -> None:
    def two_words(text: str) -> str:
        return " ".join(text.split()[:2])

    long = [Request(f"one two three{n}") for n in range(TOLD + 2)]
    with caplog.at_level(logging.WARNING):
        read = readable([Request("one two"), *long, long[0]], two_words)
    assert [request.prompt for request in read] == ["one two"] * (TOLD + 4)
    assert len(caplog.messages) == TOLD + 1
    assert (
        caplog.messages[0]
        == "the prompt 'one two three0' is longer than the text encoder reads: 'three0' is dropped"
    )
    assert caplog.messages[-1] == "the ends of 2 further prompts are dropped, too"


def test_prompts_load_no_torch() -> None:
    code = "import sys, latentdrift.prompts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_single_changes_are_the_source_with_one_change_each() -> None:
    known = {"age": 70, "sex": "F", "diagnosis": "no dementia", "findings": "mass"}
    changes = {"age": 90, "diagnosis": "dementia"}
    how = {"add": ("effusion",), "remove": ("mass",), "spec": SPEC}
    made, (before, after) = (
        of("brain MRI", known, changes, **how) for of in (single_changes, pair)
    )
    assert len(made) == 4 == len(set(made)) and before not in made and after not in made
    older, ill, more, less = made
    assert older == before.replace("70", "90") and ill == before.replace("no dementia", "dementia")
    assert "effusion" in more and "mass" in more and "mass" not in less and "no finding" in less


def test_a_single_change_that_says_nothing_new_is_left_out() -> None:
    assert (
        len(single_changes("brain MRI", FULL, {"age": 90, "diagnosis": "dementia"}, spec=SPEC)) == 1
    )


def test_a_single_addition_is_not_denied_in_the_same_breath() -> None:
    known = {"age": 70, "findings": "mass"}
    (made,) = single_changes(
        "brain MRI", known, {}, add=("effusion",), spec=SPEC, negate_findings=True
    )
    assert made.count("effusion") == 1 and "no effusion" not in made


def test_sets_of_sentences_are_wordings_of_either_state() -> None:
    befores, afters = sentence_sets("brain MRI", FULL, {"age": 90}, n=6, spec=SPEC, style="diverse")
    assert len(set(befores)) == len(set(afters)) == 6
    assert [text.replace("75 year", "90 year") for text in befores] == [
        text.replace("an 90", "a 90") for text in afters
    ]
    with pytest.raises(OptionError, match="ask for"):
        sentence_sets("brain MRI", FULL, {"age": 90}, n=25, spec=SPEC, style="diverse")


@pytest.mark.parametrize("known", ["effusion", "no finding", ""])
@pytest.mark.parametrize("how", ["add", "remove"])
@pytest.mark.parametrize("negate", [False, True])
def test_no_finding_is_neither_added_nor_removed(known: str, how: str, negate: bool) -> None:
    with pytest.raises(
        OptionError,
        match="'no finding' says that there is no finding, so it can be neither added nor removed",
    ):
        pair(
            "chest X-ray",
            {"findings": known},
            {},
            spec=SPEC,
            negate_findings=negate,
            **{how: ["no finding"]},
        )
