"""The manner in which an adapter is prompted: what fit words, generate follows."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from prompt_examples import SPEC
from tiny import tiny_cohort

from latentdrift.adapt.training.adapter_description import describe_adapter
from latentdrift.adapt.training.cost_estimate import plan
from latentdrift.adapt.training.training_setup import Job, job
from latentdrift.config import FitOptions
from latentdrift.data.cohort.cohort import Cohort
from latentdrift.errors import OptionError
from latentdrift.model.base import Base
from latentdrift.model.drift import Drift
from latentdrift.prompts import (
    Manner,
)
from latentdrift.prompts.phrases import in_words
from latentdrift.sample.synthetic_cohort import REPORTED, Request, follow_cohort, readable


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

    long = [Request(f"one two three{n}") for n in range(REPORTED + 2)]
    with caplog.at_level(logging.WARNING):
        read = readable([Request("one two"), *long, long[0]], two_words)
    assert [request.prompt for request in read] == ["one two"] * (REPORTED + 4)
    assert len(caplog.messages) == REPORTED + 1
    assert (
        caplog.messages[0]
        == "the prompt 'one two three0' is longer than the text encoder reads: 'three0' is dropped"
    )
    assert caplog.messages[-1] == "the ends of 2 further prompts are dropped, too"
