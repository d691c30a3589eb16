"""Prompts of edits: source and target differ in the change alone, and instructions say it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_examples import CHEST, DANGLING, FULL, KNOWN, SPEC

from latentdrift.errors import OptionError
from latentdrift.prompts import (
    GAPS,
    INSTRUCTIONS,
    TEMPLATES,
    instruction,
    pair,
    sentence_sets,
    single_changes,
)


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
            "cannot remove 'effusion': the image does not have it; its findings: mass",
        ),
        ((), (), "the edit changes nothing"),
    ],
)
def test_edits_that_make_no_sense_get_a_sentence(add: tuple, remove: tuple, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        pair("chest X-ray", {"findings": "mass"}, {}, add=add, remove=remove, spec=SPEC)


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
        (
            CN,
            {**MCI, "age": 72.5},
            "years",
            "Age this CN 70 years old female brain MRI by 2.5 years into a brain MRI with MCI",
        ),
        (
            {"age": 70},
            {"age": 64},
            "years",
            "Age this 70 years old brain MRI by -6 years into a brain MRI",
        ),
        (
            {"age": 70},
            {"age": 75},
            "volumes",
            "Age this 70 years old brain MRI by 5 years into a brain MRI",
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
        assert re.search("has nothing to say|is younger than|its age is not known", str(error))
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
        match="encoding of an instruction 'decade'; known: binned, numerical, volumes, word, years",
    ):
        instruction("brain MRI", CN, MCI, "decade")


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
    with pytest.raises(OptionError, match="request at most"):
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
