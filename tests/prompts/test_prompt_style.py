"""The manner in which an adapter is prompted: what fit words, generate follows."""

from __future__ import annotations

import pytest
from prompt_examples import SPEC

from latentdrift.attributes.specification import Attribute
from latentdrift.errors import OptionError
from latentdrift.prompts import Manner


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
        (Manner("simpel"), r"unknown prompt style 'simpel'; known: .*\(did you mean 'simple'\?\)"),
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


FINDINGS = ["mass", "nodule", "effusion", "edema", "fibrosis"]
DENIABLE = {"age": SPEC["age"], "findings": Attribute(type="findings", vocabulary=FINDINGS)}


@pytest.mark.parametrize(
    ("manner", "fewest"),
    [(Manner(), 1), (Manner("diverse"), 12), (Manner(negate_findings=True), 4)],
)
def test_images_of_one_variant_have_one_prompt(manner: Manner, fewest: int) -> None:
    row = {"age": 50, "findings": "mass"}
    prompts = {index: manner.words("CT", row, DENIABLE, index) for index in range(60)}
    by_variant: dict[int, set[str]] = {}
    for index, prompt in prompts.items():
        by_variant.setdefault(manner.variant(index), set()).add(prompt)
    assert all(len(equal) == 1 for equal in by_variant.values())
    assert len(set(prompts.values())) >= fewest
